//! The searched text of a letter: what SEARCH looks at (RFC 9051 §6.4.4), by scan and by index alike.
//!
//! * **Header**: every field of the header as served (the trace block and the original's header), in order, as
//!   `name: value`. Values are unfolded, encoded words decoded (RFC 2047); to Content-Type and Content-Disposition the
//!   parameters that RFC 2231 encodes are added decoded, each as a piece of its own.
//! * **Body**: part by part, in the order of the message,
//!   of every part but the root: its Content-Description and its file name (`filename`, else `name`);
//!   of every message within the message: its header, as above;
//!   of every part of type text/*: its text, transfer encoding and charset undone. HTML as it is seen, without tags,
//!   scripts, styles and comments ([`rendered`]). Lines of calendars and address cards are put together (RFC 5545 §3.1,
//!   RFC 6350 §3.2), flowed text with DelSp too (RFC 3676 §4.5). Other attachments are not searched.
//!   A message that came in base64 or quoted-printable, against RFC 2046 §5.2.1, is looked into as well.
//!
//! Every piece is folded ([`fold`]) and ends with a line end; folded text has no other, so that nothing is found across
//! the border of two pieces. What the examination did not look into ([`Structure::examine`]) is one opaque part and not
//! searched, and nothing beyond [`SEARCHED_OCTETS_MAX`].

use std::borrow::Cow;

use crate::fold::{Needle, fold};
use crate::header::fields;
use crate::mime::{ContentType, Mime};
use crate::rendered::rendered;
use crate::structure::{Encoding, Kind, Part, Structure};
use crate::transfer::{base64, quoted_printable};
use crate::{charset, words};

/// Folded octets of one letter that are searched: far more than a letter has to say, and what a search may hold at once.
/// The text of one part is read no further than this either.
pub const SEARCHED_OCTETS_MAX: usize = 16 * 1024 * 1024;
/// Messages within messages that had to be decoded first: a forward of a forward, made by two bad programs.
const DECODED_DEPTH_MAX: usize = 2;
/// How far into HTML a `<meta charset>` is looked for (HTML §13.2.3.2).
const META_OCTETS_MAX: usize = 1024;

/// The searched text of one letter. See the module's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// The header's pieces.
    pub header: String,
    /// The body's pieces.
    pub body: String,
}

/// The searched text of the letter whose trace block, original and structure these are.
pub fn searched_text(trace: &[u8], original: &[u8], structure: &Structure) -> Searched {
    let mut header = String::new();
    header_pieces(trace, &mut header);
    header_pieces(slice(original, &structure.header), &mut header);
    let mut body = String::new();
    body_pieces(original, structure, 0, &mut body);
    Searched { header, body }
}

impl Searched {
    /// Whether a field called `name` has it (SEARCH's HEADER, SUBJECT, FROM, …); an empty needle asks for the field alone.
    pub fn field_has(&self, name: &str, needle: &Needle) -> bool {
        self.header.lines().any(|line| {
            line.split_once(": ").is_some_and(|(field, value)| {
                field.eq_ignore_ascii_case(name) && needle.is_in(value)
            })
        })
    }

    /// Whether the body has it (SEARCH's BODY).
    pub fn body_has(&self, needle: &Needle) -> bool {
        needle.is_in(&self.body)
    }

    /// Whether the header or the body has it (SEARCH's TEXT).
    pub fn has(&self, needle: &Needle) -> bool {
        needle.is_in(&self.header) || needle.is_in(&self.body)
    }
}

fn header_pieces(header: &[u8], pieces: &mut String) {
    for field in fields(header) {
        if pieces.len() > SEARCHED_OCTETS_MAX {
            return;
        }
        let name = fold(&String::from_utf8_lossy(field.name));
        let mut piece = |value: &str| {
            if !name.is_empty() {
                pieces.push_str(&name);
                pieces.push_str(": ");
            }
            pieces.push_str(&fold(value));
            pieces.push('\n');
        };
        piece(&words::decoded(field.value));
        if matches!(name.as_str(), "content-type" | "content-disposition") {
            let mime = Mime::read(field.octets);
            let of_type = mime.content_type.map(|of_type| of_type.parameters);
            let of_disposition = mime.disposition.map(|(_, parameters)| parameters);
            let parameters = of_type.or(of_disposition).unwrap_or_default();
            for value in words::extended_parameters(&parameters) {
                piece(&value);
            }
        }
    }
}

fn body_pieces(original: &[u8], structure: &Structure, depth: usize, pieces: &mut String) {
    // A message whose inside had to be decoded; the parts that were seen in its code are none.
    let mut undone = None;
    for (index, part) in structure.parts.iter().enumerate() {
        if pieces.len() > SEARCHED_OCTETS_MAX {
            return;
        }
        if undone.is_some() && part.parent >= undone {
            continue;
        }
        undone = None;
        let mime = Mime::read(slice(original, &part.mime_header));
        let outer = part.parent.and_then(|parent| structure.parts.get(parent));
        if outer.is_some_and(|outer| outer.kind != Kind::Message) {
            names(&mime, pieces);
        }
        if part.kind == Kind::Leaf && part.media_type == "text" {
            let text = part_text(original, part, mime.content_type.as_ref());
            put(&text, pieces);
        } else if part.media_type == "message"
            && depth < DECODED_DEPTH_MAX
            && let Some(decoded) = undo(slice(original, &part.body), part.encoding)
        {
            let inner = Structure::examine(&decoded);
            header_pieces(slice(&decoded, &inner.header), pieces);
            body_pieces(&decoded, &inner, depth + 1, pieces);
            undone = Some(index);
        } else if part.kind == Kind::Message
            && let Some(root) = structure.parts.get(index + 1)
        {
            header_pieces(slice(original, &root.mime_header), pieces);
        }
    }
}

/// The octets that an encoding made; `None` if it left them as they are.
fn undo(octets: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Base64 => Some(base64(octets)),
        Encoding::QuotedPrintable => Some(quoted_printable(octets)),
        _ => None,
    }
}

/// Content-Description and the file name of a part.
fn names(mime: &Mime<'_>, pieces: &mut String) {
    if let Some(description) = mime.description {
        put(&words::decoded(description), pieces);
    }
    let of_disposition = mime
        .disposition
        .as_ref()
        .and_then(|(_, parameters)| words::parameter(parameters, "filename"));
    let of_type = || {
        let parameters = &mime.content_type.as_ref()?.parameters;
        words::parameter(parameters, "name")
    };
    if let Some(name) = of_disposition.or_else(of_type) {
        put(&name, pieces);
    }
}

fn put(text: &str, pieces: &mut String) {
    let end = text.floor_char_boundary(SEARCHED_OCTETS_MAX);
    pieces.push_str(&fold(text.get(..end).unwrap_or_default()));
    pieces.push('\n');
}

fn part_text(original: &[u8], part: &Part, mime: Option<&ContentType>) -> String {
    let body = slice(original, &part.body);
    let body = body.get(..SEARCHED_OCTETS_MAX).unwrap_or(body);
    let octets: Cow<'_, [u8]> = match undo(body, part.encoding) {
        Some(octets) => octets.into(),
        None => body.into(),
    };
    let parameter = |name| {
        mime.and_then(|mime| mime.parameter(name))
            .unwrap_or_default()
    };
    match part.media_subtype.as_str() {
        "html" | "x-html" | "xhtml" => {
            let charset = part.charset.clone().or_else(|| charset_within(&octets));
            rendered(&charset::decode(&octets, charset.as_deref()))
        }
        "calendar" | "vcard" | "x-vcard" | "x-vcalendar" | "directory" => {
            let octets = together(&octets, b"", true);
            unescaped(&charset::decode(&octets, part.charset.as_deref()))
        }
        "plain" if parameter("delsp").eq_ignore_ascii_case(b"yes") => {
            let octets = together(&octets, b" ", false);
            charset::decode(&octets, part.charset.as_deref()).into_owned()
        }
        _ => charset::decode(&octets, part.charset.as_deref()).into_owned(),
    }
}

/// Lines put together: where `before` stands before a line end it goes with it; with `space`, only where white space follows,
/// and one octet of that goes too.
fn together(octets: &[u8], before: &[u8], space: bool) -> Vec<u8> {
    let mut joined: Vec<u8> = Vec::with_capacity(octets.len());
    let mut open = false;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let mut line = line;
        if open && space {
            match line.split_first() {
                Some((b' ' | b'\t', rest)) => line = rest,
                _ => joined.push(b'\n'),
            }
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let ended = text.len() < line.len();
        match text.strip_suffix(before) {
            Some(kept) if ended => {
                joined.extend_from_slice(kept);
                open = true;
            }
            _ => {
                joined.extend_from_slice(line);
                open = false;
            }
        }
    }
    joined
}

/// `\n`, `\,`, `\;` and `\\` of RFC 5545 §3.3.11 as what they mean.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => plain.push('\n'),
                escaped => plain.extend(escaped),
            },
            _ => plain.push(character),
        }
    }
    plain
}

/// The charset that HTML itself names, for letters that do not.
fn charset_within(html: &[u8]) -> Option<String> {
    let head = html.get(..META_OCTETS_MAX).unwrap_or(html);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let name = after.trim_start_matches(['"', '\'', ' ']);
    let end =
        name.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')));
    let name = name.get(..end.unwrap_or(name.len()))?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn slice<'a>(original: &'a [u8], range: &std::ops::Range<u64>) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    original
        .get(at(range.start)..at(range.end))
        .unwrap_or_default()
}
