//! One step of a SEARCH. Verdicts leave, never octets: no reading act (evidence.md §2).
//!
//! | module | what |
//! |---|---|
//! | `verdict` | a key on a message: yes, no, or more has to be known |
//!
//! What is cheap is asked first, and what is dearer only of messages that are open still: the session's view, sizes and
//! dates, the index's marks, its texts, and of letters that are not in the index the letters themselves. A step takes about
//! [`SEARCH_STEP_TIME`]; between two steps other work gets its turn, and the session may end.

mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use mail::searched::{Searched, searched_text};
use store::mailboxes::MailboxId;
use store::search::marks::Marks;
use store::view::{Description, Flags};
use store::{Store, StoreError};

use crate::codec::search::Key;
use crate::limits::{SEARCH_CHUNK_MESSAGES_MAX, SEARCH_STEP_TIME, SEARCH_TEXTS_MAX};
use crate::session::view::View;
use verdict::{Cost, Known, KnownText, Test, all};

/// A SEARCH with its sets resolved and its texts folded.
#[derive(Debug)]
pub struct Question {
    all: Vec<Test>,
    uid: bool,
    cost: Cost,
    asks_description: bool,
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
    /// Among which messages, by rising UID.
    pub candidates: Arc<[Candidate]>,
    /// From which of them on this step judges.
    pub begin: usize,
}

/// What a step found.
#[derive(Debug, Default)]
pub struct Judged {
    /// The numbers (UIDs for UID SEARCH) of those that match.
    pub found: Vec<u32>,
    /// The first candidate that this step did not judge.
    pub end: usize,
}

impl Question {
    /// From SEARCH's keys and the view whose numbers they mean.
    #[must_use]
    pub fn new(keys: &[Key], view: &View, uid: bool) -> Self {
        let all: Vec<Test> = keys.iter().map(|key| Test::new(key, view)).collect();
        Self {
            uid,
            cost: all.iter().map(Test::cost).max().unwrap_or(Cost::View),
            asks_description: all.iter().any(Test::asks_description),
            all,
        }
    }
}

/// Judges messages until the step's time is over; at least one.
///
/// # Errors
/// The store's.
pub fn judge(store: &Store, window: &Window) -> Result<Judged, StoreError> {
    let until = Instant::now() + SEARCH_STEP_TIME;
    let mut judged = Judged {
        end: window.begin,
        ..Judged::default()
    };
    while let Some(rest) = window.candidates.get(judged.end..)
        && !rest.is_empty()
    {
        let candidates = rest.get(..SEARCH_CHUNK_MESSAGES_MAX).unwrap_or(rest);
        let mut chunk = Chunk {
            store,
            window,
            verdicts: vec![None; candidates.len()],
            candidates,
            described: None,
        };
        chunk.judge(until)?;
        let decided = chunk.report(&mut judged.found);
        judged.end += decided;
        if decided < candidates.len() || Instant::now() >= until {
            break;
        }
    }
    Ok(judged)
}

/// Messages that are judged together.
struct Chunk<'a> {
    store: &'a Store,
    window: &'a Window,
    candidates: &'a [Candidate],
    verdicts: Vec<Option<bool>>,
    described: Option<HashMap<u32, Description>>,
}

impl Chunk<'_> {
    fn judge(&mut self, until: Instant) -> Result<(), StoreError> {
        self.ask(&mut |_| KnownText::Unread, 0..self.candidates.len());
        let question = &self.window.question;
        if question.asks_description && self.is_open() {
            let descriptions = self.store.describe(self.window.mailbox, &self.open())?;
            let by_uid = |description: Description| (description.uid, description);
            self.described = Some(descriptions.into_iter().map(by_uid).collect());
            self.ask(&mut |_| KnownText::Unread, 0..self.candidates.len());
        }
        if question.cost < Cost::Header || !self.is_open() {
            return Ok(());
        }
        self.look_into_index()?;
        self.look_into_letters(until)
    }

    /// Asks once more of every message that is open, now that more is known.
    fn ask<'b>(
        &mut self,
        text: &mut dyn FnMut(u32) -> KnownText<'b>,
        among: std::ops::Range<usize>,
    ) {
        let judged = self.candidates.iter().zip(&mut self.verdicts);
        for (candidate, verdict) in judged.skip(among.start).take(among.len()) {
            if verdict.is_none() {
                let known = Known {
                    candidate,
                    description: self.described.as_ref().map(|all| all.get(&candidate.uid)),
                    text: text(candidate.uid),
                };
                *verdict = all(&self.window.question.all, &known);
            }
        }
    }

    fn look_into_index(&mut self) -> Result<(), StoreError> {
        let mailbox = self.window.mailbox;
        let marks = self.store.search_marks(mailbox, &self.open())?;
        let marks: HashMap<u32, Marks> = marks.into_iter().collect();
        let everything = 0..self.candidates.len();
        self.ask(
            &mut |uid| marks.get(&uid).map_or(KnownText::Unread, KnownText::Marks),
            everything.clone(),
        );
        let mut open = self.open();
        open.retain(|uid| marks.contains_key(uid));
        let body = self.window.question.cost == Cost::Body;
        let mut rest = open.as_slice();
        while !rest.is_empty() {
            let some = rest.get(..SEARCH_TEXTS_MAX).unwrap_or(rest);
            let texts = self.store.search_texts(mailbox, some, body)?;
            // Invariant: `looked_at` counts what was asked for; at least one, so that this comes to an end.
            rest = rest.get(texts.looked_at.max(1)..).unwrap_or_default();
            let texts: HashMap<u32, Searched> = texts.found.into_iter().collect();
            self.ask(
                &mut |uid| {
                    let text = texts.get(&uid);
                    text.map_or(KnownText::Unread, |text| KnownText::Read(Some(text)))
                },
                everything.clone(),
            );
        }
        Ok(())
    }

    /// Reads the letters that the index did not decide, one by one, until the time is over.
    fn look_into_letters(&mut self, until: Instant) -> Result<(), StoreError> {
        let mut read = false;
        for at in 0..self.candidates.len() {
            let (Some(None), Some(candidate)) = (self.verdicts.get(at), self.candidates.get(at))
            else {
                continue;
            };
            if read && Instant::now() >= until {
                break;
            }
            read = true;
            let text = self.read(candidate.uid)?;
            self.ask(&mut |_| KnownText::Read(text.as_ref()), at..at + 1);
        }
        Ok(())
    }

    fn read(&self, uid: u32) -> Result<Option<Searched>, StoreError> {
        let found = match self.store.searchable(self.window.mailbox, uid) {
            // One damaged letter must not hide the others.
            Err(StoreError::Damaged(what)) => {
                tracing::error!(%what, "a letter cannot be searched");
                None
            }
            // Its octets were erased.
            Err(StoreError::NotFound(_)) => None,
            found => found?,
        };
        Ok(found.map(|letter| searched_text(&letter.trace, &letter.octets, &letter.structure)))
    }

    fn is_open(&self) -> bool {
        self.verdicts.iter().any(Option::is_none)
    }

    /// The UIDs of the messages without a verdict.
    fn open(&self) -> Vec<u32> {
        let judged = self.candidates.iter().zip(&self.verdicts);
        judged
            .filter(|(_, verdict)| verdict.is_none())
            .map(|(candidate, _)| candidate.uid)
            .collect()
    }

    /// Adds the matches among those up to the first that is still open; how many those are.
    fn report(&self, found: &mut Vec<u32>) -> usize {
        let mut decided = 0;
        for (candidate, verdict) in self.candidates.iter().zip(&self.verdicts) {
            let Some(holds) = verdict else { break };
            decided += 1;
            if *holds {
                found.push(if self.window.question.uid {
                    candidate.uid
                } else {
                    candidate.number
                });
            }
        }
        decided
    }
}
