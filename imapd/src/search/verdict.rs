//! One SEARCH key on one message: yes, no, or not to be said from what is known so far.

use mail::Timestamp;
use mail::fold::Needle;
use mail::searched::Searched;
use store::search::marks::{Marks, Probe};
use store::view::Description;

use super::Candidate;
use crate::codec::search::{Key, When};
use crate::codec::set::Ranges;
use crate::session::view::View;

/// A key with its sets resolved and its texts folded.
#[derive(Debug)]
pub(super) enum Test {
    All,
    Numbers(Ranges),
    Uids(Ranges),
    Flag(u8, bool),
    Keyword(String, bool),
    Recent,
    Received(When, Timestamp),
    Sent(When, Timestamp),
    Larger(u64),
    Smaller(u64),
    Field(String, Phrase),
    Body(Phrase),
    Text(Phrase),
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
}

/// A text that is looked for.
#[derive(Debug)]
pub(super) struct Phrase {
    needle: Needle,
    probe: Probe,
}

/// What tests have to be known of a message; later is dearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// What the session's view holds.
    View,
    /// Sizes and dates.
    Description,
    /// The header's text.
    Header,
    /// The whole text.
    Body,
}

/// What is known of one message.
pub(super) struct Known<'a> {
    pub candidate: &'a Candidate,
    /// `None`: not looked at; `Some(None)`: the message is gone.
    pub description: Option<Option<&'a Description>>,
    pub text: KnownText<'a>,
}

/// What is known of its text.
#[derive(Clone, Copy)]
pub(super) enum KnownText<'a> {
    /// Nothing yet.
    Unread,
    /// What it cannot have.
    Marks(&'a Marks),
    /// All of it; `None`: it cannot be had.
    Read(Option<&'a Searched>),
}

impl Test {
    pub fn new(key: &Key, view: &View) -> Self {
        let boxed = |key: &Key| Box::new(Self::new(key, view));
        match key {
            Key::All => Self::All,
            Key::Numbers(set) => Self::Numbers(set.resolve(view.exists())),
            Key::Uids(set) => Self::Uids(view.uids(set)),
            Key::Flag(bit, set) => Self::Flag(*bit, *set),
            Key::Keyword(keyword, set) => Self::Keyword(keyword.clone(), *set),
            Key::Recent => Self::Recent,
            Key::Received(when, day) => Self::Received(*when, *day),
            Key::Sent(when, day) => Self::Sent(*when, *day),
            Key::Larger(octets) => Self::Larger(u64::from(*octets)),
            Key::Smaller(octets) => Self::Smaller(u64::from(*octets)),
            Key::Field(name, text) => Self::Field(name.clone(), Phrase::new(text)),
            Key::Body(text) => Self::Body(Phrase::new(text)),
            Key::Text(text) => Self::Text(Phrase::new(text)),
            Key::And(keys) => Self::And(keys.iter().map(|key| Self::new(key, view)).collect()),
            Key::Or(one, other) => Self::Or(boxed(one), boxed(other)),
            Key::Not(key) => Self::Not(boxed(key)),
        }
    }

    /// The dearest that may have to be known.
    pub fn cost(&self) -> Cost {
        match self {
            Self::All
            | Self::Numbers(_)
            | Self::Uids(_)
            | Self::Flag(..)
            | Self::Keyword(..)
            | Self::Recent => Cost::View,
            Self::Received(..) | Self::Sent(..) | Self::Larger(_) | Self::Smaller(_) => {
                Cost::Description
            }
            Self::Field(..) => Cost::Header,
            Self::Body(_) | Self::Text(_) => Cost::Body,
            Self::And(tests) => tests.iter().map(Self::cost).max().unwrap_or(Cost::View),
            Self::Or(one, other) => one.cost().max(other.cost()),
            Self::Not(test) => test.cost(),
        }
    }

    /// Whether sizes or dates are among what is asked.
    pub fn asks_description(&self) -> bool {
        match self {
            Self::And(tests) => tests.iter().any(Self::asks_description),
            Self::Or(one, other) => one.asks_description() || other.asks_description(),
            Self::Not(test) => test.asks_description(),
            test => test.cost() == Cost::Description,
        }
    }

    /// `None`: more has to be known.
    pub fn verdict(&self, known: &Known<'_>) -> Option<bool> {
        let candidate = known.candidate;
        let described =
            |judge: &dyn Fn(&Description) -> bool| Some(known.description?.is_some_and(judge));
        match self {
            Self::All => Some(true),
            Self::Numbers(ranges) => Some(ranges.contains(candidate.number)),
            Self::Uids(ranges) => Some(ranges.contains(candidate.uid)),
            Self::Flag(bit, set) => Some(candidate.flags.has(*bit) == *set),
            Self::Keyword(keyword, set) => Some(candidate.flags.has_keyword(keyword) == *set),
            Self::Recent => Some(candidate.recent),
            Self::Received(when, day) => described(&|found| when.holds(found.received, *day)),
            Self::Sent(when, day) => {
                described(&|found| found.sent.is_some_and(|sent| when.holds(sent, *day)))
            }
            Self::Larger(octets) => described(&|found| found.size > *octets),
            Self::Smaller(octets) => described(&|found| found.size < *octets),
            Self::Field(name, phrase) => {
                phrase.verdict(known, &|text| text.field_has(name, &phrase.needle))
            }
            Self::Body(phrase) => phrase.verdict(known, &|text| text.body_has(&phrase.needle)),
            Self::Text(phrase) => phrase.verdict(known, &|text| text.has(&phrase.needle)),
            Self::And(tests) => all(tests, known),
            Self::Or(one, other) => match (one.verdict(known), other.verdict(known)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(test) => test.verdict(known).map(|holds| !holds),
        }
    }
}

/// Whether all hold; one that does not is enough to say no.
pub(super) fn all(tests: &[Test], known: &Known<'_>) -> Option<bool> {
    let mut verdict = Some(true);
    for test in tests {
        match test.verdict(known) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => verdict = None,
        }
    }
    verdict
}

impl Phrase {
    fn new(text: &str) -> Self {
        let needle = Needle::new(text);
        let probe = Probe::new(&needle);
        Self { needle, probe }
    }

    fn verdict(&self, known: &Known<'_>, judge: &dyn Fn(&Searched) -> bool) -> Option<bool> {
        match known.text {
            KnownText::Unread => None,
            KnownText::Marks(marks) => (!marks.may_have(&self.probe)).then_some(false),
            KnownText::Read(text) => Some(text.is_some_and(judge)),
        }
    }
}
