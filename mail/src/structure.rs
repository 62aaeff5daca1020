//! What a message is made of, found once at ingress and kept beside it: ranges of its parts, ENVELOPE and BODYSTRUCTURE
//! ready to be sent, the few header values that are asked for again and again.
//!
//! All ranges count octets of the original. Nothing is refused here: what is broken or beyond a limit becomes a part that
//! is one opaque leaf, so that every octet can still be fetched.
//!
//! | module | what |
//! |---|---|
//! | `scan` | one pass over the message: parts and their ranges |
//! | `envelope`, `addresses`, `body`, `string` | octets of IMAP's grammar |
//! | `section` | IMAP section numbers to ranges |
//! | `stored` | the compact form that the store keeps |

mod addresses;
mod body;
mod envelope;
mod scan;
mod section;
mod stored;
mod string;

use std::ops::Range;

use memchr::memchr;

use crate::Timestamp;
use crate::header::{self, fields, unfold};
use crate::text;

pub use section::SectionText;
pub use stored::StoredError;

/// Lines longer than this break RFC 5322 §2.1.1 (998 octets without their CRLF).
const LINE_OCTETS_MAX: u64 = 998;
/// How much of a header value is kept decoded for people: a line or two in a list.
const DISPLAY_OCTETS_MAX: usize = 2048;

/// The structure of one message. See the module's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// Octets of the message.
    pub size: u64,
    /// The header with its empty line; the whole message if there is none.
    pub header: Range<u64>,
    /// Every part in the order of the message, a parent before its children; the first is the root. Never empty.
    pub parts: Vec<Part>,
    /// `envelope` of RFC 3501 §9, 7-bit quoted strings and literals only.
    pub envelope: Vec<u8>,
    /// `body` of RFC 3501 §9 with extension data: what BODYSTRUCTURE answers.
    pub body_structure: Vec<u8>,
    /// `body` without extension data: what BODY answers.
    pub body: Vec<u8>,
    /// The value of Message-ID as sent, unfolded and trimmed; `None` if absent or empty.
    pub message_id: Option<String>,
    /// The moment that Date names, if it can be read.
    pub date: Option<Timestamp>,
    /// Subject, decoded, for people; shortened when long.
    pub subject_text: Option<String>,
    /// The first author of From, decoded, for people: name and address.
    pub from_text: Option<String>,
    /// What is remarkable, in the order of [`Note`], each at most once.
    pub notes: Vec<Note>,
}

/// One part of a message (RFC 2045 §2.4: an entity).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// IMAP's part number. The root of a message bears the number of that message: none for the whole, that of the
    /// message/rfc822 part for its inside. (BODY[n.1] is a root that is no multipart, BODY[n.TEXT] one that is.)
    pub section: Vec<u32>,
    /// The index of the part this one lies in; `None` for the root only.
    pub parent: Option<usize>,
    /// What lies inside.
    pub kind: Kind,
    /// The part's header with its empty line; for the root of a message that is the message's header.
    pub mime_header: Range<u64>,
    /// What follows the header, without the line end that belongs to the next boundary.
    pub body: Range<u64>,
    /// Line ends in the body.
    pub lines: u64,
    /// The Content-Transfer-Encoding.
    pub encoding: Encoding,
    /// In lower case; `application/octet-stream` for an opaque part.
    pub media_type: String,
    /// In lower case.
    pub media_subtype: String,
    /// The parameter charset as sent, for text.
    pub charset: Option<String>,
}

/// What lies inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Octets.
    Leaf,
    /// One part or more.
    Multipart,
    /// A message (RFC 2046 §5.2.1): its root is the next part.
    Message,
}

/// Content-Transfer-Encoding (RFC 2045 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `7bit`, also when the field is absent.
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// A name that RFC 2045 does not have.
    Other,
}

/// Something remarkable about a message: accepted and noted, or refused, as the contract says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Note {
    /// No Date field (RFC 5322 §3.6 wants one).
    MissingDate = 0,
    /// A Date field that names no moment.
    UnreadableDate = 1,
    /// No Message-ID, or an empty one: no de-duplication.
    MissingMessageId = 2,
    /// No From field.
    MissingFrom = 3,
    /// Octets above 127 in the header.
    EightBitHeader = 4,
    /// Octets above 127 after the header.
    EightBitBody = 5,
    /// A line of more than 998 octets.
    LongLine = 6,
    /// A NUL octet.
    Nul = 7,
    /// No empty line: the message is all header.
    NoEmptyLine = 8,
    /// A multipart type without a boundary that can be used.
    MissingBoundary = 9,
    /// A multipart that none of its boundaries opens.
    EmptyMultipart = 10,
    /// A multipart whose final boundary is missing.
    UnclosedMultipart = 11,
    /// More parts than are looked at: the rest is one opaque part.
    TooManyParts = 12,
    /// Deeper than is looked at: the inside is one opaque part.
    TooDeep = 13,
    /// Two or more of a field that may stand once, among Date, From, Subject, Message-ID.
    RepeatedField = 14,
}

impl Note {
    /// The word by which evidence names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingDate => "missing-date",
            Self::UnreadableDate => "unreadable-date",
            Self::MissingMessageId => "missing-message-id",
            Self::MissingFrom => "missing-from",
            Self::EightBitHeader => "eight-bit-header",
            Self::EightBitBody => "eight-bit-body",
            Self::LongLine => "long-line",
            Self::Nul => "nul",
            Self::NoEmptyLine => "no-empty-line",
            Self::MissingBoundary => "missing-boundary",
            Self::EmptyMultipart => "empty-multipart",
            Self::UnclosedMultipart => "unclosed-multipart",
            Self::TooManyParts => "too-many-parts",
            Self::TooDeep => "too-deep",
            Self::RepeatedField => "repeated-field",
        }
    }
}

impl Structure {
    /// Looks once over the octets of a message, in time linear to its size.
    pub fn examine(original: &[u8]) -> Self {
        let scanned = scan::scan(original);
        let header_end = header::end(original);
        // Invariant: `header::end` is at most the length.
        let (head, content) = original.split_at(header_end);
        let envelope = {
            let mut out = Vec::with_capacity(512);
            envelope::write_envelope(&mut out, head);
            out
        };
        let body_structure = body::write_body(original, &scanned.parts, &scanned.mimes, true);
        let body = body::write_body(original, &scanned.parts, &scanned.mimes, false);
        let known = Known::read(head);
        let mut notes = scanned.notes;
        let mut note = |holds: bool, note: Note| notes.extend(holds.then_some(note));
        note(known.date.is_none(), Note::MissingDate);
        let date = known.date.and_then(text::date);
        note(known.date.is_some() && date.is_none(), Note::UnreadableDate);
        let message_id = known
            .message_id
            .map(|value| String::from_utf8_lossy(&unfold(value)).into_owned());
        let message_id = message_id.filter(|id| !id.is_empty());
        note(message_id.is_none(), Note::MissingMessageId);
        note(known.from.is_none(), Note::MissingFrom);
        note(known.repeated, Note::RepeatedField);
        note(!head.is_ascii(), Note::EightBitHeader);
        note(!content.is_ascii(), Note::EightBitBody);
        note(
            scanned.line_octets_longest > LINE_OCTETS_MAX,
            Note::LongLine,
        );
        note(memchr(0, original).is_some(), Note::Nul);
        note(!has_empty_line(head), Note::NoEmptyLine);
        notes.sort_unstable();
        notes.dedup();
        Self {
            size: original.len() as u64,
            header: 0..header_end as u64,
            parts: scanned.parts,
            envelope,
            body_structure,
            body,
            message_id,
            date,
            subject_text: known
                .subject
                .map(|value| for_people(text::unstructured(value))),
            from_text: known.from.and_then(text::first_author).map(for_people),
            notes,
        }
    }

    /// Everything after the header's empty line.
    pub fn content(&self) -> Range<u64> {
        self.header.end..self.size
    }

    /// The body ranges of the parts that a reader gets whole: leaves, and messages within the message, whose inside is
    /// not looked into.
    pub fn leaves(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut message = None;
        self.parts
            .iter()
            .enumerate()
            .filter_map(move |(index, part)| {
                // In this order the inside of part m is the run of parts after it whose parents are m or later.
                if message.is_some() && part.parent >= message {
                    return None;
                }
                message = (part.kind == Kind::Message).then_some(index);
                (part.kind != Kind::Multipart).then(|| part.body.clone())
            })
    }
}

/// Octets of a header's field values, still folded.
#[derive(Default)]
struct Known<'a> {
    date: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
    from: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Known<'a> {
    fn read(head: &'a [u8]) -> Self {
        let mut known = Self::default();
        for field in fields(head) {
            let slot = match field.name.len() {
                4 if field.is("date") => &mut known.date,
                4 if field.is("from") => &mut known.from,
                7 if field.is("subject") => &mut known.subject,
                10 if field.is("message-id") => &mut known.message_id,
                _ => continue,
            };
            known.repeated |= slot.is_some();
            slot.get_or_insert(field.value);
        }
        known
    }
}

fn has_empty_line(head: &[u8]) -> bool {
    head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") || head == b"\r\n" || head == b"\n"
}

fn for_people(text: String) -> String {
    let visible = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = visible.floor_char_boundary(DISPLAY_OCTETS_MAX);
    visible.get(..end).unwrap_or_default().to_owned()
}
