//! Which octets of a message were acknowledged, and when that is all of them.
//!
//! A set holds ranges of original octets, for one recipient and one acting person. It may lose octets (at its bound,
//! or with a crash) but never gains one that was not inserted: a lost octet delays a receipt, an invented one is a lie.

use std::ops::Range;

/// Ranges in one set, at most. Readers fetch whole parts or run through them in order, which leaves a handful; only a
/// pattern made to cost memory leaves thousands. 4096 ranges are 64 KiB in memory and less when stored.
pub const RANGES_MAX: usize = 4096;

/// Octets of a stored set, at most: two numbers of at most ten octets for each range.
pub const ENCODED_BYTES_MAX: usize = RANGES_MAX * 20;

/// Why octets are not a stored set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    /// The octets end inside a number, or a number has another form than its shortest.
    #[error("coverage holds a malformed number")]
    Number,
    /// An empty range, ranges that touch, or a range beyond 2^64 - 1.
    #[error("coverage holds a range that its canonical form cannot hold")]
    Range,
    /// More than [`RANGES_MAX`] ranges.
    #[error("coverage holds more than {RANGES_MAX} ranges")]
    TooMany,
}

/// A set of octet positions, as half-open ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeSet {
    /// Sorted; none empty; no two touch.
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Whether no octet is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds the octets of `range`; an empty or backward one adds none. Beyond [`RANGES_MAX`] ranges the smallest is
    /// dropped.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        // Every range that touches the new one is joined with it.
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let after = self
            .ranges
            .partition_point(|known| known.start <= range.end);
        let mut joined = range;
        if let (Some(left), true) = (self.ranges.get(first), first < after) {
            joined.start = joined.start.min(left.start);
        }
        if let (Some(right), true) = (
            after.checked_sub(1).and_then(|i| self.ranges.get(i)),
            first < after,
        ) {
            joined.end = joined.end.max(right.end);
        }
        self.ranges.splice(first..after.max(first), [joined]);
        if self.ranges.len() > RANGES_MAX {
            self.drop_smallest();
        }
    }

    /// Adds every octet of `other`.
    pub fn union(&mut self, other: &Self) {
        for range in &other.ranges {
            self.insert(range.clone());
        }
    }

    /// Whether every octet of `range` is in the set. True of an empty range.
    #[must_use]
    pub fn covers(&self, range: Range<u64>) -> bool {
        if range.start >= range.end {
            return true;
        }
        let at = self
            .ranges
            .partition_point(|known| known.end <= range.start);
        self.ranges
            .get(at)
            .is_some_and(|known| known.start <= range.start && range.end <= known.end)
    }

    /// How many octets are in the set.
    #[must_use]
    pub fn total(&self) -> u64 {
        // No overflow: the ranges are disjoint and end at 2^64 - 1.
        self.ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum()
    }

    /// The ranges, from the left; none is empty and no two touch.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().cloned()
    }

    /// The form that is stored: for each range the gap since the last one and the length, as LEB128.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ranges.len() * 6);
        let mut end = 0;
        for range in &self.ranges {
            put_leb128(range.start - end, &mut out);
            put_leb128(range.end - range.start, &mut out);
            end = range.end;
        }
        out
    }

    /// Reads what [`RangeSet::to_bytes`] writes, and nothing else.
    ///
    /// # Errors
    /// Octets that no set is stored as.
    pub fn from_bytes(mut octets: &[u8]) -> Result<Self, CoverageError> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut end: u64 = 0;
        while !octets.is_empty() {
            if ranges.len() == RANGES_MAX {
                return Err(CoverageError::TooMany);
            }
            let (gap, length) = (take_leb128(&mut octets)?, take_leb128(&mut octets)?);
            if length == 0 || (gap == 0 && !ranges.is_empty()) {
                return Err(CoverageError::Range);
            }
            let start = end.checked_add(gap).ok_or(CoverageError::Range)?;
            end = start.checked_add(length).ok_or(CoverageError::Range)?;
            ranges.push(start..end);
        }
        Ok(Self { ranges })
    }

    fn drop_smallest(&mut self) {
        let smallest = self
            .ranges
            .iter()
            .enumerate()
            .min_by_key(|(_, range)| range.end - range.start);
        if let Some((at, _)) = smallest {
            self.ranges.remove(at);
        }
    }
}

/// What of a message is content, in positions of its original octets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Where the content begins: after the header's empty line.
    pub header_end: u64,
    /// Where it ends: the number of original octets.
    pub size: u64,
    /// The body of each leaf part; a message/rfc822 part is one leaf.
    pub leaves: Vec<Range<u64>>,
}

/// In what sense all of a message was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// The body of every leaf part: what is between the parts may be missing.
    Parts,
    /// Every octet of the content.
    Whole,
}

impl Extent {
    /// The value of the field `extent` of `handed-over`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parts => "parts",
            Self::Whole => "whole",
        }
    }
}

/// Whether `covered` is all of `content`, and in what sense; the stronger sense wins.
///
/// A message without content, or whose leaves are all empty, has no octet that could be acknowledged: there the whole
/// header must be (`header_acknowledged`), so that nothing is handed over of which nothing was sent.
#[must_use]
pub fn extent(covered: &RangeSet, content: &Content, header_acknowledged: bool) -> Option<Extent> {
    if content.header_end >= content.size {
        return header_acknowledged.then_some(Extent::Whole);
    }
    if covered.covers(content.header_end..content.size) {
        return Some(Extent::Whole);
    }
    // No leaf at all is a structure that was not understood: only the whole will do.
    if content.leaves.is_empty()
        || !content
            .leaves
            .iter()
            .all(|leaf| covered.covers(leaf.clone()))
    {
        return None;
    }
    let some_octet = content.leaves.iter().any(|leaf| leaf.start < leaf.end);
    (some_octet || header_acknowledged).then_some(Extent::Parts)
}

fn put_leb128(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_leb128(octets: &mut &[u8]) -> Result<u64, CoverageError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = octets.split_first().ok_or(CoverageError::Number)?;
        *octets = rest;
        let group = u64::from(octet & 0x7f);
        // The tenth group has room for one bit.
        if group << shift >> shift != group {
            return Err(CoverageError::Number);
        }
        number |= group << shift;
        if octet & 0x80 == 0 {
            // A last group of zero has a shorter form.
            let shortest = group != 0 || shift == 0;
            return if shortest {
                Ok(number)
            } else {
                Err(CoverageError::Number)
            };
        }
    }
    Err(CoverageError::Number)
}

#[cfg(test)]
// Tables are rows as they stand, some of one range.
#[allow(clippy::single_range_in_vec_init, clippy::type_complexity)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(ranges: &[Range<u64>]) -> RangeSet {
        let mut set = RangeSet::new();
        ranges.iter().for_each(|range| set.insert(range.clone()));
        set
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let table: [(&[Range<u64>], &[Range<u64>]); 6] = [
            (&[0..5, 5..9], &[0..9]),
            (&[5..9, 0..4], &[0..4, 5..9]),
            (&[0..2, 4..6, 8..10, 1..9], &[0..10]),
            (&[0..2, 4..6, 8..10, 2..4], &[0..6, 8..10]),
            (&[0..10, 3..4], &[0..10]),
            (&[3..3, 0..u64::MAX], &[0..u64::MAX]),
        ];
        for (inserted, expected) in table {
            assert_eq!(set(inserted).iter().collect::<Vec<_>>(), expected);
        }
        #[allow(clippy::reversed_empty_ranges)]
        let backward = 9..2;
        assert!(set(std::slice::from_ref(&backward)).is_empty() && set(&[]).covers(backward));
    }

    #[test]
    fn the_bound_loses_and_never_invents() {
        let mut bounded = RangeSet::new();
        for i in 0..RANGES_MAX as u64 {
            bounded.insert(i * 10..i * 10 + 5);
        }
        bounded.insert(1_000_000..1_000_001);
        assert_eq!(bounded.iter().count(), RANGES_MAX);
        assert!(!bounded.covers(1_000_000..1_000_001));
        bounded.insert(1_000_000..1_000_009);
        assert_eq!(bounded.iter().count(), RANGES_MAX);
        assert!(bounded.covers(1_000_000..1_000_009));
        assert_eq!(bounded.total(), (RANGES_MAX as u64 - 1) * 5 + 9);
        assert!(bounded.to_bytes().len() <= ENCODED_BYTES_MAX);
    }

    #[test]
    fn only_the_one_stored_form_is_read() {
        assert_eq!(set(&[1..2, 300..u64::MAX]).to_bytes().len(), 2 + 2 + 10);
        for (octets, error) in [
            (&[0x80][..], CoverageError::Number),
            (&[0x01], CoverageError::Number),
            (&[0x81, 0x00, 0x01], CoverageError::Number),
            (&[0, 0], CoverageError::Range),
            (&[0, 1, 0, 1], CoverageError::Range),
            (&[0xff; 20], CoverageError::Number),
            (
                &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                CoverageError::Range,
            ),
            (
                &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                CoverageError::Number,
            ),
        ] {
            assert_eq!(RangeSet::from_bytes(octets), Err(error), "{octets:?}");
        }
        assert_eq!(
            RangeSet::from_bytes(&[1; 2 * (RANGES_MAX + 1)]),
            Err(CoverageError::TooMany)
        );
    }

    #[test]
    fn extent_by_the_table() {
        use Extent::{Parts, Whole};
        let letter = Content {
            header_end: 100,
            size: 200,
            leaves: vec![110..140, 150..190],
        };
        let plain = Content {
            header_end: 100,
            size: 200,
            leaves: vec![100..200],
        };
        let empty = Content {
            header_end: 100,
            size: 100,
            leaves: vec![100..100],
        };
        let hollow = Content {
            header_end: 100,
            size: 200,
            leaves: vec![120..120],
        };
        let opaque = Content {
            header_end: 100,
            size: 200,
            leaves: vec![],
        };
        let beyond = Content {
            header_end: 100,
            size: 200,
            leaves: vec![190..201],
        };
        let table: [(&Content, &[Range<u64>], bool, Option<Extent>); 15] = [
            (&letter, &[], true, None),
            (&letter, &[0..100], true, None),
            (&letter, &[110..140], true, None),
            (&letter, &[110..140, 150..189], true, None),
            (&letter, &[110..140, 150..190], false, Some(Parts)),
            (&letter, &[100..199], false, Some(Parts)),
            (&letter, &[100..200], false, Some(Whole)),
            (&letter, &[0..150, 150..200], false, Some(Whole)),
            (&plain, &[100..199], true, None),
            (&plain, &[100..200], false, Some(Whole)),
            (&empty, &[0..50], false, None),
            (&empty, &[], true, Some(Whole)),
            (&hollow, &[], false, None),
            (&hollow, &[], true, Some(Parts)),
            (&opaque, &[100..199], true, None),
        ];
        for (i, (content, covered, header, expected)) in table.into_iter().enumerate() {
            assert_eq!(extent(&set(covered), content, header), expected, "row {i}");
        }
        assert_eq!(extent(&set(&[100..199]), &beyond, true), None);
    }

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        prop::collection::vec(
            (0u64..120, 0u64..20).prop_map(|(start, length)| start..start + length),
            0..30,
        )
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(a in ranges(), b in ranges(), probe in 0u64..140, length in 0u64..10) {
            let model: BTreeSet<u64> = a.iter().chain(&b).cloned().flatten().collect();
            let mut joined = set(&a);
            joined.union(&set(&b));
            prop_assert_eq!(joined.iter().flatten().collect::<BTreeSet<_>>(), model.clone());
            prop_assert_eq!(joined.total(), model.len() as u64);
            prop_assert_eq!(joined.covers(probe..probe + length), (probe..probe + length).all(|at| model.contains(&at)));
            let kept: Vec<_> = joined.iter().collect();
            prop_assert!(kept.windows(2).all(|pair| pair[0].end < pair[1].start));
            let mut other_way = set(&b);
            other_way.union(&set(&a));
            prop_assert_eq!(&other_way, &joined);
            prop_assert_eq!(RangeSet::from_bytes(&joined.to_bytes()).unwrap(), joined);
        }

        #[test]
        fn large_numbers_are_stored(starts in prop::collection::vec(any::<(u64, u64)>(), 0..20)) {
            let all: Vec<_> = starts.iter().map(|(a, b)| (*a).min(*b)..(*a).max(*b)).collect();
            let kept = set(&all);
            prop_assert_eq!(RangeSet::from_bytes(&kept.to_bytes()).unwrap(), kept);
        }

        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>) {
            if let Ok(set) = RangeSet::from_bytes(&octets) {
                prop_assert_eq!(set.to_bytes(), octets);
            }
        }

        #[test]
        fn extent_needs_every_octet_it_claims(covered in ranges(), leaves in ranges(), header: bool) {
            let content = Content { header_end: 20, size: 130, leaves };
            let set = set(&covered);
            let has = |range: &Range<u64>| range.clone().all(|at| covered.iter().any(|known| known.contains(&at)));
            match extent(&set, &content, header) {
                Some(Extent::Whole) => prop_assert!(has(&(20..130))),
                Some(Extent::Parts) => prop_assert!(!has(&(20..130)) && content.leaves.iter().all(has)),
                None => prop_assert!(!has(&(20..130))),
            }
        }
    }
}
