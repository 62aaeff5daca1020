//! Marks: which phrases a letter cannot have.
//!
//! Every three characters that stand in a row in a letter's searched text set one bit of its marks; a phrase of which one
//! such bit is not set cannot be in it. About two bits are kept for each different three, so that a phrase of one word leaves
//! a few letters in a hundred to be looked at in vain. Marks are made of one letter alone: they are written once with it, cost
//! others nothing, and go with it.

use std::collections::HashSet;

use mail::fold::Needle;
use mail::searched::Searched;

/// Bits for each different three characters: with one bit set by each, two fifths of all are set.
const BITS_EACH: usize = 2;
/// Octets of one letter's marks, at most: a letter of a megabyte in one language has some 30 000 different threes; beyond,
/// marks exclude less.
const MARKS_OCTETS_MAX: usize = 16 * 1024;
/// Octets of the least marks.
const MARKS_OCTETS_MIN: usize = 8;

/// The marks of one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks(Box<[u8]>);

/// What a phrase needs to find in marks.
#[derive(Debug, Clone)]
pub struct Probe {
    /// For each form of the phrase, its threes.
    forms: Vec<Vec<u64>>,
}

impl Marks {
    /// Of a searched text.
    pub fn of(searched: &Searched) -> Self {
        let mut threes = HashSet::new();
        for piece in searched.header.lines().chain(searched.body.lines()) {
            each_three(piece, |three| {
                threes.insert(three);
            });
        }
        let octets = (threes.len() * BITS_EACH / 8).next_multiple_of(8);
        let mut marks = vec![0; octets.clamp(MARKS_OCTETS_MIN, MARKS_OCTETS_MAX)];
        let bits = marks.len() as u64 * 8;
        for three in threes {
            let bit = scatter(three) % bits;
            // Invariant: `bit` is less than the bits of `marks`.
            marks[(bit / 8) as usize] |= 1 << (bit % 8);
        }
        Self(marks.into())
    }

    /// As the store keeps them.
    pub(crate) fn from_bytes(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// What the store keeps.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the letter may have the phrase; `false` is certain.
    pub fn may_have(&self, probe: &Probe) -> bool {
        let bits = self.0.len() as u64 * 8;
        let set = |three: &u64| {
            let bit = scatter(*three).checked_rem(bits).unwrap_or(0);
            self.0
                .get((bit / 8) as usize)
                .is_none_or(|octet| octet & (1 << (bit % 8)) != 0)
        };
        probe.forms.iter().any(|form| form.iter().all(set))
    }
}

impl Probe {
    /// Of a phrase; one of fewer than three characters may be anywhere.
    pub fn new(needle: &Needle) -> Self {
        let forms = needle.forms().map(|form| {
            let mut threes = Vec::new();
            each_three(form, |three| threes.push(three));
            threes
        });
        Self {
            forms: forms.collect(),
        }
    }
}

fn each_three(text: &str, mut each: impl FnMut(u64)) {
    const LAST_THREE: u64 = (1 << 63) - 1;
    let mut three = 0;
    for (index, character) in text.chars().enumerate() {
        // A character has 21 bits.
        three = (three << 21 | u64::from(u32::from(character))) & LAST_THREE;
        if index >= 2 {
            each(three);
        }
    }
}

/// Spreads neighbouring numbers over all bits (the finalizer of SplitMix64). Stored: a change to it is a new form.
fn scatter(three: u64) -> u64 {
    let mixed = (three ^ (three >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn searched(header: &str, body: &str) -> Searched {
        Searched {
            header: mail::fold::fold(header),
            body: mail::fold::fold(body),
        }
    }

    #[test]
    fn marks_exclude_what_is_not_there() {
        let text = searched(
            "subject: ծանուցում",
            "Հարգելի քաղաքացի, уважаемый гражданин",
        );
        let marks = Marks::of(&text);
        for phrase in ["ԾԱՆՈՒ", "гражданин", "ցում", "ab", "", "ւցու"] {
            assert!(
                marks.may_have(&Probe::new(&Needle::new(phrase))),
                "{phrase}"
            );
        }
        for phrase in ["nothing of this kind", "заявление", "դատարանի որոշում"]
        {
            assert!(
                !marks.may_have(&Probe::new(&Needle::new(phrase))),
                "{phrase}"
            );
        }
        assert_eq!(
            Marks::of(&Searched::default()).as_bytes().len(),
            MARKS_OCTETS_MIN
        );
        assert!(Marks::from_bytes(&[]).may_have(&Probe::new(&Needle::new("anything"))));
    }

    proptest! {
        #[test]
        fn marks_never_exclude_what_is_there(before in ".{0,40}", phrase in "[a-zа-яա-ևÀ-ÿ №\u{ad}]{0,8}", after in ".{0,40}") {
            let text = searched("", &format!("{before}{phrase}{after}"));
            let needle = Needle::new(&phrase);
            if text.has(&needle) {
                prop_assert!(Marks::of(&text).may_have(&Probe::new(&needle)));
            }
        }
    }
}
