//! BODYSTRUCTURE and BODY (RFC 3501 §7.4.2 and §9 `body`), written from the parts.

use super::envelope::write_envelope;
use super::string::{write_nstring, write_string};
use super::{Kind, Part};
use crate::header::unfold;
use crate::mime::{ContentType, Mime, Parameter};

/// Writes `body`, with its extension data for BODYSTRUCTURE.
pub(super) fn write_body(
    original: &[u8],
    parts: &[Part],
    mimes: &[Mime<'_>],
    extended: bool,
) -> Vec<u8> {
    let mut writer = Writer {
        original,
        parts,
        mimes,
        extended,
        out: Vec::with_capacity(256),
    };
    writer.part(0);
    writer.out
}

struct Writer<'a> {
    original: &'a [u8],
    parts: &'a [Part],
    mimes: &'a [Mime<'a>],
    extended: bool,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// Writes the part at `index` with its inside and answers the index after them. Recurses as deep as parts lie, which
    /// the scan limits to 50.
    fn part(&mut self, index: usize) -> usize {
        let (Some(part), Some(mime)) = (self.parts.get(index), self.mimes.get(index)) else {
            return index + 1;
        };
        let plain = ContentType::plain_text();
        let content_type = mime.content_type.as_ref().unwrap_or(&plain);
        self.out.push(b'(');
        let mut next = index + 1;
        if part.kind == Kind::Multipart {
            while self
                .parts
                .get(next)
                .is_some_and(|child| child.parent == Some(index))
            {
                next = self.part(next);
            }
            self.out.push(b' ');
            write_string(&mut self.out, &content_type.media_subtype);
            if self.extended {
                self.out.push(b' ');
                self.parameters(&content_type.parameters);
                self.extension(mime);
            }
        } else {
            self.fields(part, mime, content_type);
            if part.kind == Kind::Message {
                next = self.message(index);
            }
            if part.kind == Kind::Message || content_type.is_type("text") {
                self.number(part.lines);
            }
            if self.extended {
                self.out.push(b' ');
                write_nstring(&mut self.out, mime.md5.map(unfold).as_deref());
                self.extension(mime);
            }
        }
        self.out.push(b')');
        next
    }

    /// Type, subtype and `body-fields`.
    fn fields(&mut self, part: &Part, mime: &Mime<'_>, content_type: &ContentType) {
        write_string(&mut self.out, &content_type.media_type);
        self.out.push(b' ');
        write_string(&mut self.out, &content_type.media_subtype);
        self.out.push(b' ');
        self.parameters(&content_type.parameters);
        for value in [mime.id, mime.description] {
            self.out.push(b' ');
            write_nstring(&mut self.out, value.map(unfold).as_deref());
        }
        self.out.push(b' ');
        write_string(&mut self.out, mime.encoding.as_deref().unwrap_or(b"7bit"));
        self.number(part.body.end - part.body.start);
    }

    /// The envelope and the body of the message within the part at `index`; answers the index after them.
    fn message(&mut self, index: usize) -> usize {
        let header = self
            .parts
            .get(index + 1)
            .map(|root| root.mime_header.clone())
            .unwrap_or_default();
        let header = self
            .original
            .get(header.start as usize..header.end as usize)
            .unwrap_or_default();
        self.out.push(b' ');
        write_envelope(&mut self.out, header);
        self.out.push(b' ');
        self.part(index + 1)
    }

    /// Disposition, language and location, which end both kinds of extension data.
    fn extension(&mut self, mime: &Mime<'_>) {
        self.out.push(b' ');
        match &mime.disposition {
            Some((kind, parameters)) => {
                self.out.push(b'(');
                write_string(&mut self.out, kind);
                self.out.push(b' ');
                self.parameters(parameters);
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b"NIL"),
        }
        self.out.push(b' ');
        match mime.languages.as_slice() {
            [] => self.out.extend_from_slice(b"NIL"),
            [one] => write_string(&mut self.out, one),
            several => self.list(several.iter()),
        }
        self.out.push(b' ');
        write_nstring(&mut self.out, mime.location.map(unfold).as_deref());
    }

    fn parameters(&mut self, parameters: &[Parameter]) {
        if parameters.is_empty() {
            self.out.extend_from_slice(b"NIL");
        } else {
            self.list(parameters.iter().flat_map(|(name, value)| [name, value]));
        }
    }

    fn list<'s>(&mut self, strings: impl Iterator<Item = &'s Vec<u8>>) {
        let mut before = b'(';
        for string in strings {
            self.out.push(before);
            write_string(&mut self.out, string);
            before = b' ';
        }
        self.out.push(b')');
    }

    fn number(&mut self, number: u64) {
        self.out.extend_from_slice(format!(" {number}").as_bytes());
    }
}
