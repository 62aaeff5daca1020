//! One session's view of a mailbox: which message bears which sequence number, and what the client has yet to be told.
//!
//! Sequence numbers are the client's: a message keeps its number until the client has been told of its expunge, and
//! the client may be told only when no command in progress uses numbers (RFC 3501 §7.4.1, RFC 9051 §7.5.1).

use std::collections::BTreeSet;

use store::mailboxes::MailboxId;
use store::view::{Changes, Entry, Flags, Snapshot};

use crate::codec::Output;
use crate::codec::flags::{NAMES, SEEN};
use crate::codec::set::{Ranges, Set};
use crate::house::Recents;

/// What a command may disturb: which untagged responses may be sent with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbs {
    /// None: the selected mailbox is changing or going.
    Nothing,
    /// Arrivals and flags; sequence numbers must stay.
    Arrivals,
    /// All, also EXPUNGE.
    All,
}

/// The view. See the module's words.
#[derive(Debug)]
pub struct View {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// Opened by EXAMINE.
    pub read_only: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// Everything up to this was taken in.
    pub modseq: u64,
    /// Ascending by UID; the n-th has sequence number n + 1.
    entries: Vec<Entry>,
    /// Gone from the mailbox; the client does not know yet.
    vanished: BTreeSet<u32>,
    /// With flags that the client does not know yet.
    flagged: BTreeSet<u32>,
    /// How many messages the client knows of.
    told: usize,
    recent: Recent,
}

/// The messages that are \Recent in one session: ascending ranges of UIDs, ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(Vec<(u32, u32)>);

impl Recent {
    /// Whether the message is.
    #[must_use]
    pub fn has(&self, uid: u32) -> bool {
        self.0.iter().any(|&(from, to)| (from..=to).contains(&uid))
    }

    fn add(&mut self, from: u32, below: u32) {
        match self.0.last_mut() {
            _ if below <= from => {}
            Some((_, to)) if to.saturating_add(1) == from => *to = below - 1,
            _ => self.0.push((from, below - 1)),
        }
    }
}

impl View {
    /// A view of a mailbox as it is now. The client is told by SELECT's own responses.
    #[must_use]
    pub fn new(snapshot: Snapshot, read_only: bool, recents: &Recents) -> Self {
        let mailbox = snapshot.mailbox;
        let mut view = Self {
            mailbox: mailbox.id,
            read_only,
            uid_validity: mailbox.uid_validity,
            modseq: mailbox.modseq,
            told: snapshot.entries.len(),
            entries: snapshot.entries,
            vanished: BTreeSet::new(),
            flagged: BTreeSet::new(),
            recent: Recent::default(),
        };
        view.claim(mailbox.uid_next, recents);
        view
    }

    /// How many messages have sequence numbers.
    #[must_use]
    pub fn exists(&self) -> u32 {
        // Invariant: UIDs are distinct and 32 bits wide, so there are no more messages than that.
        self.entries.len() as u32
    }

    /// How many of them are \Recent here.
    #[must_use]
    pub fn recent_count(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| self.recent.has(entry.uid))
            .count()
    }

    /// Which messages are \Recent here.
    #[must_use]
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// The sequence number of the first message without `\Seen`.
    #[must_use]
    pub fn first_unseen(&self) -> Option<u32> {
        let mut numbered = (1..).zip(&self.entries);
        numbered
            .find(|(_, entry)| entry.flags.system & SEEN == 0)
            .map(|(number, _)| number)
    }

    /// The entries with their sequence numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (1..).zip(&self.entries)
    }

    /// The sequence number of a message.
    #[must_use]
    pub fn number_of(&self, uid: u32) -> Option<u32> {
        let at = self
            .entries
            .binary_search_by_key(&uid, |entry| entry.uid)
            .ok()?;
        u32::try_from(at + 1).ok()
    }

    /// The message that bears a sequence number.
    #[must_use]
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get((number as usize).checked_sub(1)?)
    }

    /// The flags of a message.
    #[must_use]
    pub fn flags_of(&self, uid: u32) -> Option<&Flags> {
        self.number_of(uid)
            .and_then(|number| self.entry(number))
            .map(|entry| &entry.flags)
    }

    /// A set's UIDs with `*` as the largest in use.
    #[must_use]
    pub fn uids(&self, set: &Set) -> Ranges {
        set.resolve(self.entries.last().map_or(0, |entry| entry.uid))
    }

    /// The messages that a set names, as (number, UID). `None`: a sequence number that no message bears.
    #[must_use]
    pub fn chosen(&self, set: &Set, uid: bool) -> Option<Vec<(u32, u32)>> {
        if uid {
            let ranges = self.uids(set);
            let mut chosen = Vec::new();
            for &(from, to) in ranges.as_slice() {
                let first = self.entries.partition_point(|entry| entry.uid < from);
                let inside = self
                    .numbered()
                    .skip(first)
                    .take_while(|(_, entry)| entry.uid <= to);
                chosen.extend(inside.map(|(number, entry)| (number, entry.uid)));
            }
            return Some(chosen);
        }
        // RFC 9051 §9 `seq-number`: BAD, also for `*` in an empty mailbox.
        if self.entries.is_empty() || set.largest().is_some_and(|largest| largest > self.exists()) {
            return None;
        }
        let mut chosen = Vec::new();
        for &(from, to) in set.resolve(self.exists()).as_slice() {
            let inside = self
                .entries
                .get((from.max(1) - 1) as usize..to as usize)
                .unwrap_or_default();
            chosen.extend(
                (from..)
                    .zip(inside)
                    .map(|(number, entry)| (number, entry.uid)),
            );
        }
        Some(chosen)
    }

    /// Entries whose flags the client learns from the response to its own command.
    pub fn learn(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Ok(at) = self
                .entries
                .binary_search_by_key(&entry.uid, |known| known.uid)
                && let Some(known) = self.entries.get_mut(at)
                && known.modseq <= entry.modseq
            {
                *known = entry.clone();
                self.flagged.remove(&entry.uid);
            }
        }
    }

    /// Takes in what changed in the mailbox.
    pub fn take(&mut self, changes: Changes, recents: &Recents) {
        for entry in changes.changed {
            match self
                .entries
                .binary_search_by_key(&entry.uid, |known| known.uid)
            {
                Ok(at) => {
                    // Invariant: `binary_search` found it there.
                    let known = &mut self.entries[at];
                    if known.modseq < entry.modseq {
                        if known.flags != entry.flags {
                            self.flagged.insert(entry.uid);
                        }
                        *known = entry;
                    }
                }
                // RFC 3501 §2.3.1.1: UIDs ascend, so what is new comes last, and it is not new if it is not.
                Err(at) if at == self.entries.len() => self.entries.push(entry),
                Err(_) => {}
            }
        }
        if changes.gone {
            self.vanished
                .extend(self.entries.iter().map(|entry| entry.uid));
        }
        self.vanished.extend(changes.vanished);
        self.modseq = changes.modseq;
        self.claim(changes.uid_next, recents);
    }

    /// Tells the client what it may be told now.
    pub fn announce(&mut self, disturbs: Disturbs, output: &mut Output) {
        if disturbs == Disturbs::Nothing {
            return;
        }
        if disturbs == Disturbs::All && !self.vanished.is_empty() {
            self.announce_expunged(output);
        }
        if self.entries.len() != self.told {
            self.told = self.entries.len();
            output.put("* ").number(self.told as u64).put(" EXISTS\r\n");
            output
                .put("* ")
                .number(self.recent_count() as u64)
                .put(" RECENT\r\n");
        }
        for uid in std::mem::take(&mut self.flagged) {
            let Some(number) = self.number_of(uid) else {
                continue;
            };
            // Invariant: `number_of` counts from 1 within the entries.
            let flags = self.entries[number as usize - 1].flags.clone();
            output
                .put("* ")
                .number(u64::from(number))
                .put(" FETCH (UID ")
                .number(u64::from(uid))
                .put(" FLAGS ");
            write_flags(output, &flags, self.recent.has(uid));
            output.put(")\r\n");
        }
    }

    fn announce_expunged(&mut self, output: &mut Output) {
        let vanished = std::mem::take(&mut self.vanished);
        let mut number = 1_u64;
        let mut unknown = 0;
        for (at, entry) in self.entries.iter().enumerate() {
            if vanished.contains(&entry.uid) {
                // What came and went unseen was never told of, so it has no number to take back.
                if at < self.told {
                    output.put("* ").number(number).put(" EXPUNGE\r\n");
                } else {
                    unknown += 1;
                }
            } else {
                number += 1;
            }
        }
        let before = self.entries.len();
        self.entries.retain(|entry| !vanished.contains(&entry.uid));
        let expunged = before - self.entries.len() - unknown;
        self.told -= expunged;
    }

    fn claim(&mut self, uid_next: u32, recents: &Recents) {
        let from = if self.read_only {
            recents.since(self.mailbox).max(
                self.recent
                    .0
                    .last()
                    .map_or(0, |&(_, to)| to.saturating_add(1)),
            )
        } else {
            recents.claim(self.mailbox, uid_next)
        };
        self.recent.add(from, uid_next);
    }
}

/// A parenthesised list of flags.
pub fn write_flags(output: &mut Output, flags: &Flags, recent: bool) {
    output.put("(");
    let mut separator = "";
    for (name, bit) in NAMES {
        if flags.system & bit != 0 {
            output.put(separator).put(name);
            separator = " ";
        }
    }
    if recent {
        output.put(separator).put("\\Recent");
        separator = " ";
    }
    for keyword in flags.keywords.split_ascii_whitespace() {
        output.put(separator).put(keyword);
        separator = " ";
    }
    output.put(")");
}
