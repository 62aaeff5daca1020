//! One window of a FETCH: which reading act each item is (evidence §2), and the responses.
//!
//! | asked | act | from |
//! |---|---|---|
//! | UID, FLAGS, INTERNALDATE, RFC822.SIZE | none | `describe` |
//! | ENVELOPE, BODY, BODYSTRUCTURE, header sections, `n.MIME` | `listed` | `list` |
//! | any octet of a body | `disclosed` | `disclose` |
//!
//! What is served is our trace fields and then the original; coverage counts the original's octets alone.
//!
//! A header asked for without PEEK does not set `\Seen`, though RFC 3501 §6.4.5 would have it: with `\Seen` goes the
//! event `marked-read`, and evidence §2 gives that to body fetches alone.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use mail::structure::{SectionText as Place, Structure};
use store::mailboxes::MailboxId;
use store::reading::{Acknowledged, Disclosure, Listing, Wanted};
use store::view::{Description, Entry};
use store::{Actor, Store, StoreError};

use crate::codec::Output;
use crate::codec::fetch::{Item, Octets, SectionText};
use crate::limits::{FETCH_WINDOW_MESSAGES_MAX, FETCH_WINDOW_OCTETS_MAX};
use crate::session::view::write_flags;

/// What one FETCH asks of every message.
#[derive(Debug)]
pub struct Plan {
    items: Vec<Item>,
    /// UID FETCH.
    pub uid: bool,
    lists: bool,
    discloses: bool,
    seen: bool,
    sections: String,
}

/// One message of a FETCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its sequence number.
    pub number: u32,
    /// Its UID.
    pub uid: u32,
    /// Whether it is \Recent in this session.
    pub recent: bool,
}

/// A step of a FETCH: as many of `targets` from `begin` on as a window takes.
pub struct Window {
    /// The holder.
    pub by: Actor,
    /// Where.
    pub mailbox: MailboxId,
    /// What.
    pub plan: Arc<Plan>,
    /// Of which messages.
    pub targets: Arc<[Target]>,
    /// From which of them on.
    pub begin: usize,
}

/// What a window brought.
#[derive(Default)]
pub struct Fetched {
    /// How many targets it took.
    pub taken: usize,
    /// Whether some of them are gone.
    pub gone: bool,
    /// Whether the content of some could not be read.
    pub damaged: bool,
    /// The responses.
    pub output: Output,
    /// What the responses tell the client of flags.
    pub entries: Vec<Entry>,
    /// What the responses disclose, to be handed over once acknowledged.
    pub disclosed: Vec<Acknowledged>,
}

impl Plan {
    /// From FETCH's items; UID FETCH always answers the UID (RFC 3501 §6.4.8).
    #[must_use]
    pub fn new(mut items: Vec<Item>, uid: bool, read_only: bool) -> Self {
        if uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let content = |item: &Item| matches!(item, Item::Octets(octets) if octets.is_content());
        let listed = |item: &Item| match item {
            Item::Envelope | Item::Body | Item::BodyStructure => true,
            Item::Octets(octets) => !octets.is_content(),
            _ => false,
        };
        let reads = |item: &Item| matches!(item, Item::Octets(octets) if octets.is_content() && octets.sets_seen());
        let sections = items.iter().filter_map(|item| match item {
            Item::Octets(octets) if octets.is_content() => Some(octets.asked()),
            _ => None,
        });
        Self {
            sections: sections.collect::<Vec<_>>().join(" "),
            lists: items.iter().any(listed),
            discloses: items.iter().any(content),
            seen: !read_only && items.iter().any(reads),
            uid,
            items,
        }
    }

    /// Whether a session's view knows all of it: UIDs and flags.
    #[must_use]
    pub fn is_in_view(&self) -> bool {
        self.items
            .iter()
            .all(|item| matches!(item, Item::Uid | Item::Flags))
    }

    /// The response from a session's view.
    pub fn write_from_view(&self, target: &Target, entry: &Entry, output: &mut Output) {
        begin(output, target);
        for (at, item) in self.items.iter().enumerate() {
            output.put(if at == 0 { "" } else { " " });
            match item {
                Item::Flags => write_flags(output.put("FLAGS "), &entry.flags, target.recent),
                _ => {
                    output.put("UID ").number(u64::from(entry.uid));
                }
            }
        }
        output.put(")\r\n");
    }
}

/// Serves one window.
///
/// # Errors
/// The store's; then nothing of the window is sent.
pub fn serve(store: &Store, window: &Window) -> Result<Fetched, StoreError> {
    let rest = window.targets.get(window.begin..).unwrap_or_default();
    let rest = rest
        .get(..rest.len().min(FETCH_WINDOW_MESSAGES_MAX))
        .unwrap_or_default();
    let uids: Vec<u32> = rest.iter().map(|target| target.uid).collect();
    let described = by_uid(store.describe(window.mailbox, &uids)?, |description| {
        description.uid
    });
    let taken = if window.plan.discloses {
        fitting(rest, &described)
    } else {
        rest.len()
    };
    // Invariant: `fitting` answers at most the number of targets.
    let uids: Vec<u32> = uids[..taken]
        .iter()
        .copied()
        .filter(|uid| described.contains_key(uid))
        .collect();

    let mut listings = HashMap::new();
    if window.plan.lists {
        listings = by_uid(store.list(&window.by, window.mailbox, &uids)?, |listing| {
            listing.uid
        });
    }
    let mut disclosures = HashMap::new();
    if window.plan.discloses {
        let wanted = |uid: &u32| Wanted {
            uid: *uid,
            seen: window.plan.seen,
            sections: window.plan.sections.clone(),
        };
        let wanted = uids.iter().map(wanted).collect();
        disclosures = by_uid(
            store.disclose(&window.by, window.mailbox, wanted)?,
            Disclosure::uid,
        );
    }
    let mut fetched = Fetched {
        taken,
        ..Fetched::default()
    };
    for target in &rest[..taken] {
        let Some(description) = described.get(&target.uid) else {
            fetched.gone = true;
            continue;
        };
        let disclosure = disclosures.remove(&target.uid);
        let listing = listings.remove(&target.uid);
        let is_there = |wanted: bool, found: bool| !wanted || found;
        if !is_there(window.plan.discloses, disclosure.is_some())
            || !is_there(window.plan.lists, listing.is_some())
        {
            fetched.gone = true;
            continue;
        }
        let answered = answer(
            &window.plan,
            target,
            description,
            listing,
            disclosure,
            &mut fetched,
        );
        unless_erased(answered, &mut fetched)?;
    }
    Ok(fetched)
}

/// A letter erased between the look at its row and the reading of its octets is expunged next.
fn unless_erased(
    answered: Result<(), StoreError>,
    fetched: &mut Fetched,
) -> Result<(), StoreError> {
    if let Err(StoreError::NotFound(_)) = answered {
        fetched.gone = true;
        return Ok(());
    }
    answered
}

/// How many targets fit a window by the octets that are opened for them; at least one.
fn fitting(targets: &[Target], described: &HashMap<u32, Description>) -> usize {
    let mut octets = 0;
    let fits = |target: &&Target| {
        octets += described
            .get(&target.uid)
            .map_or(0, |description| description.size);
        octets <= FETCH_WINDOW_OCTETS_MAX
    };
    targets
        .iter()
        .take_while(fits)
        .count()
        .max(targets.len().min(1))
}

fn by_uid<T>(all: Vec<T>, uid: impl Fn(&T) -> u32) -> HashMap<u32, T> {
    all.into_iter().map(|one| (uid(&one), one)).collect()
}

/// One message as it is served.
struct Message<'a> {
    listing: Option<&'a Listing>,
    /// The original, if it is disclosed.
    octets: Option<Arc<[u8]>>,
    /// What of the original the response has.
    covered: Vec<Range<u64>>,
}

fn answer(
    plan: &Plan,
    target: &Target,
    description: &Description,
    listing: Option<Listing>,
    disclosure: Option<Disclosure>,
    fetched: &mut Fetched,
) -> Result<(), StoreError> {
    let octets = match disclosure.as_ref().map(Disclosure::octets).transpose() {
        Ok(octets) => octets,
        Err(StoreError::Damaged(what)) => {
            tracing::error!(%what, "a letter cannot be served");
            fetched.damaged = true;
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let source = disclosure
        .as_ref()
        .map(Disclosure::listing)
        .or(listing.as_ref());
    let mut message = Message {
        listing: source,
        octets,
        covered: Vec::new(),
    };
    let entry = match &disclosure {
        Some(disclosure) => disclosure.entry().clone(),
        None => Entry {
            uid: description.uid,
            modseq: description.modseq,
            flags: description.flags.clone(),
        },
    };
    let mut output = Output::new();
    begin(&mut output, target);
    for (at, item) in plan.items.iter().enumerate() {
        output.put(if at == 0 { "" } else { " " });
        match item {
            Item::Flags => write_flags(output.put("FLAGS "), &entry.flags, target.recent),
            Item::Uid => drop(output.put("UID ").number(u64::from(target.uid))),
            Item::Size => drop(output.put("RFC822.SIZE ").number(description.size)),
            Item::InternalDate => {
                output
                    .put("INTERNALDATE \"")
                    .put(description.received.imap_internal_date())
                    .put("\"");
            }
            Item::Envelope => {
                message.structure(&mut output, "ENVELOPE ", |structure| &structure.envelope)
            }
            Item::Body => message.structure(&mut output, "BODY ", |structure| &structure.body),
            Item::BodyStructure => {
                message.structure(&mut output, "BODYSTRUCTURE ", |structure| {
                    &structure.body_structure
                });
            }
            Item::Octets(octets) => message.octets(&mut output, octets)?,
        }
    }
    // RFC 3501 §6.4.5: if \Seen is new, the client is told in the same response.
    let told = plan.items.contains(&Item::Flags);
    let changed = entry.flags != description.flags;
    if changed && !told {
        write_flags(output.put(" FLAGS "), &entry.flags, target.recent);
    }
    output.put(")\r\n");
    fetched.output.append(output);
    if told || changed {
        fetched.entries.push(entry);
    }
    let covered = united(message.covered);
    if let Some(disclosure) = disclosure {
        let header = &disclosure.listing().structure.header;
        let header = covered
            .iter()
            .any(|range| range.start <= header.start && header.end <= range.end);
        fetched.disclosed.push(Acknowledged {
            disclosure,
            covered,
            header,
        });
    }
    Ok(())
}

fn begin(output: &mut Output, target: &Target) {
    output
        .put("* ")
        .number(u64::from(target.number))
        .put(" FETCH (");
}

impl Message<'_> {
    fn structure(&self, output: &mut Output, name: &str, field: fn(&Structure) -> &Vec<u8>) {
        output.put(name);
        match self.listing {
            Some(listing) => output.put(field(&listing.structure)),
            None => output.put("NIL"),
        };
    }

    fn octets(&mut self, output: &mut Output, asked: &Octets) -> Result<(), StoreError> {
        output.put(asked.name()).put(" ");
        let Some(listing) = self.listing else {
            output.put("NIL");
            return Ok(());
        };
        let place = match asked.section.text {
            SectionText::Whole => Place::Whole,
            SectionText::Header | SectionText::Fields { .. } => Place::Header,
            SectionText::Text => Place::Text,
            SectionText::Mime => Place::Mime,
        };
        let Some(range) = listing.structure.section(&asked.section.part, place) else {
            output.put("NIL");
            return Ok(());
        };
        let traced = asked.section.part.is_empty() && matches!(place, Place::Whole | Place::Header);
        let trace: &[u8] = if traced { &listing.trace } else { &[] };
        if let SectionText::Fields { names, not } = &asked.section.text {
            let mut header = trace.to_vec();
            header.extend_from_slice(&self.read(listing, &range)?);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let fields = mail::header::header_fields(&header, &names, *not);
            let (from, to) = cut(asked.partial, fields.len());
            // Invariant: `cut` answers a range within the length.
            output.literal(&fields[from..to]);
            return Ok(());
        }
        // The range asked for lies in trace ‖ range: cut there, then sort the octets to the two.
        let octets = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let (from, to) = cut(asked.partial, trace.len().saturating_add(octets));
        output.literal_size(to - from);
        // Invariant: both bounds are at most the trace's length.
        output.put(&trace[from.min(trace.len())..to.min(trace.len())]);
        let (from, to) = (
            from.max(trace.len()) - trace.len(),
            to.max(trace.len()) - trace.len(),
        );
        if from == to {
            return Ok(());
        }
        let original = range.start + from as u64..range.start + to as u64;
        match &self.octets {
            Some(whole) => {
                // Invariant: a structure's ranges lie within its message, which fits in memory.
                output.lend(whole, original.start as usize..original.end as usize);
            }
            None => {
                let part = self.read(listing, &range)?;
                // Invariant: the part has the range's octets, and `from..to` lies within it.
                output.put(&part[from..to]);
            }
        }
        self.covered.push(original);
        Ok(())
    }

    /// A range's octets: of anything if the original is disclosed, else of a header alone.
    fn read(&self, listing: &Listing, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
        match &self.octets {
            Some(whole) => {
                let part = whole.get(range.start as usize..range.end as usize);
                Ok(part.unwrap_or_default().to_vec())
            }
            None => listing.part_header(range),
        }
    }
}

/// `<origin.count>` within so many octets; beyond the end there are none (RFC 3501 §6.4.5).
fn cut(partial: Option<(u32, u32)>, octets: usize) -> (usize, usize) {
    match partial {
        None => (0, octets),
        Some((origin, count)) => {
            let from = (origin as usize).min(octets);
            (from, from.saturating_add(count as usize).min(octets))
        }
    }
}

/// Ranges in order, those that touch joined.
fn united(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut united: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match united.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => united.push(range),
        }
    }
    united
}
