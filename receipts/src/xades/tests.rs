use super::*;
use crate::anchors::CertificateAnchor;
use crate::seal::SoftSeal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const UNSIGNED: &str = "<e:Evidence xmlns:e=\"http://uri.etsi.org/19522/v1#\" version=\"EN319522v1.2.1\"><e:EvidenceIdentifier>01JZ</e:EvidenceIdentifier><e:ERDSEventId>http://uri.etsi.org/19522/Event/ContentHandover</e:ERDSEventId><EventTime>2026-11-22T09:00:00.000Z</EventTime></e:Evidence>";

struct Made {
    seal: SoftSeal,
    anchors: Anchors,
}

fn anchor(der: &CertificateDer<'_>) -> Anchors {
    let certificate = der.clone().into_owned();
    Anchors {
        seals: vec![CertificateAnchor {
            name: "test".to_owned(),
            certificate,
        }],
        ..Anchors::default()
    }
}

/// A root, an intermediate, a seal; the seal's file holds itself and the intermediate.
fn made() -> Made {
    let ca = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root_key = KeyPair::generate().unwrap();
    let root = ca("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(ca("root"), root_key);
    let middle_key = KeyPair::generate().unwrap();
    let middle = ca("middle").signed_by(&middle_key, &root_issuer).unwrap();
    let middle_issuer = Issuer::new(ca("middle"), middle_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![])
        .unwrap()
        .signed_by(&key, &middle_issuer)
        .unwrap();
    let chain = leaf.pem() + &middle.pem();
    let seal = SoftSeal::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    Made {
        seal,
        anchors: anchor(root.der()),
    }
}

fn time() -> Timestamp {
    "2026-11-22T09:00:00.500Z".parse().unwrap()
}

fn signed(made: &Made) -> String {
    String::from_utf8(sign(UNSIGNED.as_bytes(), &made.seal, time()).unwrap()).unwrap()
}

#[test]
fn what_is_signed_verifies_and_says_what_it_said() {
    let made = made();
    let xml = signed(&made);
    let evidence = verify(xml.as_bytes(), &made.anchors, None).unwrap();
    assert_eq!(evidence.identifier, "01JZ");
    assert_eq!(
        evidence.event,
        "http://uri.etsi.org/19522/Event/ContentHandover"
    );
    assert_eq!(evidence.event_time, "2026-11-22T09:00:00.000Z");
    assert_eq!(evidence.unsigned, UNSIGNED.as_bytes());
    assert_eq!(evidence.signing_time, time());
    assert_eq!(evidence.certificates, made.seal.chain());
    assert_eq!(
        evidence.path,
        Path {
            intermediates: vec![made.seal.chain()[1].clone()],
            anchor: 0
        }
    );
    let signature = Signature::from_fixed(evidence.signature.try_into().unwrap());
    let again = assemble(UNSIGNED.as_bytes(), made.seal.chain(), time(), &signature).unwrap();
    assert_eq!(again, xml.as_bytes());
}

#[test]
fn any_altered_octet_is_found() {
    let made = made();
    let xml = signed(&made).into_bytes();
    let good = verify(&xml, &made.anchors, None).unwrap();
    for at in 0..xml.len() {
        for bit in [1, 0x20] {
            let mut altered = xml.clone();
            altered[at] ^= bit;
            let Ok(said) = verify(&altered, &made.anchors, None) else {
                continue;
            };
            // What verifies all the same is an octet of the signature's frame: then the octets differ from those that
            // are written for its parts, and that is how a bundle finds them.
            let signature = Signature::from_fixed(said.signature.clone().try_into().unwrap());
            let written = assemble(
                &said.unsigned,
                &said.certificates,
                said.signing_time,
                &signature,
            )
            .unwrap();
            assert_ne!(written, altered, "octet {at}");
            assert_eq!(said.unsigned, good.unsigned, "octet {at}");
        }
    }
}

#[test]
fn each_refusal_has_its_name() {
    let made = made();
    let xml = signed(&made);
    let check = |xml: &str| {
        verify(xml.as_bytes(), &made.anchors, None)
            .map(drop)
            .unwrap_err()
    };
    let swap = |from: &str, to: &str| {
        assert!(xml.contains(from), "{from}");
        check(&xml.replacen(from, to, 1))
    };
    assert_eq!(swap(">01JZ<", ">01JY<"), XadesError::DocumentAltered);
    assert_eq!(
        swap("22T09:00:00.500Z", "22T09:00:00.501Z"),
        XadesError::PropertiesAltered
    );
    assert_eq!(check(UNSIGNED), XadesError::SignaturePlace);
    assert_eq!(check("<a/>"), XadesError::NotEvidence);
    assert!(matches!(check("<a"), XadesError::Document(_)));
    assert!(matches!(
        check(&format!("<!DOCTYPE x>{xml}")),
        XadesError::Document(DomError::Doctype)
    ));
    assert_eq!(
        swap("Id=\"signed-properties\"", "Id=\"signature\""),
        XadesError::TwiceId("signature".to_owned())
    );
    assert_eq!(
        swap("Target=\"#signature\"", "Target=\"#other\""),
        XadesError::Part("QualifyingProperties")
    );
    let algorithm = |what, name: &str| XadesError::Algorithm {
        what,
        name: name.to_owned(),
    };
    let weak = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";
    // SignedInfo is read before its signature is checked: an algorithm is refused, never tried.
    assert_eq!(swap(ECDSA_SHA256, weak), algorithm("signature", weak));
    assert_eq!(swap(ENVELOPED, "urn:x"), algorithm("transform", "urn:x"));
    let inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    assert_eq!(
        swap(
            &format!("Transform Algorithm=\"{EXC_C14N}"),
            &format!("Transform Algorithm=\"{inclusive}")
        ),
        algorithm("transform", inclusive)
    );
    assert_eq!(
        swap(
            &format!("CanonicalizationMethod Algorithm=\"{EXC_C14N}"),
            &format!("CanonicalizationMethod Algorithm=\"{inclusive}")
        ),
        algorithm("canonicalization", inclusive)
    );
    assert_eq!(
        swap(SHA256, "http://www.w3.org/2000/09/xmldsig#sha1"),
        algorithm("digest", "http://www.w3.org/2000/09/xmldsig#sha1")
    );
    assert_eq!(
        swap("URI=\"\"", "URI=\"http://x.example/\""),
        algorithm("reference", "http://x.example/")
    );
    assert_eq!(
        swap("<ds:X509Certificate>", "<ds:X509Certificate>AAAA"),
        XadesError::SigningCertificate
    );
    let stranger = super::tests::made();
    let untrusted = verify(xml.as_bytes(), &stranger.anchors, None);
    assert!(
        matches!(untrusted, Err(XadesError::Untrusted(_))),
        "{untrusted:?}"
    );
    let late = verify(
        xml.as_bytes(),
        &made.anchors,
        Some("4999-01-01T00:00:00.000Z".parse().unwrap()),
    );
    assert!(
        matches!(late, Err(XadesError::Untrusted(PathError::Expired(_)))),
        "{late:?}"
    );
}

#[test]
fn wrapping_is_refused() {
    let made = made();
    let xml = signed(&made);
    let signature = xml.find("<ds:Signature ").unwrap();
    let (evidence, rest) = xml.split_at(signature);
    let (signature, _) = rest.split_at(rest.len() - "</e:Evidence>".len());
    let forged = evidence.replace("01JZ", "FAKE");
    let check = |xml: String| {
        verify(xml.as_bytes(), &made.anchors, None)
            .map(drop)
            .unwrap_err()
    };
    // The true document put inside a forged one, with the signature at either place, or at both.
    assert_eq!(
        check(format!("{forged}{xml}</e:Evidence>")),
        XadesError::SignaturePlace
    );
    assert_eq!(
        check(format!(
            "{forged}{evidence}</e:Evidence>{signature}</e:Evidence>"
        )),
        XadesError::DocumentAltered
    );
    assert_eq!(
        check(format!("{forged}{signature}{signature}</e:Evidence>")),
        XadesError::TwiceId("signature".to_owned())
    );
    let other_ids = signature
        .replace("\"signature\"", "\"s2\"")
        .replace("signed-properties\"", "p2\"");
    assert_eq!(
        check(format!("{evidence}{signature}{other_ids}</e:Evidence>")),
        XadesError::SignaturePlace
    );
    // A second set of signed properties, outside the signature or beside the true one.
    let properties = format!(
        "<xades:SignedProperties xmlns:xades=\"{XADES}\" Id=\"signed-properties\"></xades:SignedProperties>"
    );
    assert_eq!(
        check(format!("{evidence}{properties}{signature}</e:Evidence>")),
        XadesError::TwiceId("signed-properties".to_owned())
    );
    let fresh = properties.replace("signed-properties", "fresh");
    let beside = signature.replace(
        "</xades:QualifyingProperties>",
        &format!("{fresh}</xades:QualifyingProperties>"),
    );
    assert_eq!(
        check(format!("{evidence}{beside}</e:Evidence>")),
        XadesError::Part("SignedProperties")
    );
}

#[test]
fn only_canonical_unsigned_evidence_is_signed() {
    let made = made();
    for bad in [
        UNSIGNED.replace("></e:", "/></e:"),
        UNSIGNED.replace("version", "\tversion"),
        format!("{UNSIGNED}\n"),
        format!("<?xml version=\"1.0\"?>{UNSIGNED}"),
        signed(&made),
        "<a></a>".to_owned(),
        String::new(),
    ] {
        if bad != UNSIGNED {
            let refused = sign(bad.as_bytes(), &made.seal, time());
            assert!(matches!(refused, Err(SignError::NotCanonical)), "{bad}");
        }
    }
}
