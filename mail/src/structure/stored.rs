//! The compact form of a [`Structure`] that the store keeps: a version octet and then numbers (LEB128) and strings
//! (length and octets) in fixed order. Part numbers are not kept; they follow from the tree.

use std::ops::Range;

use super::{Encoding, Kind, Note, Part, Structure};
use crate::Timestamp;

/// The first octet. Another form gets another number, and this one stays readable.
const VERSION: u8 = 1;

/// Why octets are not a stored structure. Always our own fault: nobody else writes these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Written by a later version of this program.
    #[error("the stored structure has version {0}, which is not known")]
    Version(u8),
    /// Cut off, changed, or never a structure.
    #[error("the stored structure is damaged")]
    Damaged,
}

impl Structure {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let strings = self.envelope.len() + self.body_structure.len() + self.body.len();
        let mut out = Vec::with_capacity(strings + 256 + self.parts.len() * 48);
        out.push(VERSION);
        number(&mut out, self.size);
        number(&mut out, self.header.end);
        for string in [&self.envelope, &self.body_structure, &self.body] {
            octets(&mut out, string);
        }
        for text in [&self.message_id, &self.subject_text, &self.from_text] {
            optional(&mut out, text.as_deref());
        }
        out.push(u8::from(self.date.is_some()));
        out.extend_from_slice(&self.date.map_or(0, Timestamp::as_millis).to_be_bytes());
        let notes: Vec<u8> = self.notes.iter().map(|&note| note as u8).collect();
        octets(&mut out, &notes);
        number(&mut out, self.parts.len() as u64);
        for (index, part) in self.parts.iter().enumerate() {
            // How far back the parent lies; 0 for the root.
            number(
                &mut out,
                part.parent.map_or(0, |parent| (index - parent) as u64),
            );
            out.push(kind_code(part.kind) << 4 | encoding_code(part.encoding));
            for offset in [
                part.mime_header.start,
                part.mime_header.end,
                part.body.start,
                part.body.end,
                part.lines,
            ] {
                number(&mut out, offset);
            }
            octets(&mut out, part.media_type.as_bytes());
            octets(&mut out, part.media_subtype.as_bytes());
            optional(&mut out, part.charset.as_deref());
        }
        out
    }

    /// Reads what [`Structure::to_bytes`] wrote. Ranges are checked to lie within the message and within each other, so
    /// that a damaged row cannot make a reader go astray.
    ///
    /// # Errors
    /// [`StoredError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredError> {
        let (&version, rest) = bytes.split_first().ok_or(StoredError::Damaged)?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        Reader { rest }.structure().ok_or(StoredError::Damaged)
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn octets(out: &mut Vec<u8>, octets: &[u8]) {
    number(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// Length + 1 and octets; 0 for none.
fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            number(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
        None => out.push(0),
    }
}

/// What was read of the inside of a part.
#[derive(Clone, Copy, Default)]
struct Inside {
    children: u32,
    /// Where the last child ends.
    end: u64,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn structure(&mut self) -> Option<Structure> {
        let size = self.number()?;
        let header = 0..self.number()?;
        let [envelope, body_structure, body] = [
            self.octets()?.to_vec(),
            self.octets()?.to_vec(),
            self.octets()?.to_vec(),
        ];
        let [message_id, subject_text, from_text] =
            [self.optional()?, self.optional()?, self.optional()?];
        let has_date = self.octet()? != 0;
        let millis = i64::from_be_bytes(self.take(8)?.try_into().ok()?);
        let date = has_date.then(|| Timestamp::from_millis(millis));
        let notes = self
            .octets()?
            .iter()
            .map(|&code| note_of(code))
            .collect::<Option<Vec<_>>>()?;
        let count = usize::try_from(self.number()?).ok()?;
        // Every part takes more than one octet: a false count asks for no memory.
        if count == 0 || count > self.rest.len() {
            return None;
        }
        let mut parts: Vec<Part> = Vec::with_capacity(count.min(2048));
        let mut inside = vec![Inside::default(); count];
        for index in 0..count {
            let part = self.part(index, &parts, &mut inside, size)?;
            parts.push(part);
        }
        let whole =
            self.rest.is_empty() && parts.first().is_some_and(|root| root.mime_header == header);
        let filled = parts
            .iter()
            .zip(&inside)
            .all(|(part, inside)| (part.kind == Kind::Leaf) == (inside.children == 0));
        let structure = Structure {
            size,
            header,
            parts,
            envelope,
            body_structure,
            body,
            message_id,
            date,
            subject_text,
            from_text,
            notes,
        };
        (whole && filled).then_some(structure)
    }

    fn part(
        &mut self,
        index: usize,
        parts: &[Part],
        inside: &mut [Inside],
        size: u64,
    ) -> Option<Part> {
        let back = usize::try_from(self.number()?).ok()?;
        let code = self.octet()?;
        let mime_header = self.range()?;
        let body = self.range()?;
        let lines = self.number()?;
        if mime_header.end > body.start {
            return None;
        }
        let (parent, section) = if index == 0 {
            let whole = back == 0 && mime_header.start == 0 && body.end == size;
            whole.then_some((None, Vec::new()))?
        } else {
            let parent = index.checked_sub(back).filter(|&parent| parent < index)?;
            let (outer, inside) = (parts.get(parent)?, inside.get_mut(parent)?);
            let first = outer.body.start.max(inside.end);
            let fits = match outer.kind {
                Kind::Message => mime_header.start == first && body.end == outer.body.end,
                _ => first <= mime_header.start && body.end <= outer.body.end,
            };
            inside.children += 1;
            inside.end = body.end;
            let section = section_below(parts, parent, inside.children)?;
            fits.then_some((Some(parent), section))?
        };
        let [media_type, media_subtype] = [self.text()?, self.text()?];
        let charset = self.optional()?;
        let (kind, encoding) = (kind_of(code >> 4)?, encoding_of(code & 15)?);
        Some(Part {
            section,
            parent,
            kind,
            mime_header,
            body,
            lines,
            encoding,
            media_type,
            media_subtype,
            charset,
        })
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 127);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if octet < 128 {
                return Some(value);
            }
        }
        None
    }

    fn range(&mut self) -> Option<Range<u64>> {
        let range = self.number()?..self.number()?;
        (range.start <= range.end).then_some(range)
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.octets()?).ok()?.to_owned())
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.number()?.checked_sub(1) {
            None => Some(None),
            Some(length) => {
                let octets = self.take(usize::try_from(length).ok()?)?;
                Some(Some(std::str::from_utf8(octets).ok()?.to_owned()))
            }
        }
    }
}

/// The part number of child `nth` of `parent`; `None` if such a part has no such child.
fn section_below(parts: &[Part], parent: usize, nth: u32) -> Option<Vec<u32>> {
    let outer = parts.get(parent)?;
    let mut section = outer.section.clone();
    match outer.kind {
        Kind::Leaf => return None,
        Kind::Multipart => section.push(nth),
        // A message has one root, and it follows at once.
        Kind::Message if nth == 1 && parts.len() == parent + 1 => {
            if super::scan::is_root_of_message(parts, parent) {
                section.push(1);
            }
        }
        Kind::Message => return None,
    }
    // In this order a part's parent is the part before it or one of that one's parents.
    let mut before = Some(parts.len().checked_sub(1)?);
    while before > Some(parent) {
        before = parts.get(before?)?.parent;
    }
    (before == Some(parent) && section.len() <= super::scan::DEPTH_MAX + 1).then_some(section)
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Leaf => 0,
        Kind::Multipart => 1,
        Kind::Message => 2,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    [Kind::Leaf, Kind::Multipart, Kind::Message]
        .into_iter()
        .find(|&kind| kind_code(kind) == code)
}

fn encoding_code(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::SevenBit => 0,
        Encoding::EightBit => 1,
        Encoding::Binary => 2,
        Encoding::QuotedPrintable => 3,
        Encoding::Base64 => 4,
        Encoding::Other => 5,
    }
}

fn encoding_of(code: u8) -> Option<Encoding> {
    use Encoding::{Base64, Binary, EightBit, Other, QuotedPrintable, SevenBit};
    [SevenBit, EightBit, Binary, QuotedPrintable, Base64, Other]
        .into_iter()
        .find(|&known| encoding_code(known) == code)
}

fn note_of(code: u8) -> Option<Note> {
    use Note::*;
    let known = [
        MissingDate,
        UnreadableDate,
        MissingMessageId,
        MissingFrom,
        EightBitHeader,
        EightBitBody,
        LongLine,
        Nul,
        NoEmptyLine,
        MissingBoundary,
        EmptyMultipart,
        UnclosedMultipart,
        TooManyParts,
        TooDeep,
        RepeatedField,
    ];
    known.into_iter().find(|&note| note as u8 == code)
}
