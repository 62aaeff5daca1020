//! One pass over the lines of a message: where its parts begin and end (RFC 2046 §5.1).
//!
//! The multiparts and messages that are open lie on a stack of limited depth, so neither nesting nor the number of parts
//! costs more than the limits below allow, and time is linear.

use memchr::memchr;

use super::{Encoding, Kind, Note, Part};
use crate::mime::{ContentType, Mime};

/// How many parts are told apart. Letters have a handful; the stored index of a message stays well below a megabyte.
/// A multipart that goes on past the limit ends with one opaque part, so there are at most [`DEPTH_MAX`] more.
const PARTS_MAX: usize = 1000;
/// How deep multiparts and messages are opened: a forward of a forward takes two or three. Writing BODYSTRUCTURE recurses
/// as deep as this.
pub(super) const DEPTH_MAX: usize = 50;
/// RFC 2046 §5.1.1 allows 70; longer ones are met and understood up to here.
const BOUNDARY_OCTETS_MAX: usize = 250;

/// What [`scan`] found.
pub(super) struct Scanned<'a> {
    pub parts: Vec<Part>,
    /// The MIME fields of the part with the same index.
    pub mimes: Vec<Mime<'a>>,
    pub line_octets_longest: u64,
    pub notes: Vec<Note>,
}

/// Finds the parts of `original`.
pub(super) fn scan(original: &[u8]) -> Scanned<'_> {
    let mut scan = Scan {
        octets: original,
        scanned: Scanned {
            parts: Vec::new(),
            mimes: Vec::new(),
            line_octets_longest: 0,
            notes: Vec::new(),
        },
        open: Vec::new(),
        place: Place::Between,
        lines: 0,
    };
    scan.begin(None, Vec::new(), 0, ContentType::plain_text());
    scan.lines();
    scan.scanned
}

struct Scan<'a> {
    octets: &'a [u8],
    scanned: Scanned<'a>,
    /// From the outermost to the innermost.
    open: Vec<Open>,
    place: Place,
    /// Line ends before the current line.
    lines: u64,
}

/// A multipart or a message whose end is not yet met.
struct Open {
    part: usize,
    /// `None`: a message.
    boundary: Option<Vec<u8>>,
    children: u32,
    /// The final boundary was met; what follows is epilogue.
    closed: bool,
    /// The last child is the opaque rest.
    full: bool,
}

/// Where the current line lies.
enum Place {
    /// In the header of this part; the type is what it is without a Content-Type.
    Header(usize, ContentType),
    /// In the body of this leaf.
    Leaf(usize),
    /// In a preamble or an epilogue.
    Between,
}

/// Where a part ends because of the line that follows it.
#[derive(Clone, Copy)]
struct End {
    /// Before the line end that belongs to the boundary.
    at: usize,
    /// Where the line begins.
    line: usize,
}

impl<'a> Scan<'a> {
    fn lines(&mut self) {
        let mut start = 0;
        while let Some(rest) = self.octets.get(start..).filter(|rest| !rest.is_empty()) {
            let found = memchr(b'\n', rest);
            let next = start + found.map_or(rest.len(), |found| found + 1);
            // Invariant: `found` is an index of `rest`.
            let line = &rest[..found.unwrap_or(rest.len())];
            let ended = found.is_some();
            let line = line.strip_suffix(b"\r").filter(|_| ended).unwrap_or(line);
            // A CR at the very end is text, not an empty line.
            self.line(line, start, next);
            self.lines += u64::from(ended);
            self.scanned.line_octets_longest =
                self.scanned.line_octets_longest.max(line.len() as u64);
            start = next;
        }
        let end = End {
            at: self.octets.len(),
            line: self.octets.len(),
        };
        self.finish_header(end);
        self.close(0, end);
    }

    fn line(&mut self, line: &[u8], start: usize, next: usize) {
        if line.starts_with(b"--")
            && let Some((level, last)) = self.boundary(line)
        {
            self.delimiter(level, last, start, next);
        } else if line.is_empty() && matches!(self.place, Place::Header(..)) {
            self.lines += 1;
            self.body(next);
            self.lines -= 1;
        }
    }

    /// Which open multipart a line that begins with `--` belongs to, and whether it is the final one. The whole line must
    /// be the delimiter, white space at its end apart: one boundary may be the beginning of another.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.get(2..)?.trim_ascii_end();
        self.open
            .iter()
            .enumerate()
            .rev()
            .find_map(|(level, open)| {
                let boundary = open.boundary.as_deref().filter(|_| !open.closed)?;
                match text.strip_prefix(boundary)? {
                    b"" => (!open.full).then_some((level, false)),
                    b"--" => Some((level, true)),
                    _ => None,
                }
            })
    }

    fn delimiter(&mut self, level: usize, last: bool, start: usize, next: usize) {
        let before = self.octets.get(..start).unwrap_or_default();
        let at = before.strip_suffix(b"\n").unwrap_or(before);
        let at = at
            .strip_suffix(b"\r")
            .filter(|_| at.len() < start)
            .unwrap_or(at);
        let end = End {
            at: at.len(),
            line: start,
        };
        self.finish_header(end);
        self.close(level + 1, end);
        self.place = Place::Between;
        let Some(open) = self.open.get_mut(level) else {
            return;
        };
        if last {
            open.closed = true;
            return;
        }
        open.children += 1;
        let (parent, number) = (open.part, open.children);
        let Some(part) = self.scanned.parts.get(parent) else {
            return;
        };
        let mut section = part.section.clone();
        section.push(number);
        // RFC 2046 §5.1.5.
        let default = if part.media_type == "multipart" && part.media_subtype == "digest" {
            ContentType::new("message", "rfc822")
        } else {
            ContentType::plain_text()
        };
        if self.scanned.parts.len() < PARTS_MAX {
            self.begin(Some(parent), section, next, default);
        } else {
            open.full = true;
            self.scanned.notes.push(Note::TooManyParts);
            self.lines += 1;
            self.opaque(parent, section, next..next);
            self.lines -= 1;
            self.place = Place::Leaf(self.scanned.parts.len() - 1);
        }
    }

    /// Adds a part whose header begins at `start`.
    fn begin(
        &mut self,
        parent: Option<usize>,
        section: Vec<u32>,
        start: usize,
        default: ContentType,
    ) {
        let at = start as u64;
        self.place = Place::Header(self.scanned.parts.len(), default);
        self.scanned.parts.push(Part {
            section,
            parent,
            kind: Kind::Leaf,
            mime_header: at..at,
            body: at..at,
            lines: 0,
            encoding: Encoding::SevenBit,
            media_type: String::new(),
            media_subtype: String::new(),
            charset: None,
        });
        self.scanned.mimes.push(Mime::default());
    }

    /// Adds a leaf without a header of its own.
    fn opaque(&mut self, parent: usize, section: Vec<u32>, body: std::ops::Range<usize>) {
        self.begin(Some(parent), section, body.start, ContentType::plain_text());
        let index = self.scanned.parts.len() - 1;
        self.describe(index, ContentType::new("application", "octet-stream"));
        if let Some(part) = self.scanned.parts.get_mut(index) {
            part.body = body.start as u64..body.end as u64;
            part.lines = self.lines;
        }
    }

    /// The header of the current part, if one is being read, ends without its empty line.
    fn finish_header(&mut self, end: End) {
        // A message/rfc822 without content opens one more header, which is empty.
        while matches!(self.place, Place::Header(..)) {
            self.body(end.line);
        }
    }

    /// The header of the current part ends at `start`; its type says what follows.
    fn body(&mut self, start: usize) {
        let Place::Header(index, default) = std::mem::replace(&mut self.place, Place::Between)
        else {
            return;
        };
        let Some(part) = self.scanned.parts.get_mut(index) else {
            return;
        };
        let header_start = part.mime_header.start;
        part.mime_header.end = start as u64;
        part.body = start as u64..start as u64;
        part.lines = self.lines;
        let section = part.section.clone();
        let header = self
            .octets
            .get(header_start as usize..start)
            .unwrap_or_default();
        let mut mime = Mime::read(header);
        let mut content_type = mime.content_type.take().unwrap_or(default);
        let boundary = boundary_of(&content_type);
        let is_multipart = content_type.is_type("multipart");
        let is_message = content_type.is("message", "rfc822");
        let mut kind = Kind::Leaf;
        if is_multipart && boundary.is_none() {
            self.scanned.notes.push(Note::MissingBoundary);
            content_type = ContentType::plain_text();
        } else if is_multipart || is_message {
            let fits = self.scanned.parts.len() < PARTS_MAX;
            if self.open.len() >= DEPTH_MAX || (is_message && !fits) {
                self.scanned.notes.push(if fits {
                    Note::TooDeep
                } else {
                    Note::TooManyParts
                });
                content_type = ContentType::new("application", "octet-stream");
            } else {
                kind = if is_message {
                    Kind::Message
                } else {
                    Kind::Multipart
                };
            }
        }
        if let Some(slot) = self.scanned.mimes.get_mut(index) {
            *slot = mime;
        }
        self.describe(index, content_type);
        self.enter(index, kind, boundary, (section, start));
    }

    /// Goes on with the inside of a part.
    fn enter(
        &mut self,
        index: usize,
        kind: Kind,
        boundary: Option<Vec<u8>>,
        inside: (Vec<u32>, usize),
    ) {
        if kind == Kind::Leaf {
            self.place = Place::Leaf(index);
            return;
        }
        if let Some(part) = self.scanned.parts.get_mut(index) {
            part.kind = kind;
        }
        let boundary = boundary.filter(|_| kind == Kind::Multipart);
        self.open.push(Open {
            part: index,
            boundary,
            children: 0,
            closed: false,
            full: false,
        });
        if kind == Kind::Message {
            let (mut section, start) = inside;
            if is_root_of_message(&self.scanned.parts, index) {
                section.push(1);
            }
            self.begin(Some(index), section, start, ContentType::plain_text());
        }
    }

    /// Gives a part its type and encoding.
    fn describe(&mut self, index: usize, content_type: ContentType) {
        let (Some(part), Some(mime)) = (
            self.scanned.parts.get_mut(index),
            self.scanned.mimes.get_mut(index),
        ) else {
            return;
        };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        part.encoding = encoding_of(mime.encoding.as_deref());
        part.media_type = text(&content_type.media_type).to_ascii_lowercase();
        part.media_subtype = text(&content_type.media_subtype).to_ascii_lowercase();
        part.charset = content_type
            .parameter("charset")
            .filter(|_| part.media_type == "text")
            .map(text);
        mime.content_type = Some(content_type);
    }

    /// Ends the current leaf and every open part from `level` inwards.
    fn close(&mut self, level: usize, end: End) {
        let mut inner = end.at as u64;
        if let Place::Leaf(index) = self.place {
            inner = self.end_part(index, end, inner);
        }
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { break };
            inner = self.end_part(open.part, end, inner);
            if open.boundary.is_some() && !open.closed {
                self.scanned.notes.push(Note::UnclosedMultipart);
            }
            if open.boundary.is_some() && open.children == 0 {
                self.fill(open.part);
            }
        }
    }

    /// Sets a part's end, not before the end of what lies in it, and answers it.
    fn end_part(&mut self, index: usize, end: End, inner: u64) -> u64 {
        let Some(part) = self.scanned.parts.get_mut(index) else {
            return inner;
        };
        part.body.end = inner.max(part.body.start);
        // The line end before a boundary belongs to the boundary, unless the part could not do without it.
        let outside = u64::from(end.at < end.line && part.body.end <= end.at as u64);
        // Until here `lines` had the count at the beginning of the body.
        part.lines = self
            .lines
            .saturating_sub(outside)
            .saturating_sub(part.lines);
        part.body.end
    }

    /// A multipart without parts gets one leaf that is all of its body: BODYSTRUCTURE cannot have none (RFC 3501 §9
    /// `body-type-mpart`), and its octets are to be had like any others.
    fn fill(&mut self, index: usize) {
        let Some(part) = self.scanned.parts.get(index) else {
            return;
        };
        let (mut section, body, lines) = (part.section.clone(), part.body.clone(), part.lines);
        section.push(1);
        self.scanned.notes.push(Note::EmptyMultipart);
        self.opaque(index, section, body.start as usize..body.end as usize);
        let added = self.scanned.parts.len() - 1;
        self.describe(added, ContentType::plain_text());
        if let Some(part) = self.scanned.parts.get_mut(added) {
            part.lines = lines;
        }
    }
}

/// Whether a part is all of a message: then its own number is that of the message and a 1.
pub(super) fn is_root_of_message(parts: &[Part], index: usize) -> bool {
    let parent = parts.get(index).and_then(|part| part.parent);
    parent.is_none_or(|parent| {
        parts
            .get(parent)
            .is_some_and(|part| part.kind == Kind::Message)
    })
}

fn boundary_of(content_type: &ContentType) -> Option<Vec<u8>> {
    let boundary = content_type.parameter("boundary")?.trim_ascii_end();
    (1..=BOUNDARY_OCTETS_MAX)
        .contains(&boundary.len())
        .then(|| boundary.to_vec())
}

fn encoding_of(name: Option<&[u8]>) -> Encoding {
    match name.unwrap_or(b"7bit").to_ascii_lowercase().as_slice() {
        b"7bit" => Encoding::SevenBit,
        b"8bit" => Encoding::EightBit,
        b"binary" => Encoding::Binary,
        b"quoted-printable" => Encoding::QuotedPrintable,
        b"base64" => Encoding::Base64,
        _ => Encoding::Other,
    }
}
