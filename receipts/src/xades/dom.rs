//! XML as a tree with every name resolved: what canonicalization and the signature's checks need, and no more.
//!
//! Deliberately narrow (each refused by name): no DOCTYPE and so no entities but the five of XML, no processing
//! instructions, UTF-8 and XML 1.0 only. Comments are dropped: the canonical forms used here have none.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesStart, Event};

/// Octets of a document: evidence is some 4 KiB, with long chains and time-stamps some 40; beyond 1 MiB it is an attack.
pub const DOCUMENT_OCTETS_MAX: usize = 1024 * 1024;
/// Elements of a document: evidence has some hundred, and a line for each recipient. With the limits below it bounds the
/// work of canonicalization, which carries the namespaces in scope from element to element.
pub const ELEMENTS_MAX: usize = 20_000;
/// Elements inside one another: evidence uses 9; recursion over the tree must stay shallow.
pub const DEPTH_MAX: usize = 64;
/// Attributes and declarations of one element: they are compared pairwise.
pub const ATTRIBUTES_MAX: usize = 64;

/// The namespace that prefix `xml` always has (Namespaces in XML 1.0 §3).
pub const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";

/// Why octets are not a document this verifier reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomError {
    /// More than [`DOCUMENT_OCTETS_MAX`].
    #[error("larger than {DOCUMENT_OCTETS_MAX} octets")]
    TooLarge,
    /// More than [`ELEMENTS_MAX`] elements.
    #[error("more than {ELEMENTS_MAX} elements")]
    TooMany,
    /// More than [`DEPTH_MAX`] elements inside one another.
    #[error("more than {DEPTH_MAX} elements inside one another")]
    TooDeep,
    /// More than [`ATTRIBUTES_MAX`] attributes on one element.
    #[error("an element has more than {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    /// Not UTF-8, or declared as something else.
    #[error("not UTF-8")]
    Encoding,
    /// A DOCTYPE: it could give text a meaning the signature does not cover.
    #[error("it has a DOCTYPE")]
    Doctype,
    /// A processing instruction.
    #[error("it has a processing instruction")]
    ProcessingInstruction,
    /// An entity that XML does not define by itself.
    #[error("entity &{0}; is not defined")]
    Entity(String),
    /// A prefix without a declaration, or a forbidden declaration.
    #[error("namespace prefix \"{0}\" is not declared, or declared as it must not be")]
    Prefix(String),
    /// The same attribute twice.
    #[error("attribute \"{0}\" stands twice in one element")]
    TwiceAttribute(String),
    /// Anything else that is not well-formed XML.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
}

/// An element with its names resolved.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// As written; empty if there is none.
    pub prefix: String,
    /// The name without its prefix.
    pub local: String,
    /// The namespace of the name; empty if none.
    pub namespace: String,
    /// Prefix (empty: the default namespace) and namespace (empty: undeclared), as declared on this element.
    pub declarations: Vec<(String, String)>,
    /// In document order, without the declarations.
    pub attributes: Vec<Attribute>,
    /// Elements and text in document order; neighbouring texts are one.
    pub children: Vec<Node>,
}

/// An attribute with its name resolved and its value normalized.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// As written; empty if there is none.
    pub prefix: String,
    /// The name without its prefix.
    pub local: String,
    /// The namespace; empty for a name without a prefix.
    pub namespace: String,
    /// The value as XML 1.0 §3.3.3 normalizes it (CDATA type: there is no DTD).
    pub value: String,
}

/// What an element holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Character data, references resolved.
    Text(String),
}

impl Element {
    /// Whether this is the element `local` of `namespace`.
    #[must_use]
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == namespace
    }

    /// The elements directly inside.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The only direct child of this name; `None` if there is none or more than one.
    #[must_use]
    pub fn only(&self, namespace: &str, local: &str) -> Option<&Element> {
        let mut found = self
            .elements()
            .filter(|element| element.is(namespace, local));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The value of the attribute `local` without a namespace.
    #[must_use]
    pub fn attribute(&self, local: &str) -> Option<&str> {
        let plain =
            |attribute: &&Attribute| attribute.namespace.is_empty() && attribute.local == local;
        self.attributes
            .iter()
            .find(plain)
            .map(|attribute| attribute.value.as_str())
    }

    /// The text directly inside, in order; child elements are passed over.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.children.iter().map(|node| match node {
            Node::Text(text) => text.as_str(),
            Node::Element(_) => "",
        });
        texts.collect()
    }

    /// This element and all within it, in document order.
    #[must_use]
    pub fn descendants(&self) -> Vec<&Element> {
        let mut all = vec![self];
        for child in self.elements() {
            all.extend(child.descendants());
        }
        all
    }
}

/// Reads a document into its root element.
///
/// # Errors
/// A [`DomError`] that names what is wrong or not read here.
pub fn parse(octets: &[u8]) -> Result<Element, DomError> {
    if octets.len() > DOCUMENT_OCTETS_MAX {
        return Err(DomError::TooLarge);
    }
    let text = std::str::from_utf8(octets).map_err(|_| DomError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // quick-xml looks at the characters of some constructs only; here they are all looked at (XML 1.0 §2.2).
    if let Some(bad) = text.chars().find(|character| !is_xml_char(*character)) {
        return Err(DomError::Malformed(format!(
            "character U+{:04X}",
            u32::from(bad)
        )));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().check_comments = true;
    let mut builder = Builder::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| DomError::Malformed(error.to_string()))?;
        if matches!(event, Event::Eof) {
            return builder.finish();
        }
        builder.take(event)?;
    }
}

/// Whether XML 1.0 §2.2 has this character.
#[must_use]
pub fn is_xml_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    begun: bool,
    elements: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), DomError> {
        match event {
            Event::Decl(decl) => self.declaration(&decl)?,
            Event::DocType(_) => return Err(DomError::Doctype),
            Event::PI(_) => return Err(DomError::ProcessingInstruction),
            Event::Comment(_) | Event::Eof => {}
            Event::Start(start) | Event::Empty(start) => self.start(&start)?,
            Event::End(_) => self.end()?,
            Event::CData(data) => self.text(&data.xml_content(XmlVersion::Implicit1_0), false)?,
            Event::Text(text) => {
                let text = text.xml_content(XmlVersion::Implicit1_0);
                if text.contains("]]>") {
                    return Err(DomError::Malformed("]]> in text".to_owned()));
                }
                self.text(&text, true)?;
            }
            Event::GeneralRef(name) => {
                self.text(reference(&name)?.encode_utf8(&mut [0; 4]), false)?
            }
        }
        self.begun = true;
        Ok(())
    }

    fn declaration(&self, decl: &BytesDecl<'_>) -> Result<(), DomError> {
        let malformed = || DomError::Malformed("XML declaration".to_owned());
        if self.begun || decl.version().map_err(|_| malformed())? != "1.0" {
            return Err(malformed());
        }
        match decl.encoding() {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
            Some(_) => Err(DomError::Encoding),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), DomError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(DomError::TooDeep);
        }
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(DomError::TooMany);
        }
        if self.root.is_some() {
            return Err(DomError::Malformed("a second root element".to_owned()));
        }
        let (prefix, local) = split_name(start.name().0)?;
        let mut element = Element {
            prefix,
            local,
            ..Element::default()
        };
        for (count, attribute) in start.attributes().enumerate() {
            if count >= ATTRIBUTES_MAX {
                return Err(DomError::TooManyAttributes);
            }
            let attribute = attribute.map_err(|error| DomError::Malformed(error.to_string()))?;
            let value = attribute_value(&attribute.value)?;
            let (prefix, local) = split_name(attribute.key.0)?;
            if prefix.is_empty() && local == "xmlns" {
                element.declarations.push(declared(String::new(), value)?);
            } else if prefix == "xmlns" {
                element.declarations.push(declared(local, value)?);
            } else {
                element.attributes.push(Attribute {
                    prefix,
                    local,
                    namespace: String::new(),
                    value,
                });
            }
        }
        self.resolve(&mut element)?;
        self.open.push(element);
        Ok(())
    }

    /// Finds the namespaces of the element's names; the default one does not reach attributes.
    fn resolve(&self, element: &mut Element) -> Result<(), DomError> {
        element.namespace = self.namespace(element, &element.prefix)?;
        let of_attributes = element
            .attributes
            .iter()
            .map(|attribute| match attribute.prefix.as_str() {
                "" => Ok(String::new()),
                prefix => self.namespace(element, prefix),
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (attribute, namespace) in element.attributes.iter_mut().zip(of_attributes) {
            attribute.namespace = namespace;
        }
        for (at, one) in element.attributes.iter().enumerate() {
            let same =
                |other: &Attribute| other.local == one.local && other.namespace == one.namespace;
            if element.attributes.iter().skip(at + 1).any(same) {
                return Err(DomError::TwiceAttribute(one.local.clone()));
            }
        }
        Ok(())
    }

    fn namespace(&self, element: &Element, prefix: &str) -> Result<String, DomError> {
        if prefix == "xml" {
            return Ok(XML_NS.to_owned());
        }
        let scopes = std::iter::once(element).chain(self.open.iter().rev());
        let mut declarations = scopes.flat_map(|element| element.declarations.iter());
        match declarations.find(|(declared, _)| declared == prefix) {
            Some((_, namespace)) => Ok(namespace.clone()),
            None if prefix.is_empty() => Ok(String::new()),
            None => Err(DomError::Prefix(prefix.to_owned())),
        }
    }

    fn end(&mut self) -> Result<(), DomError> {
        let Some(element) = self.open.pop() else {
            return Err(DomError::Malformed("an end without a start".to_owned()));
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    /// Appends character data; outside the root only white space may stand, and it has no meaning.
    fn text(&mut self, text: &str, literal: bool) -> Result<(), DomError> {
        let Some(parent) = self.open.last_mut() else {
            let blank = literal && text.bytes().all(|octet| b" \t\r\n".contains(&octet));
            return if blank {
                Ok(())
            } else {
                Err(DomError::Malformed("text outside the root".to_owned()))
            };
        };
        match parent.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => parent.children.push(Node::Text(text.to_owned())),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, DomError> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(DomError::Malformed(
                "the document ends too early".to_owned(),
            )),
        }
    }
}

fn declared(prefix: String, namespace: String) -> Result<(String, String), DomError> {
    let reserved = prefix == "xmlns" || prefix == "xml" || namespace == XML_NS;
    // Namespaces in XML 1.0 §2.2: a prefix cannot be undeclared.
    if reserved || (!prefix.is_empty() && namespace.is_empty()) {
        return Err(DomError::Prefix(prefix));
    }
    Ok((prefix, namespace))
}

/// A name as prefix and local part. Beyond ASCII every character is taken: names are compared, never interpreted.
fn split_name(name: &str) -> Result<(String, String), DomError> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| starts(c) || c.is_ascii_digit() || c == '-' || c == '.';
    let good = |part: &str| part.starts_with(starts) && part.chars().all(goes_on);
    if good(local) && (good(prefix) || !name.contains(':')) {
        Ok((prefix.to_owned(), local.to_owned()))
    } else {
        Err(DomError::Malformed(format!("name \"{name}\"")))
    }
}

/// The character a reference in text stands for.
fn reference(name: &str) -> Result<char, DomError> {
    let bad = || DomError::Entity(name.to_owned());
    let code = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "apos" => return Ok('\''),
        "quot" => return Ok('"'),
        _ => name.strip_prefix('#').ok_or_else(bad)?,
    };
    let (digits, radix) = code.strip_prefix('x').map_or((code, 10), |hex| (hex, 16));
    // `from_str_radix` would take a sign.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| bad())?;
    char::from_u32(code)
        .filter(|character| is_xml_char(*character))
        .ok_or_else(bad)
}

/// XML 1.0 §3.3.3 for attributes without a declared type.
fn attribute_value(raw: &str) -> Result<String, DomError> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '<' => return Err(DomError::Malformed("< in an attribute".to_owned())),
            // §2.11: CR LF is one line end, and a line end one space.
            '\r' if rest.starts_with('\n') => {}
            '\t' | '\n' | '\r' => value.push(' '),
            '&' => {
                let (name, after) = rest
                    .split_once(';')
                    .ok_or_else(|| DomError::Malformed("& in an attribute".to_owned()))?;
                value.push(reference(name)?);
                rest = after;
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(xml: &str) -> String {
        parse(xml.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_text_and_attributes_are_resolved() {
        let root = parse(b"<?xml version='1.0' encoding='UTF-8'?>\r\n<a xmlns='u:a' xmlns:p='u:p' p:x='1' x=' &#9;&amp;\r\n'>t&lt;<!-- no --><![CDATA[&]]>\r\n<p:b xmlns=''><c/></p:b></a>\n").unwrap();
        assert!(root.is("u:a", "a"));
        assert_eq!(root.attribute("x"), Some(" \t& "));
        assert_eq!(root.attributes[0].namespace, "u:p");
        assert_eq!(root.text(), "t<&\n");
        assert_eq!(root.descendants().len(), 3);
        assert!(root.only("u:p", "b").unwrap().only("", "c").is_some());
        assert!(root.only("u:a", "b").is_none());
    }

    #[test]
    fn what_is_not_read_is_named() {
        assert_eq!(
            error("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
            DomError::Doctype.to_string()
        );
        assert_eq!(error("<a>&x;</a>"), "entity &x; is not defined");
        assert_eq!(error("<a b='&x;'/>"), "entity &x; is not defined");
        assert_eq!(error("<a>&#0;</a>"), "entity &#0; is not defined");
        assert_eq!(error("<a>&#+9;</a>"), "entity &#+9; is not defined");
        assert_eq!(
            error("<?xml version='1.0' encoding='latin1'?><a/>"),
            "not UTF-8"
        );
        assert_eq!(error("<a><?x y?></a>"), "it has a processing instruction");
        assert!(error("<p:a/>").contains("prefix \"p\""));
        assert!(error("<a xmlns:p=''/>").contains("prefix \"p\""));
        assert!(error("<a xmlns:xml='u'/>").contains("prefix \"xml\""));
        assert!(error("<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>").contains("\"b\" stands twice"));
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        assert_eq!(error(&deep), DomError::TooDeep.to_string());
        let many = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
        assert_eq!(error(&many), DomError::TooMany.to_string());
        let wide: String = (0..=ATTRIBUTES_MAX).map(|n| format!(" a{n}=''")).collect();
        assert_eq!(
            error(&format!("<a{wide}/>")),
            DomError::TooManyAttributes.to_string()
        );
        assert_eq!(
            parse(&vec![b' '; DOCUMENT_OCTETS_MAX + 1]),
            Err(DomError::TooLarge)
        );
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a b/>",
            "<a b=c/>",
            "<a b='<'/>",
            "<a b='&'/>",
            "<a>]]></a>",
            "<a\u{1}/>",
            "<a>\u{0}</a>",
            "<a b='' b=''/>",
            "<a:b:c/>",
            "<:a/>",
            "<1/>",
            "</a>",
            "<a>&amp</a>",
            "<a/><?xml version='1.0'?>",
            "<?xml version='1.1'?><a/>",
            "<a><!-- -- --></a>",
            "<a/><![CDATA[ ]]>",
            "<a/>&#32;",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), text in "[<>&;/a:= '\"!?\\[\\]-]{0,60}") {
            let _ = parse(&octets);
            let _ = parse(text.as_bytes());
        }
    }
}
