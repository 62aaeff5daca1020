//! FETCH's data items (RFC 3501 §6.4.5).

use super::cursor::{Cursor, Fault};
use crate::limits::{FETCH_ITEMS_MAX, HEADER_FIELDS_MAX, PART_LEVELS_MAX};

/// One data item. Owned: a FETCH outlives its command line, window by window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// ENVELOPE
    Envelope,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// BODY without a section: BODYSTRUCTURE without its extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// UID
    Uid,
    /// Octets of the message.
    Octets(Octets),
}

/// Octets of the message, and the name under which they are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Octets {
    /// How they were asked for.
    pub form: Form,
    /// Which.
    pub section: Section,
    /// `<origin.count>`
    pub partial: Option<(u32, u32)>,
}

/// The four ways to ask for octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `BODY[…]`: sets `\Seen`.
    Body,
    /// `BODY.PEEK[…]`
    Peek,
    /// `RFC822`, `RFC822.TEXT`: set `\Seen`.
    Rfc822,
    /// `RFC822.HEADER`: does not.
    Rfc822Header,
}

/// A section: part numbers, then what of that part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// `1.2.3`; empty: the message itself.
    pub part: Vec<u32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionText {
    /// All: of the message, header and text; of a part, its body.
    #[default]
    Whole,
    /// HEADER
    Header,
    /// HEADER.FIELDS and HEADER.FIELDS.NOT
    Fields {
        /// As spelled.
        names: Vec<String>,
        /// Whether those are left out.
        not: bool,
    },
    /// TEXT
    Text,
    /// MIME
    Mime,
}

impl Octets {
    /// Whether any octet of a body may be among them (evidence §2: `disclosed`), not header data alone (`listed`).
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(self.section.text, SectionText::Whole | SectionText::Text)
    }

    /// Whether asking sets `\Seen` (RFC 3501 §6.4.5).
    #[must_use]
    pub fn sets_seen(&self) -> bool {
        matches!(self.form, Form::Body | Form::Rfc822)
    }

    /// The item's name in the response (RFC 3501 §7.4.2), which is also its name in evidence but for the count.
    #[must_use]
    pub fn name(&self) -> String {
        let rfc822 = match (self.form, &self.section.text) {
            (Form::Rfc822, SectionText::Text) => Some("RFC822.TEXT"),
            (Form::Rfc822, _) => Some("RFC822"),
            (Form::Rfc822Header, _) => Some("RFC822.HEADER"),
            (Form::Body | Form::Peek, _) => None,
        };
        if let Some(name) = rfc822 {
            return name.to_owned();
        }
        let mut name = format!("BODY[{}]", self.section.written());
        if let Some((origin, _)) = self.partial {
            name.push_str(&format!("<{origin}>"));
        }
        name
    }

    /// As asked, for the evidence: `BODY[1]<0.1024>`.
    #[must_use]
    pub fn asked(&self) -> String {
        match self.partial {
            Some((origin, count)) => format!("BODY[{}]<{origin}.{count}>", self.section.written()),
            None => self.name(),
        }
    }
}

impl Section {
    fn written(&self) -> String {
        let mut words: Vec<String> = self.part.iter().map(u32::to_string).collect();
        match &self.text {
            SectionText::Whole => {}
            SectionText::Header => words.push("HEADER".to_owned()),
            SectionText::Text => words.push("TEXT".to_owned()),
            SectionText::Mime => words.push("MIME".to_owned()),
            SectionText::Fields { names, not } => {
                let names: Vec<String> = names.iter().map(|name| written_field(name)).collect();
                let not = if *not { ".NOT" } else { "" };
                words.push(format!("HEADER.FIELDS{not} ({})", names.join(" ")));
            }
        }
        words.join(".")
    }
}

/// `fetch-att`, a list of them, or a macro; without doubles.
///
/// # Errors
/// What is wrong, in words for the client.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, Fault> {
    use Item::{Body, Envelope, Flags, InternalDate, Size};
    for (name, items) in [
        ("ALL", &[Flags, InternalDate, Size, Envelope][..]),
        ("FAST", &[Flags, InternalDate, Size]),
        ("FULL", &[Flags, InternalDate, Size, Envelope, Body]),
    ] {
        let mut ahead = cursor.clone();
        if ahead.eat_word(name) && ahead.end().is_ok() {
            *cursor = ahead;
            return Ok(items.to_vec());
        }
    }
    if !cursor.eat(b'(') {
        return item(cursor).map(|item| vec![item]);
    }
    let mut items = Vec::new();
    for _ in 0..FETCH_ITEMS_MAX {
        let next = item(cursor)?;
        if !items.contains(&next) {
            items.push(next);
        }
        if cursor.eat(b')') {
            return Ok(items);
        }
        cursor.space()?;
    }
    Err("more than 128 data items")
}

fn item(cursor: &mut Cursor<'_>) -> Result<Item, Fault> {
    let name = cursor.run(|octet| octet.is_ascii_alphanumeric() || octet == b'.');
    let octets = |form, text| {
        Item::Octets(Octets {
            form,
            section: Section {
                part: Vec::new(),
                text,
            },
            partial: None,
        })
    };
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    if cursor.peek() == Some(b'[') {
        return match () {
            () if is("BODY") => section_item(cursor, Form::Body),
            () if is("BODY.PEEK") => section_item(cursor, Form::Peek),
            () => Err("an unknown data item"),
        };
    }
    Ok(match () {
        () if is("ENVELOPE") => Item::Envelope,
        () if is("FLAGS") => Item::Flags,
        () if is("INTERNALDATE") => Item::InternalDate,
        () if is("RFC822.SIZE") => Item::Size,
        () if is("BODY") => Item::Body,
        () if is("BODYSTRUCTURE") => Item::BodyStructure,
        () if is("UID") => Item::Uid,
        () if is("RFC822") => octets(Form::Rfc822, SectionText::Whole),
        () if is("RFC822.TEXT") => octets(Form::Rfc822, SectionText::Text),
        () if is("RFC822.HEADER") => octets(Form::Rfc822Header, SectionText::Header),
        () => return Err("an unknown data item"),
    })
}

fn section_item(cursor: &mut Cursor<'_>, form: Form) -> Result<Item, Fault> {
    cursor.expect(b'[', "a section is missing")?;
    let section = section(cursor)?;
    cursor.expect(b']', "a section does not end")?;
    let partial = if cursor.eat(b'<') {
        let origin = cursor.number()?;
        cursor.expect(b'.', "a partial range is malformed")?;
        let count = cursor.nz_number()?;
        cursor.expect(b'>', "a partial range is malformed")?;
        Some((origin, count))
    } else {
        None
    };
    Ok(Item::Octets(Octets {
        form,
        section,
        partial,
    }))
}

fn section(cursor: &mut Cursor<'_>) -> Result<Section, Fault> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        part.push(cursor.nz_number()?);
        if part.len() > PART_LEVELS_MAX {
            return Err("a part number has more than 128 levels");
        }
        if !cursor.eat(b'.') {
            return Ok(Section {
                part,
                text: SectionText::Whole,
            });
        }
        if cursor.peek() == Some(b']') {
            return Err("a part number ends with a dot");
        }
    }
    if part.is_empty() && cursor.peek() == Some(b']') {
        return Ok(Section::default());
    }
    let word = cursor.run(|octet| octet.is_ascii_alphabetic() || octet == b'.');
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let text = match () {
        () if is("HEADER") => SectionText::Header,
        () if is("TEXT") => SectionText::Text,
        // RFC 3501 §9: section-msgtext has no MIME; only a part has.
        () if is("MIME") && !part.is_empty() => SectionText::Mime,
        () if is("HEADER.FIELDS") => fields(cursor, false)?,
        () if is("HEADER.FIELDS.NOT") => fields(cursor, true)?,
        () => return Err("an unknown section"),
    };
    Ok(Section { part, text })
}

fn fields(cursor: &mut Cursor<'_>, not: bool) -> Result<SectionText, Fault> {
    cursor.space()?;
    cursor.expect(b'(', "a list of field names is missing")?;
    let mut names = Vec::new();
    for _ in 0..HEADER_FIELDS_MAX {
        let name = cursor.astring().map_err(|_| "a field name is missing")?;
        // RFC 5322 §3.6.8: ftext is printable US-ASCII except colon.
        let name = std::str::from_utf8(&name)
            .ok()
            .filter(|name| !name.is_empty())
            .filter(|name| {
                name.bytes()
                    .all(|octet| matches!(octet, 0x21..=0x7e) && octet != b':')
            })
            .ok_or("a field name has octets that no field name has")?;
        names.push(name.to_owned());
        if cursor.eat(b')') {
            return Ok(SectionText::Fields { names, not });
        }
        cursor.space()?;
    }
    Err("more than 128 field names")
}

/// A field name as `header-fld-name`: an atom where it can be.
fn written_field(name: &str) -> String {
    if name.bytes().all(super::cursor::is_astring) {
        return name.to_owned();
    }
    let mut text = String::from("\"");
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<Item>, Fault> {
        let mut cursor = Cursor::new(text.as_bytes());
        let items = parse(&mut cursor)?;
        cursor.end()?;
        Ok(items)
    }

    #[test]
    fn macros_and_lists() {
        assert_eq!(items("fast").unwrap().len(), 3);
        assert_eq!(items("ALL").unwrap().len(), 4);
        assert_eq!(items("FULL").unwrap().len(), 5);
        assert_eq!(items("(UID FLAGS uid)").unwrap(), [Item::Uid, Item::Flags]);
        assert_eq!(items("BODY").unwrap(), [Item::Body]);
    }

    #[test]
    fn names_of_octets() {
        for (asked, name) in [
            ("BODY[]", "BODY[]"),
            ("body.peek[]<0.10>", "BODY[]<0>"),
            ("BODY[1.2.MIME]", "BODY[1.2.MIME]"),
            (
                "BODY[HEADER.FIELDS (Subject \"a\\\"b\")]",
                "BODY[HEADER.FIELDS (Subject \"a\\\"b\")]",
            ),
            (
                "BODY[3.header.fields.not (To)]<5.1>",
                "BODY[3.HEADER.FIELDS.NOT (To)]<5>",
            ),
            ("RFC822", "RFC822"),
            ("RFC822.TEXT", "RFC822.TEXT"),
            ("RFC822.HEADER", "RFC822.HEADER"),
            ("BODY[TEXT]", "BODY[TEXT]"),
        ] {
            match items(asked).unwrap().as_slice() {
                [Item::Octets(octets)] => assert_eq!(octets.name(), name),
                other => panic!("{asked}: {other:?}"),
            }
        }
    }

    #[test]
    fn malformed() {
        for bad in [
            "",
            "(",
            "()",
            "(UID",
            "(UID )",
            "FOO",
            "BODY[",
            "BODY[MIME]",
            "BODY[1.]",
            "BODY[0]",
            "BODY[.1]",
            "BODY[]<0.0>",
            "BODY[]<1>",
            "BODY[]<-1.5>",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS (a:b)]",
            "RFC822.PEEK",
            "ENVELOPE[]",
            "(ALL)",
            "ALL FLAGS",
            "BODY[TEXT.1]",
        ] {
            assert!(items(bad).is_err(), "{bad}");
        }
        let many = format!("({})", vec!["UID"; 10_000].join(" "));
        assert!(items(&many).is_err());
        let deep = format!("BODY[{}]", vec!["1"; 1000].join("."));
        assert!(items(&deep).is_err());
    }
}
