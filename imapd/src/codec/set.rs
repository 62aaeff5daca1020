//! Sequence sets (RFC 3501 §9 `sequence-set`).

use super::cursor::{Cursor, Fault};

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A message sequence number or unique identifier.
    Number(u32),
    /// `*`: the largest in use.
    Last,
}

/// Numbers and ranges as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set(Vec<(Bound, Bound)>);

/// The same as ascending ranges that neither touch nor overlap, with `*` resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u32, u32)>);

impl Set {
    /// Reads a set.
    ///
    /// # Errors
    /// No set is next, or a number in it is zero or too large.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let mut ranges = Vec::new();
        loop {
            let from = bound(cursor)?;
            let to = if cursor.eat(b':') {
                bound(cursor)?
            } else {
                from
            };
            ranges.push((from, to));
            if !cursor.eat(b',') {
                return Ok(Self(ranges));
            }
        }
    }

    /// With `*` as `last`. RFC 3501 §6.4.8: `559:*` has the last message in it even if 559 is larger.
    #[must_use]
    pub fn resolve(&self, last: u32) -> Ranges {
        let number = |bound| match bound {
            Bound::Number(number) => number,
            Bound::Last => last,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(from, to)| (number(from), number(to)))
            // RFC 3501 §9: `2:4` and `4:2` are the same.
            .map(|(from, to)| (from.min(to), from.max(to)))
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        Ranges(merged)
    }

    /// The largest number named, `*` aside.
    #[must_use]
    pub fn largest(&self) -> Option<u32> {
        let ends = self.0.iter().flat_map(|&(from, to)| [from, to]);
        ends.filter_map(|bound| match bound {
            Bound::Number(number) => Some(number),
            Bound::Last => None,
        })
        .max()
    }
}

impl Ranges {
    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|&(from, _)| from <= number);
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|&(_, to)| number <= to)
    }

    /// The ranges, ascending, both ends included.
    #[must_use]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }
}

/// Writes numbers as a set: ascending runs as ranges (RFC 4315 §3 asks for `uid-set`).
#[must_use]
pub fn written(numbers: &[u32]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut rest = numbers;
    while let Some((&from, _)) = rest.split_first() {
        let run = rest
            .iter()
            .zip(from..=u32::MAX)
            .take_while(|&(&number, expected)| number == expected)
            .count();
        let to = from + (run as u32 - 1);
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a String cannot fail.
        let _ = if from == to {
            write!(text, "{from}")
        } else {
            write!(text, "{from}:{to}")
        };
        rest = rest.get(run..).unwrap_or_default();
    }
    text
}

fn bound(cursor: &mut Cursor<'_>) -> Result<Bound, Fault> {
    if cursor.eat(b'*') {
        Ok(Bound::Last)
    } else {
        cursor
            .nz_number()
            .map(Bound::Number)
            .map_err(|_| "a sequence set is missing or malformed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str, last: u32) -> Vec<(u32, u32)> {
        let mut cursor = Cursor::new(text.as_bytes());
        let set = Set::parse(&mut cursor).unwrap();
        cursor.end().unwrap();
        set.resolve(last).0
    }

    #[test]
    fn sets() {
        assert_eq!(ranges("1", 9), [(1, 1)]);
        assert_eq!(ranges("4:2,3:5,7", 9), [(2, 5), (7, 7)]);
        assert_eq!(ranges("1,2,3", 9), [(1, 3)]);
        assert_eq!(ranges("559:*", 9), [(9, 559)]);
        assert_eq!(ranges("*", 9), [(9, 9)]);
        assert_eq!(ranges("*:4", 9), [(4, 9)]);
        assert_eq!(ranges("1:4294967295", 9), [(1, u32::MAX)]);
        assert_eq!(
            ranges("4294967295,4294967294", 9),
            [(u32::MAX - 1, u32::MAX)]
        );
        for bad in [
            "",
            "0",
            "1:",
            ":1",
            "1,",
            "1::2",
            "4294967296",
            "-1",
            "a",
            "$",
        ] {
            let mut cursor = Cursor::new(bad.as_bytes());
            let end = Set::parse(&mut cursor)
                .map(|_| ())
                .and_then(|()| cursor.end());
            assert!(end.is_err(), "{bad}");
        }
    }

    #[test]
    fn membership() {
        let mut cursor = Cursor::new(b"2:4,9");
        let ranges = Set::parse(&mut cursor).unwrap().resolve(100);
        let inside: Vec<u32> = (1..12).filter(|&n| ranges.contains(n)).collect();
        assert_eq!(inside, [2, 3, 4, 9]);
    }

    #[test]
    fn written_as_runs() {
        assert_eq!(written(&[]), "");
        assert_eq!(written(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(written(&[5, 4]), "5,4");
        assert_eq!(written(&[u32::MAX]), "4294967295");
    }
}
