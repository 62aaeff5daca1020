//! Exclusive XML Canonicalization 1.0 without comments (W3C, 18 July 2002): the octets that are hashed and signed.

use std::collections::BTreeMap;

use super::dom::{Attribute, Element, Node};

/// What is canonicalized: an element with all in it, perhaps without one element (the enveloped signature).
#[derive(Debug, Clone, Copy)]
pub struct Subset<'a> {
    /// The document's root: namespaces are in scope from there on.
    pub root: &'a Element,
    /// The element to write.
    pub apex: &'a Element,
    /// An element inside that is left out with all it holds.
    pub without: Option<&'a Element>,
    /// The InclusiveNamespaces PrefixList; `""` is the default namespace, there written `#default`.
    pub inclusive: &'a [String],
}

/// The canonical octets of `subset`; none if the apex is not in the document.
#[must_use]
pub fn canonicalize(subset: &Subset<'_>) -> Vec<u8> {
    let mut writer = Writer {
        subset,
        out: Vec::new(),
    };
    writer.seek(subset.root, &Names::new());
    writer.out
}

/// Prefix → namespace.
type Names<'a> = BTreeMap<&'a str, &'a str>;

struct Writer<'a> {
    subset: &'a Subset<'a>,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Walks to the apex, keeping count of what is in scope there.
    fn seek(&mut self, element: &'a Element, scope: &Names<'a>) -> bool {
        if std::ptr::eq(element, self.subset.apex) {
            self.element(element, scope, &Names::new());
            return true;
        }
        let scope = entered(element, scope);
        element.elements().any(|child| self.seek(child, &scope))
    }

    fn element(&mut self, element: &'a Element, scope: &Names<'a>, rendered: &Names<'a>) {
        if self
            .subset
            .without
            .is_some_and(|left_out| std::ptr::eq(left_out, element))
        {
            return;
        }
        let scope = entered(element, scope);
        let mut rendered = rendered.clone();
        self.out.push(b'<');
        self.name(&element.prefix, &element.local);
        for (prefix, namespace) in self.used(element, &scope) {
            // §3 of the recommendation: written unless an output ancestor wrote the same; no empty default without one.
            if rendered.get(prefix).copied().unwrap_or_default() == namespace {
                continue;
            }
            rendered.insert(prefix, namespace);
            self.out.extend_from_slice(b" xmlns");
            if !prefix.is_empty() {
                self.out.push(b':');
                self.out.extend_from_slice(prefix.as_bytes());
            }
            self.value(namespace);
        }
        let mut attributes: Vec<&Attribute> = element.attributes.iter().collect();
        attributes
            .sort_by_key(|attribute| (attribute.namespace.as_str(), attribute.local.as_str()));
        for attribute in attributes {
            self.out.push(b' ');
            self.name(&attribute.prefix, &attribute.local);
            self.value(&attribute.value);
        }
        self.out.push(b'>');
        for child in &element.children {
            match child {
                Node::Element(child) => self.element(child, &scope, &rendered),
                Node::Text(text) => self.out.extend_from_slice(escape_text(text).as_bytes()),
            }
        }
        self.out.extend_from_slice(b"</");
        self.name(&element.prefix, &element.local);
        self.out.push(b'>');
    }

    /// The namespaces the element visibly uses, and the inclusive ones in scope, sorted by prefix.
    fn used(&self, element: &'a Element, scope: &Names<'a>) -> Names<'a> {
        let mut used = Names::new();
        used.insert(&element.prefix, &element.namespace);
        for attribute in element
            .attributes
            .iter()
            .filter(|attribute| !attribute.prefix.is_empty())
        {
            used.insert(&attribute.prefix, &attribute.namespace);
        }
        for prefix in self.subset.inclusive {
            if let Some((prefix, namespace)) = scope.get_key_value(prefix.as_str()) {
                used.insert(prefix, namespace);
            }
        }
        used.remove("xml");
        used
    }

    fn name(&mut self, prefix: &str, local: &str) {
        if !prefix.is_empty() {
            self.out.extend_from_slice(prefix.as_bytes());
            self.out.push(b':');
        }
        self.out.extend_from_slice(local.as_bytes());
    }

    fn value(&mut self, value: &str) {
        self.out.extend_from_slice(b"=\"");
        self.out
            .extend_from_slice(escape_attribute(value).as_bytes());
        self.out.push(b'"');
    }
}

fn entered<'a>(element: &'a Element, scope: &Names<'a>) -> Names<'a> {
    let mut scope = scope.clone();
    for (prefix, namespace) in &element.declarations {
        scope.insert(prefix, namespace);
    }
    scope
}

/// Character data as Canonical XML 1.0 §2.3 writes it.
#[must_use]
pub fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#xD;")
}

/// An attribute's value as Canonical XML 1.0 §2.3 writes it.
#[must_use]
pub fn escape_attribute(value: &str) -> String {
    let value = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    value
        .replace('\t', "&#x9;")
        .replace('\n', "&#xA;")
        .replace('\r', "&#xD;")
}

#[cfg(test)]
mod tests {
    use super::super::dom::parse;
    use super::*;

    fn canonical(xml: &str, apex: &str, inclusive: &[&str]) -> String {
        let root = parse(xml.as_bytes()).unwrap();
        let apex = root
            .descendants()
            .into_iter()
            .find(|element| element.local == apex)
            .unwrap();
        let inclusive: Vec<String> = inclusive
            .iter()
            .map(|prefix| (*prefix).to_owned())
            .collect();
        let subset = Subset {
            root: &root,
            apex,
            without: None,
            inclusive: &inclusive,
        };
        String::from_utf8(canonicalize(&subset)).unwrap()
    }

    #[test]
    fn each_rule() {
        let table = [
            // Declarations stand where first used, sorted; unused ones vanish; a nested repetition vanishes.
            (
                r#"<b:r xmlns:b="u:b" xmlns:a="u:a" xmlns:z="u:z" a:q="1"><b:s xmlns:b="u:b"/></b:r>"#,
                "r",
                r#"<b:r xmlns:a="u:a" xmlns:b="u:b" a:q="1"><b:s></b:s></b:r>"#,
            ),
            // Attributes: those without namespace first, then by namespace, then by name.
            (
                r#"<r xmlns:a="u:2" xmlns:b="u:1" a:x="1" b:y="2" b:x="3" z="4" y='"5'/>"#,
                "r",
                r#"<r xmlns:a="u:2" xmlns:b="u:1" y="&quot;5" z="4" b:x="3" b:y="2" a:x="1"></r>"#,
            ),
            // The default namespace is declared where used and undeclared where no longer used.
            (
                r#"<r xmlns="u"><s xmlns=""><t/></s></r>"#,
                "r",
                r#"<r xmlns="u"><s xmlns=""><t></t></s></r>"#,
            ),
            (
                r#"<r xmlns="u"><p:s xmlns:p="v" xmlns=""><t/></p:s></r>"#,
                "s",
                r#"<p:s xmlns:p="v"><t></t></p:s>"#,
            ),
            (
                r#"<r xmlns="u"><p:s xmlns:p="v"><t/></p:s></r>"#,
                "s",
                r#"<p:s xmlns:p="v"><t xmlns="u"></t></p:s>"#,
            ),
            // A prefix bound again is written again.
            (
                r#"<p:r xmlns:p="1"><p:s xmlns:p="2"/><p:t/></p:r>"#,
                "r",
                r#"<p:r xmlns:p="1"><p:s xmlns:p="2"></p:s><p:t></p:t></p:r>"#,
            ),
            (
                "<r a='&#9;&#xA;&#13;&lt;>'>&gt;&#13;\r\n'\"<!-- c --></r>",
                "r",
                "<r a=\"&#x9;&#xA;&#xD;&lt;>\">&gt;&#xD;\n'\"</r>",
            ),
            (
                r#"<r><s xml:lang="hy" a="1"/></r>"#,
                "s",
                r#"<s a="1" xml:lang="hy"></s>"#,
            ),
        ];
        for (xml, apex, expected) in table {
            assert_eq!(canonical(xml, apex, &[]), expected, "{xml}");
        }
    }

    #[test]
    fn inclusive_prefixes() {
        let xml = r#"<r xmlns="u" xmlns:p="v" xmlns:q="w"><q:s><t xmlns:p="x"/></q:s></r>"#;
        assert_eq!(
            canonical(xml, "s", &["p"]),
            r#"<q:s xmlns:p="v" xmlns:q="w"><t xmlns="u" xmlns:p="x"></t></q:s>"#
        );
        assert_eq!(
            canonical(xml, "s", &["", "absent"]),
            r#"<q:s xmlns="u" xmlns:q="w"><t></t></q:s>"#
        );
    }

    #[test]
    fn one_element_left_out() {
        let root = parse(b"<r>a<s><t/></s>b<s/></r>").unwrap();
        let without = root.elements().next();
        let subset = Subset {
            root: &root,
            apex: &root,
            without,
            inclusive: &[],
        };
        assert_eq!(canonicalize(&subset), b"<r>ab<s></s></r>");
        let elsewhere = Element::default();
        assert!(
            canonicalize(&Subset {
                apex: &elsewhere,
                ..subset
            })
            .is_empty()
        );
    }
}
