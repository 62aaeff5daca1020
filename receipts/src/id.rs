//! The ids of events, messages and contracts: ULIDs, so that they sort by time and need no counter.
//!
//! Text is 26 characters of Crockford base 32 in upper case, and nothing else is accepted: an id has one spelling,
//! because it stands inside signed octets.

use std::fmt;
use std::str::FromStr;

use mail::time::Timestamp;
use ulid::Ulid;

/// The largest instant a ULID can carry: 48 bits of milliseconds.
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 26 characters of upper-case Crockford base 32")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The id of these 16 octets (big-endian: octet order is id order).
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            /// The 16 octets of this id, big-endian.
            #[must_use]
            pub const fn to_bytes(&self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// An id of this instant and these 80 random bits. Instants before 1970 count as 1970.
            #[must_use]
            pub fn from_parts(time: Timestamp, random: [u8; 10]) -> Self {
                Self(ulid_from_parts(time, random))
            }

            /// The instant in the id, in milliseconds since 1970 UTC.
            #[must_use]
            pub const fn millis(&self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_strict(text).map(Self)
            }
        }
    };
}

id! {
    /// The id of one event, and of every form its evidence takes.
    EvidenceId
}
id! {
    /// The id of one accepted (or rejected) message.
    MessageId
}
id! {
    /// The id of one sending body's contract.
    ContractId
}
id! {
    /// The id of one listed operator, clerk or auditor.
    OperatorId
}
id! {
    /// The id of one act that waits for a second person.
    ProposalId
}

/// The id after `prev` at `time`: ids of one log never repeat and never go back, whatever the clock does. In the same
/// or an earlier millisecond than `prev` it is `prev` + 1; else it is made of `time` and `random`.
#[must_use]
pub fn next_after(prev: Option<EvidenceId>, time: Timestamp, random: [u8; 10]) -> EvidenceId {
    let fresh = EvidenceId::from_parts(time, random);
    match prev {
        Some(prev) if fresh.millis() <= prev.millis() => {
            // 2^128 - 1 lies in the year 10889: saturating there is the only total answer, and never reached.
            let next = u128::from_be_bytes(prev.to_bytes()).saturating_add(1);
            EvidenceId::from_bytes(next.to_be_bytes())
        }
        _ => fresh,
    }
}

fn ulid_from_parts(time: Timestamp, random: [u8; 10]) -> Ulid {
    let millis = u64::try_from(time.as_millis()).unwrap_or(0).min(MILLIS_MAX);
    let mut low = [0; 16];
    // Invariant: 6 + 10 = 16.
    low[6..].copy_from_slice(&random);
    Ulid::from_parts(millis, u128::from_be_bytes(low))
}

fn parse_strict(text: &str) -> Result<Ulid, IdError> {
    let ulid = Ulid::from_string(text).map_err(|_| IdError)?;
    // The library reads lower case and lets the first character overflow 128 bits; one id has one text.
    let mut canonical = [0; ulid::ULID_LEN];
    if ulid.array_to_str(&mut canonical) == text {
        Ok(ulid)
    } else {
        Err(IdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn only_the_one_spelling_is_read() {
        let text = "01JD9ZK3W8Q6T2M4R5N7P9B1CD";
        assert_eq!(text.parse::<EvidenceId>().unwrap().to_string(), text);
        for bad in [
            "",
            "01JD9ZK3W8Q6T2M4R5N7P9B1C",
            "01JD9ZK3W8Q6T2M4R5N7P9B1CDD",
            "01jd9zk3w8q6t2m4r5n7p9b1cd",
            "81JD9ZK3W8Q6T2M4R5N7P9B1CD", // 2^128 and more
            "01JD9ZK3W8Q6T2M4R5N7P9B1CU",
            "01JD9ZK3W8Q6T2M4R5N7P9B1C ",
            "01JD9ZK3W8Q6T2M4R5N7P9B1Cé",
        ] {
            assert_eq!(bad.parse::<EvidenceId>(), Err(IdError), "{bad}");
        }
    }

    #[test]
    fn ids_never_go_back() {
        let first = next_after(None, at(1_000), [255; 10]);
        let same = next_after(Some(first), at(1_000), [0; 10]);
        let earlier = next_after(Some(same), at(5), [0; 10]);
        let later = next_after(Some(earlier), at(2_000), [0; 10]);
        assert!(first < same && same < earlier && earlier < later);
        // The random part was full: the carry went into the time, and order held.
        assert_eq!(same.millis(), 1_001);
        assert_eq!(later.millis(), 2_000);
        let last = EvidenceId::from_bytes([255; 16]);
        assert_eq!(next_after(Some(last), at(1), [0; 10]), last);
        assert_eq!(next_after(None, at(-5), [0; 10]).millis(), 0);
    }

    proptest! {
        #[test]
        fn text_octets_and_order_agree(a: [u8; 16], b: [u8; 16]) {
            let (x, y) = (MessageId::from_bytes(a), MessageId::from_bytes(b));
            prop_assert_eq!(x.to_string().parse::<MessageId>().unwrap(), x);
            prop_assert_eq!(x.to_bytes(), a);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(id) = text.parse::<ContractId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn always_after(prev: [u8; 16], millis: i64, random: [u8; 10]) {
            let prev = EvidenceId::from_bytes(prev);
            prop_assume!(prev.to_bytes() != [255; 16]);
            prop_assert!(next_after(Some(prev), at(millis), random) > prev);
        }
    }
}
