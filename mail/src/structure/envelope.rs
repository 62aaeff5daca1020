//! ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2): raw header text, unfolded, neither decoded nor repaired.

use super::addresses::write_addresses;
use super::string::write_nstring;
use crate::header::{fields, unfold};
use crate::mime::VALUE_OCTETS_MAX;

/// The fields of one header that ENVELOPE is made of, still folded.
#[derive(Debug, Default)]
struct Source<'a> {
    date: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    from: Vec<&'a [u8]>,
    sender: Vec<&'a [u8]>,
    reply_to: Vec<&'a [u8]>,
    to: Vec<&'a [u8]>,
    cc: Vec<&'a [u8]>,
    bcc: Vec<&'a [u8]>,
    in_reply_to: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
}

/// Writes the `envelope` of the message whose header this is.
pub(super) fn write_envelope(out: &mut Vec<u8>, header: &[u8]) {
    let source = Source::read(header);
    let text =
        |out: &mut Vec<u8>, value: Option<&[u8]>| write_nstring(out, value.map(unfold).as_deref());
    out.push(b'(');
    text(out, source.date);
    out.push(b' ');
    text(out, source.subject);
    out.push(b' ');
    let from_start = out.len();
    write_addresses(out, &source.from);
    let from = from_start..out.len();
    // A missing or empty Sender or Reply-To is answered with From (RFC 9051 §7.5.2).
    for values in [&source.sender, &source.reply_to] {
        out.push(b' ');
        let start = out.len();
        write_addresses(out, values);
        if out.get(start..) == Some(b"NIL") {
            out.truncate(start);
            out.extend_from_within(from.clone());
        }
    }
    for values in [&source.to, &source.cc, &source.bcc] {
        out.push(b' ');
        write_addresses(out, values);
    }
    out.push(b' ');
    text(out, source.in_reply_to);
    out.push(b' ');
    text(out, source.message_id);
    out.push(b')');
}

impl<'a> Source<'a> {
    fn read(header: &'a [u8]) -> Self {
        let mut source = Self::default();
        for field in fields(header) {
            let value = field.value.get(..VALUE_OCTETS_MAX).unwrap_or(field.value);
            if let Some(list) = source.list(field.name) {
                list.push(value);
            } else if let Some(text) = source.text(field.name) {
                // Of fields that may stand once the first counts.
                *text = text.or(Some(value));
            }
        }
        for once in [&mut source.from, &mut source.sender, &mut source.reply_to] {
            once.truncate(1);
        }
        source
    }

    /// Several fields of destinations are one list (RFC 5322 §4.5.3).
    fn list(&mut self, name: &[u8]) -> Option<&mut Vec<&'a [u8]>> {
        let is = |want: &str| name.eq_ignore_ascii_case(want.as_bytes());
        match name.len() {
            2 if is("to") => Some(&mut self.to),
            2 if is("cc") => Some(&mut self.cc),
            3 if is("bcc") => Some(&mut self.bcc),
            4 if is("from") => Some(&mut self.from),
            6 if is("sender") => Some(&mut self.sender),
            8 if is("reply-to") => Some(&mut self.reply_to),
            _ => None,
        }
    }

    fn text(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        let is = |want: &str| name.eq_ignore_ascii_case(want.as_bytes());
        match name.len() {
            4 if is("date") => Some(&mut self.date),
            7 if is("subject") => Some(&mut self.subject),
            10 if is("message-id") => Some(&mut self.message_id),
            11 if is("in-reply-to") => Some(&mut self.in_reply_to),
            _ => None,
        }
    }
}
