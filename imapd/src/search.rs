//! One window of a SEARCH. Verdicts leave, never octets: no reading act (evidence §2).

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use mail::Timestamp;
use mail::text::{field_text, fold, header_text, parts_text};
use store::mailboxes::MailboxId;
use store::view::{Description, Flags};
use store::{Store, StoreError};

use crate::codec::search::{Key, When};
use crate::codec::set::Ranges;
use crate::limits::{SEARCH_WINDOW_MESSAGES_MAX, SEARCH_WINDOW_TEXTS_MAX};
use crate::session::view::View;

/// A SEARCH with its sets resolved and its texts folded.
#[derive(Debug)]
pub struct Question {
    all: Vec<Test>,
    uid: bool,
}

/// One message that may match, as the session's view has it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its sequence number.
    pub number: u32,
    /// Its UID.
    pub uid: u32,
    /// Its flags.
    pub flags: Flags,
    /// Whether it is \Recent in this session.
    pub recent: bool,
}

/// A step of a SEARCH.
pub struct Window {
    /// Where.
    pub mailbox: MailboxId,
    /// What.
    pub question: Arc<Question>,
    /// Among which messages.
    pub candidates: Arc<[Candidate]>,
    /// Which of them this step judges.
    pub range: Range<usize>,
}

/// What has to be looked at to answer; later is dearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    View,
    Description,
    Text,
}

#[derive(Debug)]
enum Test {
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
    Field(String, String),
    Body(String),
    Text(String),
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
}

impl Question {
    /// From SEARCH's keys and the view whose numbers they mean.
    #[must_use]
    pub fn new(keys: &[Key], view: &View, uid: bool) -> Self {
        Self {
            all: tests(keys, view),
            uid,
        }
    }

    /// How many messages one step judges.
    #[must_use]
    pub fn window(&self) -> usize {
        match self.cost() {
            Cost::Text => SEARCH_WINDOW_TEXTS_MAX,
            Cost::Description | Cost::View => SEARCH_WINDOW_MESSAGES_MAX,
        }
    }

    fn cost(&self) -> Cost {
        self.all.iter().map(Test::cost).max().unwrap_or(Cost::View)
    }
}

/// Judges one window: the numbers (UIDs for UID SEARCH) of those that match.
///
/// # Errors
/// The store's.
pub fn judge(store: &Store, window: &Window) -> Result<Vec<u32>, StoreError> {
    let question = &window.question;
    let candidates = window
        .candidates
        .get(window.range.clone())
        .unwrap_or_default();
    let mut described = HashMap::new();
    if question.cost() >= Cost::Description {
        let uids: Vec<u32> = candidates.iter().map(|candidate| candidate.uid).collect();
        let descriptions = store.describe(window.mailbox, &uids)?;
        described.extend(
            descriptions
                .into_iter()
                .map(|description| (description.uid, description)),
        );
    }
    let mut found = Vec::new();
    for candidate in candidates {
        let description = described.get(&candidate.uid);
        let subject = Subject {
            store,
            mailbox: window.mailbox,
            candidate,
            description,
            text: OnceCell::new(),
        };
        if subject.passes_all(&question.all)? {
            found.push(if question.uid {
                candidate.uid
            } else {
                candidate.number
            });
        }
    }
    Ok(found)
}

/// Cheap tests first, so that a text is read only where they leave the answer open.
fn tests(keys: &[Key], view: &View) -> Vec<Test> {
    let mut tests: Vec<Test> = keys.iter().map(|key| Test::new(key, view)).collect();
    tests.sort_by_key(Test::cost);
    tests
}

impl Test {
    fn new(key: &Key, view: &View) -> Self {
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
            Key::Field(name, text) => Self::Field(name.clone(), fold(text)),
            Key::Body(text) => Self::Body(fold(text)),
            Key::Text(text) => Self::Text(fold(text)),
            Key::And(keys) => Self::And(tests(keys, view)),
            Key::Or(one, other) => Self::Or(boxed(one), boxed(other)),
            Key::Not(key) => Self::Not(boxed(key)),
        }
    }

    fn cost(&self) -> Cost {
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
            Self::Field(..) | Self::Body(_) | Self::Text(_) => Cost::Text,
            Self::And(tests) => tests.iter().map(Self::cost).max().unwrap_or(Cost::View),
            Self::Or(one, other) => one.cost().max(other.cost()),
            Self::Not(test) => test.cost(),
        }
    }
}

/// One message under judgement.
struct Subject<'a> {
    store: &'a Store,
    mailbox: MailboxId,
    candidate: &'a Candidate,
    description: Option<&'a Description>,
    text: OnceCell<Option<Texts>>,
}

/// What is searched of one message, read once for all tests.
struct Texts {
    header: Vec<u8>,
    header_text: String,
    body_text: String,
}

impl Subject<'_> {
    fn passes_all(&self, tests: &[Test]) -> Result<bool, StoreError> {
        for test in tests {
            if !self.passes(test)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn passes(&self, test: &Test) -> Result<bool, StoreError> {
        let described = |judge: &dyn Fn(&Description) -> bool| self.description.is_some_and(judge);
        Ok(match test {
            Test::All => true,
            Test::Numbers(ranges) => ranges.contains(self.candidate.number),
            Test::Uids(ranges) => ranges.contains(self.candidate.uid),
            Test::Flag(bit, set) => self.candidate.flags.has(*bit) == *set,
            Test::Keyword(keyword, set) => self.candidate.flags.has_keyword(keyword) == *set,
            Test::Recent => self.candidate.recent,
            Test::Received(when, day) => {
                described(&|description| when.holds(description.received, *day))
            }
            Test::Sent(when, day) => described(&|description| {
                description.sent.is_some_and(|sent| when.holds(sent, *day))
            }),
            Test::Larger(octets) => described(&|description| description.size > *octets),
            Test::Smaller(octets) => described(&|description| description.size < *octets),
            Test::Field(name, text) => self.text()?.is_some_and(|texts| {
                field_text(&texts.header, name)
                    .is_some_and(|value| fold(&value).contains(text.as_str()))
            }),
            Test::Body(text) => self
                .text()?
                .is_some_and(|texts| texts.body_text.contains(text.as_str())),
            Test::Text(text) => self.text()?.is_some_and(|texts| {
                texts.header_text.contains(text.as_str()) || texts.body_text.contains(text.as_str())
            }),
            Test::And(tests) => self.passes_all(tests)?,
            Test::Or(one, other) => self.passes(one)? || self.passes(other)?,
            Test::Not(test) => !self.passes(test)?,
        })
    }

    fn text(&self) -> Result<Option<&Texts>, StoreError> {
        if self.text.get().is_none() {
            let texts = self.read()?;
            return Ok(self.text.get_or_init(|| texts).as_ref());
        }
        Ok(self.text.get().and_then(Option::as_ref))
    }

    fn read(&self) -> Result<Option<Texts>, StoreError> {
        let found = match self.store.searchable(self.mailbox, self.candidate.uid) {
            // One damaged letter must not hide the others.
            Err(StoreError::Damaged(what)) => {
                tracing::error!(%what, "a letter cannot be searched");
                None
            }
            found => found?,
        };
        Ok(found.map(|letter| {
            let mut header = letter.trace.to_vec();
            let end = usize::try_from(letter.structure.header.end).unwrap_or(usize::MAX);
            header.extend_from_slice(letter.octets.get(..end).unwrap_or(&letter.octets));
            Texts {
                header_text: fold(&header_text(&header)),
                body_text: fold(&parts_text(&letter.octets, &letter.structure)),
                header,
            }
        }))
    }
}
