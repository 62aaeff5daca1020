//! MIME header fields as octets (RFC 2045, RFC 2183): tokens and parameters, not decoded; RFC 2231 parameters stay as sent.

use crate::header::{fields, unfold};

/// How much of one field's value is looked at. Real fields have some hundreds of octets; this leaves room for an address
/// field of several thousand people and bounds what one field can put into the stored index.
pub(crate) const VALUE_OCTETS_MAX: usize = 128 * 1024;
/// How many parameters of one field are kept: RFC 2231 splits a long file name into a few dozen at most.
const PARAMETERS_MAX: usize = 200;

/// A parameter's name and value, quoting taken off.
pub(crate) type Parameter = (Vec<u8>, Vec<u8>);

/// The MIME fields of one part. The first field of a name counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mime<'a> {
    pub content_type: Option<ContentType>,
    /// The encoding's name as sent.
    pub encoding: Option<Vec<u8>>,
    pub disposition: Option<(Vec<u8>, Vec<Parameter>)>,
    pub languages: Vec<Vec<u8>>,
    /// These four still folded.
    pub id: Option<&'a [u8]>,
    pub description: Option<&'a [u8]>,
    pub md5: Option<&'a [u8]>,
    pub location: Option<&'a [u8]>,
}

/// The value of Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    pub media_type: Vec<u8>,
    pub media_subtype: Vec<u8>,
    pub parameters: Vec<Parameter>,
}

impl ContentType {
    pub fn new(media_type: &str, media_subtype: &str) -> Self {
        Self {
            media_type: media_type.into(),
            media_subtype: media_subtype.into(),
            parameters: Vec::new(),
        }
    }

    /// What a part without a readable Content-Type is (RFC 2045 §5.2).
    pub fn plain_text() -> Self {
        let charset = (b"charset".to_vec(), b"us-ascii".to_vec());
        Self {
            parameters: vec![charset],
            ..Self::new("text", "plain")
        }
    }

    pub fn is(&self, media_type: &str, media_subtype: &str) -> bool {
        self.is_type(media_type)
            && self
                .media_subtype
                .eq_ignore_ascii_case(media_subtype.as_bytes())
    }

    pub fn is_type(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
    }

    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let named = |(key, _): &&Parameter| key.eq_ignore_ascii_case(name.as_bytes());
        self.parameters
            .iter()
            .find(named)
            .map(|(_, value)| value.as_slice())
    }

    /// `None` if the value is not `type/subtype`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let media_type = cursor.token();
        if cursor.next_visible() != Some(b'/') {
            return None;
        }
        cursor.at += 1;
        let media_subtype = cursor.token();
        if media_type.is_empty() || media_subtype.is_empty() {
            return None;
        }
        Some(Self {
            media_type,
            media_subtype,
            parameters: cursor.parameters(),
        })
    }
}

impl<'a> Mime<'a> {
    /// Reads the MIME fields of `header`.
    pub fn read(header: &'a [u8]) -> Self {
        let mut mime = Self::default();
        for field in fields(header) {
            let Some((prefix, name)) = field.name.split_at_checked(8) else {
                continue;
            };
            if !prefix.eq_ignore_ascii_case(b"content-") {
                continue;
            }
            let value = field.value.get(..VALUE_OCTETS_MAX).unwrap_or(field.value);
            let name = name.to_ascii_lowercase();
            match name.as_slice() {
                b"type" if mime.content_type.is_none() => {
                    mime.content_type = ContentType::parse(&unfold(value))
                }
                b"transfer-encoding" if mime.encoding.is_none() => {
                    mime.encoding =
                        Some(Cursor::new(&unfold(value)).token()).filter(|token| !token.is_empty());
                }
                b"disposition" if mime.disposition.is_none() => {
                    mime.disposition = disposition(&unfold(value))
                }
                b"language" if mime.languages.is_empty() => {
                    mime.languages = languages(&unfold(value))
                }
                b"id" => mime.id = mime.id.or(Some(value)),
                b"description" => mime.description = mime.description.or(Some(value)),
                b"md5" => mime.md5 = mime.md5.or(Some(value)),
                b"location" => mime.location = mime.location.or(Some(value)),
                _ => {}
            }
        }
        mime
    }
}

fn disposition(value: &[u8]) -> Option<(Vec<u8>, Vec<Parameter>)> {
    let mut cursor = Cursor::new(value);
    let kind = cursor.token();
    (!kind.is_empty()).then(|| (kind, cursor.parameters()))
}

/// The tags of Content-Language (RFC 3282).
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut tags = Vec::new();
    while tags.len() < PARAMETERS_MAX && cursor.next_visible().is_some() {
        let tag = cursor.token();
        if tag.is_empty() {
            // A comma, or an octet that belongs in no tag.
            cursor.at += 1;
        } else {
            tags.push(tag);
        }
    }
    tags
}

/// Goes once over the value of a structured field.
pub(crate) struct Cursor<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Goes past white space and comments and shows the next octet.
    fn next_visible(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => {
                    self.comment();
                }
                octet => return Some(octet),
            }
        }
    }

    /// Reads a comment from its `(` and returns its inside, quoting taken off; nesting is counted, not recursed into
    /// (RFC 5322 §3.2.2). Without its `)` a comment goes on to the end.
    pub fn comment(&mut self) -> Vec<u8> {
        let mut inside = Vec::new();
        let mut depth = 1usize;
        self.at += 1;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'\\' => {
                    inside.extend(self.peek());
                    self.at += 1;
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(octet);
        }
        inside
    }

    /// Reads a quoted string from its `"` and returns its inside, quoting taken off (RFC 5322 §3.2.4).
    pub fn quoted(&mut self) -> Vec<u8> {
        let mut inside = Vec::new();
        self.at += 1;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => break,
                b'\\' => {
                    inside.extend(self.peek());
                    self.at += 1;
                }
                _ => inside.push(octet),
            }
        }
        inside
    }

    /// The octets up to one for which `stops` holds.
    pub fn until(&mut self, stops: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|&octet| stops(octet))
            .unwrap_or(rest.len());
        self.at += length;
        // Invariant: `length` is at most the length of `rest`.
        &rest[..length]
    }

    /// White space only; answers whether there was any.
    pub fn space(&mut self) -> bool {
        !self
            .until(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n'))
            .is_empty()
    }

    /// The octet here, not consumed.
    pub fn here(&self) -> Option<u8> {
        self.peek()
    }

    /// Goes past one octet.
    pub fn step(&mut self) {
        self.at += 1;
    }

    /// A token (RFC 2045 §5.1), empty if none begins here.
    fn token(&mut self) -> Vec<u8> {
        self.next_visible();
        self.until(|octet| !matches!(octet, 33..=126) || b"()<>@,;:\\\"/[]?=".contains(&octet))
            .to_vec()
    }

    /// `; name=value` as often as it comes. A value may have spaces though RFC 2045 wants quotes then: senders forget.
    fn parameters(&mut self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        while parameters.len() < PARAMETERS_MAX {
            let Some(octet) = self.next_visible() else {
                break;
            };
            if octet == b';' {
                self.at += 1;
                continue;
            }
            let name = self
                .until(|octet| matches!(octet, b'=' | b';' | b' ' | b'\t' | b'(' | b'"'))
                .to_vec();
            if self.next_visible() != Some(b'=') {
                // No value: go on after the next semicolon.
                self.until(|octet| octet == b';');
                continue;
            }
            self.at += 1;
            let value = match self.next_visible() {
                Some(b'"') => self.quoted(),
                _ => self.bare_value(),
            };
            if !name.is_empty() {
                parameters.push((name, value));
            }
        }
        parameters
    }

    fn bare_value(&mut self) -> Vec<u8> {
        let mut value = self.until(|octet| octet == b';');
        if let Some(comment) = value
            .windows(2)
            .position(|pair| pair == b" (" || pair == b"\t(")
        {
            // Invariant: `comment` is an index of `value`.
            value = &value[..comment];
        }
        value.trim_ascii_end().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(list: &[(&str, &str)]) -> Vec<Parameter> {
        list.iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn content_types() {
        type Vector<'a> = (
            &'a str,
            Option<(&'a str, &'a str, &'a [(&'a str, &'a str)])>,
        );
        let vectors: [Vector; 14] = [
            ("text/plain", Some(("text", "plain", &[]))),
            (
                "TEXT / Html ; CharSet = utf-8 ",
                Some(("TEXT", "Html", &[("CharSet", "utf-8")])),
            ),
            (
                "(a(b)\\)) text(c)/(d)plain (e); (f) charset=(g)utf-8 (h)",
                Some(("text", "plain", &[("charset", "utf-8")])),
            ),
            (
                "multipart/mixed; boundary=\"a \\\"b\\\" c\"; x=y",
                Some((
                    "multipart",
                    "mixed",
                    &[("boundary", "a \"b\" c"), ("x", "y")],
                )),
            ),
            (
                "application/pdf; name=my file.pdf; size=3",
                Some((
                    "application",
                    "pdf",
                    &[("name", "my file.pdf"), ("size", "3")],
                )),
            ),
            (
                "a/b; name*0*=utf-8'hy'%D5%80; name*1=x",
                Some(("a", "b", &[("name*0*", "utf-8'hy'%D5%80"), ("name*1", "x")])),
            ),
            (
                "a/b;;;c;d=;=e;f=g",
                Some(("a", "b", &[("d", ""), ("f", "g")])),
            ),
            ("a/b; c=\"unclosed", Some(("a", "b", &[("c", "unclosed")]))),
            (
                "a/b; c=\"d\"e=f",
                Some(("a", "b", &[("c", "d"), ("e", "f")])),
            ),
            ("a/b; \"x\"; c=d", Some(("a", "b", &[("c", "d")]))),
            ("text", None),
            ("/plain", None),
            ("text/", None),
            ("", None),
        ];
        for (value, want) in vectors {
            let want = want.map(|(media_type, media_subtype, list)| ContentType {
                parameters: parameters(list),
                ..ContentType::new(media_type, media_subtype)
            });
            assert_eq!(ContentType::parse(value.as_bytes()), want, "{value}");
        }
    }

    #[test]
    fn every_mime_field_and_the_first_of_each() {
        let header = b"Content-Type: image/png\r\nCONTENT-ID: <a>\r\nContent-Id: <b>\r\nContent-Description:\r\n d\r\n\
            Content-Transfer-Encoding: (x) Base64 (y)\r\nContent-MD5: Q==\r\nContent-Disposition: attachment; filename=a\r\n\
            Content-Language: hy, (c) ru ,en\r\nContent-Location: http://a\r\nContent\r\nContent-: x\r\n\r\n";
        let mime = Mime::read(header);
        assert!(
            mime.content_type
                .is_some_and(|found| found.is("IMAGE", "PNG"))
        );
        assert_eq!(mime.id, Some(&b" <a>\r\n"[..]));
        assert_eq!(mime.encoding, Some(b"Base64".to_vec()));
        assert_eq!(
            mime.disposition,
            Some((b"attachment".to_vec(), parameters(&[("filename", "a")])))
        );
        assert_eq!(mime.languages, [b"hy", b"ru", b"en"]);
        assert_eq!(
            mime.description.map(|value| unfold(value).into_owned()),
            Some(b"d".to_vec())
        );
        assert_eq!(
            (mime.md5, mime.location),
            (Some(&b" Q==\r\n"[..]), Some(&b" http://a\r\n"[..]))
        );
    }
}
