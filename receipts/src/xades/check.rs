//! The checks of an enveloped XAdES signature, in their order.
//!
//! Against signature wrapping: one signature in the whole document, a child of the root; the document is referenced by
//! `URI=""` alone; the signed properties are found inside that signature, by an `Id` that is unique in the document; what
//! callers get is read from the very octets that were hashed.

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::der::oid::ObjectIdentifier;

use super::c14n::{Subset, canonicalize};
use super::dom::{self, Element};
use super::{
    DS, ENVELOPED, EVIDENCE, EXC_C14N, SIGNED_PROPERTIES, SignedEvidence, XADES, XadesError,
};
use crate::anchors::Anchors;
use crate::seal;

/// XPath Filter 2.0: taken only with the one expression that removes all signatures.
const FILTER2: &str = "http://www.w3.org/2002/06/xmldsig-filter2";
/// Certificates read from one signature: a chain and some to spare.
const CERTIFICATES_MAX: usize = 16;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

pub(super) fn verify(
    xml: &[u8],
    anchors: &Anchors,
    at: Option<Timestamp>,
) -> Result<SignedEvidence, XadesError> {
    let root = dom::parse(xml)?;
    if !root.is(EVIDENCE.0, EVIDENCE.1) {
        return Err(XadesError::NotEvidence);
    }
    unique_ids(&root)?;
    let signature = the_signature(&root)?;
    let info = part(signature, DS, "SignedInfo", "SignedInfo")?;
    let properties = signed_properties(signature)?;
    let unsigned = check_references(&root, signature, info, properties)?;
    let certificates = certificates(signature)?;
    let certificates = named_first(certificates, properties)?;
    let value = base64_text(
        part(signature, DS, "SignatureValue", "SignatureValue")?,
        "SignatureValue",
    )?;
    check_value(&root, info, &value, certificates.first())?;
    let signing_time = signing_time(properties)?;
    let (leaf, others) = certificates
        .split_first()
        .ok_or(XadesError::SigningCertificate)?;
    let path = seal::validate(
        leaf,
        others,
        &anchors.seal_certificates(),
        at.unwrap_or(signing_time),
    )
    .map_err(XadesError::Untrusted)?;
    let text = |local, name| {
        Ok::<_, XadesError>(
            part(&root, EVIDENCE.0, local, name)?
                .text()
                .trim()
                .to_owned(),
        )
    };
    Ok(SignedEvidence {
        identifier: text("EvidenceIdentifier", "EvidenceIdentifier")?,
        event: text("ERDSEventId", "ERDSEventId")?,
        event_time: part(&root, "", "EventTime", "EventTime")?
            .text()
            .trim()
            .to_owned(),
        unsigned,
        signing_time,
        path,
        signature: value,
        unsigned_properties: signature
            .descendants()
            .iter()
            .any(|e| e.is(XADES, "UnsignedProperties")),
        certificates,
    })
}

fn part<'a>(
    of: &'a Element,
    namespace: &str,
    local: &str,
    name: &'static str,
) -> Result<&'a Element, XadesError> {
    of.only(namespace, local).ok_or(XadesError::Part(name))
}

/// No two elements share an `Id`, in any of the spellings a verifier may follow.
fn unique_ids(root: &Element) -> Result<(), XadesError> {
    let mut seen = std::collections::BTreeSet::new();
    for element in root.descendants() {
        for attribute in element
            .attributes
            .iter()
            .filter(|a| a.local.eq_ignore_ascii_case("id"))
        {
            // An extension may use `id` for something else; then it must be unique all the same.
            if !seen.insert(attribute.value.as_str()) {
                return Err(XadesError::TwiceId(attribute.value.clone()));
            }
        }
    }
    Ok(())
}

fn the_signature(root: &Element) -> Result<&Element, XadesError> {
    let all = root
        .descendants()
        .into_iter()
        .filter(|element| element.is(DS, "Signature"))
        .count();
    match root.only(DS, "Signature") {
        Some(signature) if all == 1 => Ok(signature),
        _ => Err(XadesError::SignaturePlace),
    }
}

/// Object/QualifyingProperties/SignedProperties, whose Target is this signature.
fn signed_properties(signature: &Element) -> Result<&Element, XadesError> {
    let mut qualifying = signature
        .elements()
        .filter(|element| element.is(DS, "Object"))
        .flat_map(Element::elements)
        .filter(|element| element.is(XADES, "QualifyingProperties"));
    let only = qualifying
        .next()
        .ok_or(XadesError::Part("QualifyingProperties"))?;
    let target = only
        .attribute("Target")
        .and_then(|target| target.strip_prefix('#'));
    // EN 319 132-1 §4.3: Target refers to the Id of the signature.
    if qualifying.next().is_some() || target.is_none() || target != signature.attribute("Id") {
        return Err(XadesError::Part("QualifyingProperties"));
    }
    part(only, XADES, "SignedProperties", "SignedProperties")
}

/// Exactly two references: the document without its signature, and the signed properties. Gives the document's octets.
fn check_references(
    root: &Element,
    signature: &Element,
    info: &Element,
    properties: &Element,
) -> Result<Vec<u8>, XadesError> {
    let mut document = None;
    let mut properties_seen = false;
    let id = properties
        .attribute("Id")
        .ok_or(XadesError::Part("SignedProperties Id"))?;
    for reference in info
        .elements()
        .filter(|element| element.is(DS, "Reference"))
    {
        let uri = reference
            .attribute("URI")
            .ok_or(XadesError::Part("Reference URI"))?;
        if uri.is_empty() && document.is_none() {
            let inclusive = transforms(reference, true)?;
            let subset = Subset {
                root,
                apex: root,
                without: Some(signature),
                inclusive: &inclusive,
            };
            let octets = canonicalize(&subset);
            check_digest(reference, &octets, XadesError::DocumentAltered)?;
            document = Some(octets);
        } else if uri.strip_prefix('#') == Some(id) && !properties_seen {
            if reference.attribute("Type") != Some(SIGNED_PROPERTIES) {
                return Err(XadesError::Part("Reference Type"));
            }
            let inclusive = transforms(reference, false)?;
            let subset = Subset {
                root,
                apex: properties,
                without: None,
                inclusive: &inclusive,
            };
            check_digest(
                reference,
                &canonicalize(&subset),
                XadesError::PropertiesAltered,
            )?;
            properties_seen = true;
        } else {
            return Err(XadesError::Algorithm {
                what: "reference",
                name: uri.to_owned(),
            });
        }
    }
    match document {
        Some(document) if properties_seen => Ok(document),
        Some(_) => Err(XadesError::Part("Reference to the signed properties")),
        None => Err(XadesError::Part("Reference to the document")),
    }
}

/// Accepts the transforms of a reference: enveloped (where it is due) and exclusive C14N. Gives C14N's PrefixList.
fn transforms(reference: &Element, enveloped: bool) -> Result<Vec<String>, XadesError> {
    let all = part(reference, DS, "Transforms", "Transforms")?;
    let mut removed = !enveloped;
    let mut inclusive = None;
    for transform in all.elements() {
        let name = transform
            .attribute("Algorithm")
            .filter(|_| transform.is(DS, "Transform"));
        let name = name.ok_or(XadesError::Part("Transform"))?;
        match name {
            ENVELOPED if !removed => removed = true,
            FILTER2 if !removed && removes_signatures(transform) => removed = true,
            EXC_C14N if inclusive.is_none() => inclusive = Some(prefix_list(transform)?),
            _ => {
                return Err(XadesError::Algorithm {
                    what: "transform",
                    name: name.to_owned(),
                });
            }
        }
    }
    match inclusive {
        Some(inclusive) if removed => Ok(inclusive),
        // Without it the octets would be those of inclusive C14N.
        None => Err(XadesError::Part("exclusive canonicalization Transform")),
        Some(_) => Err(XadesError::Part("enveloped-signature Transform")),
    }
}

/// `subtract /descendant::ds:Signature`: as there is one signature, the same as the enveloped-signature transform.
fn removes_signatures(transform: &Element) -> bool {
    let Some(xpath) = transform.only(FILTER2, "XPath") else {
        return false;
    };
    // The prefix in the expression must be bound to the signature's namespace, as it is for the transform's own name.
    let rebound = xpath.declarations.iter().any(|(prefix, _)| prefix == "ds");
    xpath.attribute("Filter") == Some("subtract")
        && xpath.text().trim() == "/descendant::ds:Signature"
        && transform.prefix == "ds"
        && !rebound
        && transform.elements().count() == 1
}

fn prefix_list(canonicalization: &Element) -> Result<Vec<String>, XadesError> {
    let mut inside = canonicalization.elements();
    let Some(list) = inside.next() else {
        return Ok(Vec::new());
    };
    let prefixes = list
        .attribute("PrefixList")
        .filter(|_| list.is(EXC_C14N, "InclusiveNamespaces"));
    match (prefixes, inside.next()) {
        (Some(prefixes), None) => Ok(prefixes
            .split_ascii_whitespace()
            .map(|prefix| {
                if prefix == "#default" {
                    String::new()
                } else {
                    prefix.to_owned()
                }
            })
            .collect()),
        _ => Err(XadesError::Part("InclusiveNamespaces")),
    }
}

fn check_digest(holder: &Element, octets: &[u8], wrong: XadesError) -> Result<(), XadesError> {
    let method = part(holder, DS, "DigestMethod", "DigestMethod")?;
    let value = base64_text(
        part(holder, DS, "DigestValue", "DigestValue")?,
        "DigestValue",
    )?;
    let algorithm = match method.attribute("Algorithm").unwrap_or_default() {
        super::SHA256 => &SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => &SHA384,
        "http://www.w3.org/2001/04/xmlenc#sha512" => &SHA512,
        other => {
            return Err(XadesError::Algorithm {
                what: "digest",
                name: other.to_owned(),
            });
        }
    };
    if digest(algorithm, octets).as_ref() == value {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// Base64 with white space between, as `xs:base64Binary` allows.
fn base64_text(element: &Element, name: &'static str) -> Result<Vec<u8>, XadesError> {
    let mut text = element.text();
    text.retain(|character| !character.is_ascii_whitespace());
    if element.elements().next().is_some() {
        return Err(XadesError::Part(name));
    }
    STANDARD.decode(text).map_err(|_| XadesError::Part(name))
}

fn certificates(signature: &Element) -> Result<Vec<CertificateDer<'static>>, XadesError> {
    let key_info = part(signature, DS, "KeyInfo", "KeyInfo")?;
    let all = key_info
        .elements()
        .filter(|element| element.is(DS, "X509Data"))
        .flat_map(Element::elements)
        .filter(|element| element.is(DS, "X509Certificate"));
    let mut certificates = Vec::new();
    for element in all {
        if certificates.len() >= CERTIFICATES_MAX {
            return Err(XadesError::Part("X509Data"));
        }
        certificates.push(CertificateDer::from(base64_text(
            element,
            "X509Certificate",
        )?));
    }
    Ok(certificates)
}

/// Moves the certificate that the signed properties name to the front (EN 319 132-1 §5.2.2: the first `Cert`).
fn named_first(
    mut certificates: Vec<CertificateDer<'static>>,
    properties: &Element,
) -> Result<Vec<CertificateDer<'static>>, XadesError> {
    let signed = part(
        properties,
        XADES,
        "SignedSignatureProperties",
        "SignedSignatureProperties",
    )?;
    let named = part(
        signed,
        XADES,
        "SigningCertificateV2",
        "SigningCertificateV2",
    )?;
    let cert = named.elements().find(|element| element.is(XADES, "Cert"));
    let cert = cert.ok_or(XadesError::Part("SigningCertificateV2"))?;
    let named = part(cert, XADES, "CertDigest", "CertDigest")?;
    for at in 0..certificates.len() {
        let Some(der) = certificates.get(at) else {
            break;
        };
        match check_digest(named, der, XadesError::SigningCertificate) {
            Ok(()) => {
                let leaf = certificates.remove(at);
                certificates.insert(0, leaf);
                return Ok(certificates);
            }
            Err(XadesError::SigningCertificate) => {}
            Err(other) => return Err(other),
        }
    }
    Err(XadesError::SigningCertificate)
}

fn check_value(
    root: &Element,
    info: &Element,
    value: &[u8],
    certificate: Option<&CertificateDer<'_>>,
) -> Result<(), XadesError> {
    let method = part(info, DS, "CanonicalizationMethod", "CanonicalizationMethod")?;
    match method.attribute("Algorithm").unwrap_or_default() {
        EXC_C14N => {}
        other => {
            return Err(XadesError::Algorithm {
                what: "canonicalization",
                name: other.to_owned(),
            });
        }
    }
    let inclusive = prefix_list(method)?;
    let octets = canonicalize(&Subset {
        root,
        apex: info,
        without: None,
        inclusive: &inclusive,
    });
    let method = part(info, DS, "SignatureMethod", "SignatureMethod")?;
    let (algorithm, key_kind) =
        signature_algorithm(method.attribute("Algorithm").unwrap_or_default())?;
    let certificate = certificate
        .and_then(seal::parse)
        .ok_or(XadesError::SigningCertificate)?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    let point = key
        .subject_public_key
        .as_bytes()
        .ok_or(XadesError::SigningCertificate)?;
    if key.algorithm.oid != key_kind {
        return Err(XadesError::SignatureValue);
    }
    let key = UnparsedPublicKey::new(algorithm, point);
    key.verify(&octets, value)
        .map_err(|_| XadesError::SignatureValue)
}

/// RFC 6931 §2.3 names the algorithms.
fn signature_algorithm(
    uri: &str,
) -> Result<(&'static dyn VerificationAlgorithm, ObjectIdentifier), XadesError> {
    match uri {
        super::ECDSA_SHA256 => Ok((&ECDSA_P256_SHA256_FIXED, EC)),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => Ok((&ECDSA_P384_SHA384_FIXED, EC)),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => {
            Ok((&RSA_PKCS1_2048_8192_SHA256, RSA))
        }
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => {
            Ok((&RSA_PKCS1_2048_8192_SHA384, RSA))
        }
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => {
            Ok((&RSA_PKCS1_2048_8192_SHA512, RSA))
        }
        other => Err(XadesError::Algorithm {
            what: "signature",
            name: other.to_owned(),
        }),
    }
}

fn signing_time(properties: &Element) -> Result<Timestamp, XadesError> {
    let signed = part(
        properties,
        XADES,
        "SignedSignatureProperties",
        "SignedSignatureProperties",
    )?;
    let time = part(signed, XADES, "SigningTime", "SigningTime")?.text();
    date_time(time.trim()).ok_or(XadesError::Part("SigningTime"))
}

/// `xs:dateTime` with its zone; digits beyond the millisecond are cut off.
fn date_time(text: &str) -> Option<Timestamp> {
    let seconds = text.get(..19)?;
    let mut rest = text.get(19..)?;
    let mut millis = String::from("000");
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction
            .find(|c: char| !c.is_ascii_digit())
            .filter(|end| *end > 0)?;
        let (digits, after) = fraction.split_at_checked(end)?;
        millis = format!("{digits:0<3}").get(..3)?.to_owned();
        rest = after;
    }
    let time: Timestamp = format!("{seconds}.{millis}Z").parse().ok()?;
    if rest == "Z" {
        return Some(time);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => -1,
        b'-' => 1,
        _ => return None,
    };
    let (hours, minutes) = rest.get(1..)?.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let offset = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000;
    Some(Timestamp::from_millis(time.as_millis() + sign * offset))
}

#[cfg(test)]
mod tests {
    use super::date_time;

    #[test]
    fn times_of_xml_schema() {
        let table = [
            ("2026-01-15T09:30:01Z", "2026-01-15T09:30:01.000Z"),
            ("2026-01-15T09:30:01.5Z", "2026-01-15T09:30:01.500Z"),
            ("2026-01-15T09:30:01.123456Z", "2026-01-15T09:30:01.123Z"),
            ("2026-01-15T01:30:01+04:00", "2026-01-14T21:30:01.000Z"),
            ("2026-01-15T09:30:01-00:30", "2026-01-15T10:00:01.000Z"),
        ];
        for (text, expected) in table {
            assert_eq!(
                date_time(text).map(|time| time.to_string()).as_deref(),
                Some(expected)
            );
        }
        for bad in [
            "",
            "2026-01-15T09:30:01",
            "2026-01-15T09:30:01.Z",
            "2026-01-15T09:30:01+4:00",
            "2026-01-15T09:30:01+15:00",
            "2026-13-15T09:30:01Z",
            "2026-01-15T09:30:01Zx",
            "2026-01-15T09:30:01+0é:0",
        ] {
            assert_eq!(date_time(bad), None, "{bad}");
        }
    }
}
