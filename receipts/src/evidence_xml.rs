//! An event as ETSI evidence XML (EN 319 522-3), unsigned and canonical by construction.
//!
//! Everything in it follows from the event, its leaf data and the issuer's name, so a verifier can write it again and
//! compare octets. Prefixes are declared where first used, nothing is self-closing, line ends are escaped: exclusive
//! canonicalization changes nothing. Trap of the schema: its global elements have the namespace, its local ones
//! (`EventTime`, `Code`, `Identifier`, …) have none.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Digest;
use serde_json::Value;

use crate::event::{Event, EventError, EventName};
use crate::leaf::LeafData;
use crate::xades::c14n::{escape_attribute, escape_text};
use crate::xades::dom::{self, is_xml_char};
use crate::xades::{DS, EVIDENCE, SHA256};

/// The namespace of what is ours: our extension element, and the URIs of the events ETSI has no name for. A URN, so
/// that nothing is claimed about any host.
pub const NAMESPACE: &str = "urn:knik:evidence:1";

/// What stands before a policy's name in `PolicyID`.
const POLICY_PREFIX: &str = "urn:knik:policy:";

const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const LEGAL_NAME: &str = "http://eidas.europa.eu/attributes/legalperson/LegalName";
/// The edition whose event names are used (ContentAccessTracking came with it).
const EDITION: &str = "EN319522v1.2.1";

/// Who issues the evidence (R02).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The operator's legal name.
    pub name: String,
}

/// The event as evidence XML; `None` for an event that is not about a message: those have their JSON and proof alone.
///
/// # Errors
/// As [`Event::canonical`].
pub fn render(
    event: &Event,
    leaf: &LeafData,
    issuer: &Issuer,
) -> Result<Option<Vec<u8>>, EventError> {
    let digest = Digest::of(&event.canonical()?);
    let Some(message) = event.subject.message else {
        return Ok(None);
    };
    let mut xml = Xml(String::with_capacity(4096));
    xml.raw(&format!(
        "<e:Evidence xmlns:e=\"{}\" version=\"{EDITION}\">",
        EVIDENCE.0
    ));
    xml.element("e:EvidenceIdentifier", &event.id.to_string());
    xml.element("e:ERDSEventId", &event_uri(event));
    if let Some(reason) = event.subject.reason {
        xml.raw("<e:EventReasons><e:EventReason>");
        xml.element("Code", &reason.uri());
        xml.element("Details", reason.as_str());
        xml.raw("</e:EventReason></e:EventReasons>");
    }
    xml.element("EventTime", &event.time.to_string());
    xml.raw("<e:EvidenceIssuerPolicyID>");
    xml.element("PolicyID", &policy_uri(&event.policy));
    xml.raw("</e:EvidenceIssuerPolicyID><e:EvidenceIssuerDetails><e:Identity>");
    xml.raw(&format!(
        "<saml:Attribute xmlns:saml=\"{SAML}\" Name=\"{LEGAL_NAME}\">"
    ));
    xml.element("saml:AttributeValue", &issuer.name);
    xml.raw("</saml:Attribute></e:Identity></e:EvidenceIssuerDetails>");
    parties(&mut xml, event);
    xml.element("e:MessageIdentifier", &message.to_string());
    content(&mut xml, event);
    extension(&mut xml, event, &digest, leaf);
    xml.raw("</e:Evidence>");
    Ok(Some(xml.0.into_bytes()))
}

/// Who stands as issuer in evidence XML of ours; `None` if that cannot be read.
#[must_use]
pub fn issuer_of(xml: &[u8]) -> Option<Issuer> {
    let root = dom::parse(xml).ok()?;
    let details = root.only(EVIDENCE.0, "EvidenceIssuerDetails")?;
    let attribute = details
        .only(EVIDENCE.0, "Identity")?
        .only(SAML, "Attribute")?;
    Some(Issuer {
        name: attribute.only(SAML, "AttributeValue")?.text(),
    })
}

/// Whether `unsigned` is, octet for octet, what [`render`] writes for this event, leaf and the issuer named in it.
///
/// # Errors
/// As [`Event::canonical`].
pub fn matches(unsigned: &[u8], event: &Event, leaf: &LeafData) -> Result<bool, EventError> {
    match issuer_of(unsigned) {
        Some(issuer) => Ok(render(event, leaf, &issuer)?.as_deref() == Some(unsigned)),
        None => Ok(false),
    }
}

/// The leaf data that evidence XML of ours names; `None` for the evidence of others.
#[must_use]
pub fn leaf_of(unsigned: &[u8]) -> Option<LeafData> {
    ours(unsigned, "LeafData")?.parse().ok()
}

/// The digest of the canonical event that evidence XML of ours names; `None` for the evidence of others.
#[must_use]
pub fn digest_of(unsigned: &[u8]) -> Option<Digest> {
    ours(unsigned, "CanonicalDigest")?.parse().ok()
}

/// SHA-256 and, in evidence of ours, size of the one message that evidence names; `None` if it names none, several, or
/// by another digest.
#[must_use]
pub fn content_of(unsigned: &[u8]) -> Option<(Digest, Option<u64>)> {
    let root = dom::parse(unsigned).ok()?;
    let parts = root
        .only(EVIDENCE.0, "UserContentInfo")?
        .only(EVIDENCE.0, "PartsInfo")?;
    let part = parts.only(EVIDENCE.0, "PartInfo")?;
    part.only(DS, "DigestMethod")?
        .attribute("Algorithm")
        .filter(|name| *name == SHA256)?;
    let value = STANDARD
        .decode(part.only(DS, "DigestValue")?.text().trim())
        .ok()?;
    let size = ours(unsigned, "Octets").and_then(|size| size.parse().ok());
    Some((Digest::from_bytes(value.try_into().ok()?), size))
}

fn ours(unsigned: &[u8], local: &str) -> Option<String> {
    let root = dom::parse(unsigned).ok()?;
    let extension = root
        .only(EVIDENCE.0, "Extensions")?
        .only(EVIDENCE.0, "Extension")?;
    Some(
        extension
            .only(NAMESPACE, "Event")?
            .only(NAMESPACE, local)?
            .text(),
    )
}

/// The URI of the event (G03): ETSI's where ETSI has one, else ours.
#[must_use]
pub fn event_uri(event: &Event) -> String {
    match event.etsi() {
        Some(etsi) => etsi.uri(),
        None => format!("{NAMESPACE}:event:{}", event.event),
    }
}

/// Sender (I02), recipients (I06), submission time (M03), the recipient referred to (I09).
fn parties(xml: &mut Xml, event: &Event) {
    let subject = &event.subject;
    let submission = matches!(
        event.event,
        EventName::SubmissionAccepted | EventName::SubmissionRejected
    );
    xml.raw("<e:SenderDetails>");
    match (subject.from.as_deref(), subject.contract) {
        // RFC 5321 §4.5.5: the null reverse-path names nobody; it is not an address.
        (Some(""), _) => xml.identifier("smtp-reverse-path", "<>"),
        (Some(from), _) => xml.identifier("mailto", from),
        (None, Some(contract)) => {
            xml.identifier(&format!("{NAMESPACE}:contract"), &contract.to_string())
        }
        (None, None) => {}
    }
    xml.raw("</e:SenderDetails>");
    let recipients = match &subject.recipient {
        Some(recipient) => vec![recipient.address.as_str()],
        None if submission => submitted_to(event),
        None => Vec::new(),
    };
    // The schema wants at least one RecipientDetails, even where the submission named nobody.
    for address in recipients
        .iter()
        .copied()
        .map(Some)
        .chain(recipients.is_empty().then_some(None))
    {
        xml.raw("<e:RecipientDetails>");
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            xml.identifier("mailto", address);
        }
        xml.raw("</e:RecipientDetails>");
    }
    match subject.submitted {
        Some(submitted) => xml.element("e:SubmissionTime", &submitted.to_string()),
        // EN 319 522-2 table 13: exactly one in the A events.
        None if submission => xml.element("e:SubmissionTime", &event.time.to_string()),
        None => {}
    }
    // EN 319 522-2 table 13: exactly one in C, D and E. It counts the recipients listed here, and here is one.
    if subject.recipient.is_some() && !submission {
        xml.element("EvidenceRefersToRecipient", "1");
    }
}

/// The addresses a submission was for: the detail `recipients`, a list of addresses or of objects that have one.
fn submitted_to(event: &Event) -> Vec<&str> {
    let list = event.details.get("recipients").and_then(Value::as_array);
    list.map(|items| items.iter().filter_map(address_in).collect())
        .unwrap_or_default()
}

fn address_in(item: &Value) -> Option<&str> {
    item.as_str().or_else(|| item.get("address")?.as_str())
}

/// What was sent (M02): the original, by digest.
fn content(xml: &mut Xml, event: &Event) {
    xml.raw("<e:UserContentInfo>");
    if let Some(field) = &event.subject.message_id_field {
        xml.element("AppLayerIdentifier", field);
    }
    xml.raw("<ComposingParts>1</ComposingParts><e:PartsInfo><e:PartInfo>");
    xml.raw("<Identifier>original.eml</Identifier><ContentType>message/rfc822</ContentType>");
    if let Some(digest) = &event.subject.digest {
        xml.raw(&format!(
            "<ds:DigestMethod xmlns:ds=\"{DS}\" Algorithm=\"{SHA256}\"></ds:DigestMethod>"
        ));
        let value = STANDARD.encode(digest.as_bytes());
        xml.raw(&format!(
            "<ds:DigestValue xmlns:ds=\"{DS}\">{value}</ds:DigestValue>"
        ));
    }
    xml.raw("</e:PartInfo></e:PartsInfo></e:UserContentInfo>");
}

/// Ours (E01): what ties this evidence to the event's canonical octets and to the log.
fn extension(xml: &mut Xml, event: &Event, digest: &Digest, leaf: &LeafData) {
    xml.raw("<e:Extensions><e:Extension isCritical=\"false\">");
    xml.raw(&format!("<k:Event xmlns:k=\"{NAMESPACE}\">"));
    xml.element("k:Identifier", &event.id.to_string());
    xml.element("k:Name", event.event.as_str());
    xml.element("k:Sequence", &event.seq.to_string());
    if let Some(prev) = &event.prev {
        xml.element("k:Previous", &prev.to_string());
    }
    xml.element("k:CanonicalDigest", &digest.to_string());
    xml.element("k:LeafData", &leaf.to_string());
    xml.element("k:Host", &event.host);
    if let Some(clock) = event.clock {
        xml.element("k:Clock", clock.as_str());
    }
    let auth: Vec<&str> = event.actor.auth.iter().map(|auth| auth.as_str()).collect();
    xml.raw(&format!(
        "<k:Actor auth=\"{}\" kind=\"{}\"></k:Actor>",
        auth.join(" "),
        event.actor.kind.as_str()
    ));
    if let Some(size) = event.subject.size {
        xml.element("k:Octets", &size.to_string());
    }
    if let Some(recipient) = &event.subject.recipient {
        xml.element("k:RecipientOrdinal", &recipient.ordinal.to_string());
    }
    for (name, value) in &event.details {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            // Lists and objects stand in the canonical event, whose digest is above.
            _ => continue,
        };
        xml.raw(&format!(
            "<k:Detail name=\"{}\">",
            escape_attribute(&printable(name))
        ));
        xml.raw(&escape_text(&printable(&value)));
        xml.raw("</k:Detail>");
    }
    xml.raw("</k:Event></e:Extension></e:Extensions>");
}

/// `urn:knik:policy:` and the policy's name, with every octet escaped that a URI may not hold as it is (RFC 3986 §2.3).
pub(crate) fn policy_uri(policy: &str) -> String {
    let mut uri = POLICY_PREFIX.to_owned();
    for octet in policy.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            uri.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{octet:02X}");
        }
    }
    uri
}

/// Text without the characters XML 1.0 cannot carry at all; the canonical event has them as they were.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_xml_char(character) {
                character
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}

struct Xml(String);

impl Xml {
    fn raw(&mut self, xml: &str) {
        self.0.push_str(xml);
    }

    fn element(&mut self, name: &str, text: &str) {
        let text = escape_text(&printable(text));
        self.raw(&format!("<{name}>{text}</{name}>"));
    }

    fn identifier(&mut self, scheme: &str, value: &str) {
        self.raw(&format!(
            "<Identifier IdentifierSchemeName=\"{}\">",
            escape_attribute(scheme)
        ));
        self.raw(&escape_text(&printable(value)));
        self.raw("</Identifier>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xades::c14n::{Subset, canonicalize};
    use proptest::prelude::*;
    use serde_json::json;

    fn event(kind: &str, extra: Value) -> Event {
        let mut object = json!({
            "v": 1, "id": "01JD9ZK3W8Q6T2M4R5N7P9B1CD", "event": kind, "time": "2026-11-22T09:00:00.000Z",
            "host": "mx1.e-citizen.example", "policy": "knik-1", "seq": 0, "actor": {"kind": "sender", "auth": ["ip", "tls"]},
            "message": "01JD9ZK3VZ0A1B2C3D4E5F6G7H", "from": "office@tax.example",
        });
        for (key, value) in extra.as_object().unwrap() {
            object[key] = value.clone();
        }
        Event::from_canonical(&crate::event::jcs(&object).unwrap()).unwrap()
    }

    fn text(event: &Event) -> String {
        let issuer = Issuer {
            name: "Փոստ & <Co>\r".to_owned(),
        };
        String::from_utf8(
            render(event, &LeafData::from_bytes([7; 32]), &issuer)
                .unwrap()
                .unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn a_submission_lists_its_recipients_and_others_only_their_own() {
        let both = json!({"recipients": ["a@x.example", {"address": "b@x.example", "ordinal": 2}], "reason": "RA01"});
        let xml = text(&event("submission-accepted", both));
        assert!(
            xml.contains("<Identifier IdentifierSchemeName=\"mailto\">a@x.example</Identifier>")
        );
        assert!(xml.contains(">b@x.example<"));
        assert!(xml.contains("/Event/SubmissionAcceptance</e:ERDSEventId>"));
        assert!(xml.contains("<Code>http://uri.etsi.org/19522/EventReason/MessageAccepted</Code><Details>RA01</Details>"));
        assert!(xml.contains("<e:SubmissionTime>2026-11-22T09:00:00.000Z</e:SubmissionTime>"));
        assert!(!xml.contains("EvidenceRefersToRecipient"));
        let one = json!({"recipient": {"address": "b@x.example", "ordinal": 2}, "recipients": ["a@x.example"]});
        let xml = text(&event("deposited", one));
        assert!(xml.contains(">b@x.example<") && !xml.contains("a@x.example"));
        assert!(xml.contains("<EvidenceRefersToRecipient>1</EvidenceRefersToRecipient>"));
        assert!(xml.contains("<k:RecipientOrdinal>2</k:RecipientOrdinal>"));
    }

    #[test]
    fn names_of_events_and_senders() {
        let uri = |kind: &str| event_uri(&event(kind, json!({})));
        assert_eq!(
            uri("handed-over"),
            "http://uri.etsi.org/19522/Event/ContentHandover"
        );
        assert_eq!(uri("disclosed"), "urn:knik:evidence:1:event:disclosed");
        assert!(
            text(&event("listed", json!({"from": ""}))).contains("\"smtp-reverse-path\">&lt;&gt;<")
        );
        let mut nobody = event("listed", json!({"policy": "a b/ã"}));
        nobody.subject.from = None;
        assert!(text(&nobody).contains(
            "<e:SenderDetails></e:SenderDetails><e:RecipientDetails></e:RecipientDetails>"
        ));
        assert!(text(&nobody).contains("<PolicyID>urn:knik:policy:a%20b%2F%C3%A3</PolicyID>"));
        nobody.subject.message = None;
        assert_eq!(
            render(
                &nobody,
                &LeafData::from_bytes([0; 32]),
                &Issuer { name: "x".into() }
            )
            .unwrap(),
            None
        );
    }

    #[test]
    fn matches_only_its_own_event_and_leaf() {
        let (one, leaf) = (
            event("listed", json!({"size": 3})),
            LeafData::from_bytes([7; 32]),
        );
        let xml = text(&one).into_bytes();
        assert_eq!(issuer_of(&xml).unwrap().name, "Փոստ & <Co>\r");
        assert_eq!(leaf_of(&xml), Some(leaf));
        assert!(matches(&xml, &one, &leaf).unwrap());
        assert!(!matches(&xml, &event("listed", json!({"size": 4})), &leaf).unwrap());
        assert!(!matches(&xml, &one, &LeafData::from_bytes([8; 32])).unwrap());
        assert!(!matches(b"<a/>", &one, &leaf).unwrap());
        assert!(
            !String::from_utf8(xml)
                .unwrap()
                .to_lowercase()
                .contains("qualified")
        );
    }

    proptest! {
        #[test]
        fn canonical_by_construction(field in any::<String>(), address in any::<String>(), detail in any::<String>()) {
            let mut event = event("deposited", json!({"digest": Digest::of(b"").tagged(), "size": 0}));
            event.subject.message_id_field = Some(field);
            event.subject.from = Some(address);
            event.details.insert(format!("x{detail}"), json!(detail));
            let xml = text(&event);
            let root = dom::parse(xml.as_bytes()).unwrap();
            let whole = Subset { root: &root, apex: &root, without: None, inclusive: &[] };
            prop_assert_eq!(String::from_utf8(canonicalize(&whole)).unwrap(), xml);
        }
    }
}
