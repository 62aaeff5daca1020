//! Objects' numbers and names: unique over any number of nodes that never speak to each other.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;

/// Numbers count milliseconds from 2026-01-01T00:00:00Z, so that 41 bits last until 2095.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;

/// Bits below the time: chance, and in the lowest one the shape. Two nodes that write a hundred groups a second each
/// meet once in days, and then the conditional PUT tells the second, who takes another number.
const CHANCE_BITS: u32 = 22;

/// Digits of a name.
const NAME_DIGITS: usize = 16;

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Letters that were made durable together, one after the other.
    Group = 0,
    /// One large letter.
    Single = 1,
}

/// An object's number: `content_file` of the messages in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Number(pub(super) i64);

/// As it stands in the object's name and in texts for the operator.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = NAME_DIGITS)
    }
}

impl Number {
    /// The mark that every bucket of ours carries; no letter is in it.
    pub(super) const MARK: Self = Self(0);

    /// A number that nobody has, as far as chance can tell; whoever writes it must ask the store to refuse a second one.
    pub(super) fn fresh(shape: Shape) -> Self {
        let millis = since_1970(SystemTime::now()).saturating_sub(EPOCH_MILLIS);
        let chance = (random() << 1 | shape as u64) & ((1 << CHANCE_BITS) - 1);
        // Never the mark, whatever the clock says; and never negative: the time is cut to what a row's integer holds.
        let number = ((millis << CHANCE_BITS) & i64::MAX as u64) | chance;
        Self((number as i64).max(2 | shape as i64))
    }

    /// From an object's name without its prefix; `None`: not one of ours.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let number = Self(i64::from_str_radix(name, 16).ok()?);
        (number.0 >= 0 && number.to_string() == name).then_some(number)
    }

    /// What it holds.
    pub(super) fn shape(self) -> Shape {
        if self.0 & 1 == 0 {
            Shape::Group
        } else {
            Shape::Single
        }
    }

    /// How long ago its writer took it, by this node's clock.
    pub(super) fn age(self, now: SystemTime) -> Duration {
        let taken = EPOCH_MILLIS + (self.0 as u64 >> CHANCE_BITS);
        Duration::from_millis(since_1970(now).saturating_sub(taken))
    }
}

/// 64 bits of chance.
pub(super) fn random() -> u64 {
    let mut octets = [0; 8];
    // A system without randomness yields the time alone: the conditional PUT still keeps numbers apart.
    let _ = rand::fill(&mut octets);
    u64::from_be_bytes(octets)
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_sixteen_digits_and_come_back() {
        let now = SystemTime::now();
        let mut seen = HashSet::new();
        for shape in [Shape::Group, Shape::Single] {
            for _ in 0..500 {
                let number = Number::fresh(shape);
                assert_eq!(number.shape(), shape);
                assert!(number.0 > 0 && number.age(now) < Duration::from_secs(5));
                assert_eq!(number.to_string().len(), NAME_DIGITS);
                assert_eq!(Number::of_name(&number.to_string()), Some(number));
                seen.insert(number);
            }
        }
        assert!(seen.len() >= 998, "{} of 1000", seen.len());
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "",
            "1",
            "+000000000000001",
            "00000000000000AB",
            "ffffffffffffffff",
            "0000000000000001.bak",
            "backup",
        ] {
            assert_eq!(Number::of_name(name), None, "{name}");
        }
        assert_eq!(Number::of_name("0000000000000000"), Some(Number::MARK));
    }
}
