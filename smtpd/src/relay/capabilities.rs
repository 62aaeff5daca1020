//! What a peer says it can, in its answer to EHLO (RFC 5321 §4.1.1.1). What is not named here is not used.

use super::reply::PeerReply;

/// A peer's extensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SIZE (RFC 1870) may be said at MAIL.
    pub size: bool,
    /// The most octets of one message, if SIZE named a number but 0.
    pub size_bytes_max: Option<u64>,
}

impl Capabilities {
    /// Those of a good answer to EHLO; its first line is the peer's name.
    pub fn of(reply: &PeerReply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                Some("PIPELINING") => found.pipelining = true,
                Some("STARTTLS") => found.starttls = true,
                Some("8BITMIME") => found.eight_bit = true,
                Some("SIZE") => {
                    found.size = true;
                    // RFC 1870 §4: 0 is no fixed limit.
                    let most = words.next().and_then(|number| number.parse().ok());
                    found.size_bytes_max = most.filter(|&most| most != 0);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        let of = |lines: &[&str]| {
            let lines = lines.iter().map(|&line| line.to_owned()).collect();
            Capabilities::of(&PeerReply { code: 250, lines })
        };
        let all = of(&[
            "mx",
            "pipelining",
            "SIZE 1000",
            "8BITMIME",
            "STARTTLS",
            "X-OTHER a b",
            "",
        ]);
        assert!(all.pipelining && all.starttls && all.eight_bit && all.size);
        assert_eq!(all.size_bytes_max, Some(1000));
        assert_eq!(
            of(&["SIZE 5", "SIZE"]),
            Capabilities {
                size: true,
                ..Capabilities::default()
            }
        );
        for line in ["SIZE 0", "SIZE x", "SIZE -1", "SIZE 99999999999999999999"] {
            assert_eq!(of(&["mx", line]).size_bytes_max, None, "{line}");
        }
        assert_eq!(
            of(&["PIPELINING SIZE"]),
            Capabilities::default(),
            "a name is no extension"
        );
    }
}
