//! Signed evidence of others: the published samples verify, and an altered one does not.

use std::fs;
use std::path::Path;

use receipts::anchors::{Anchors, CertificateAnchor};
use receipts::verify::message::Likeness;
use receipts::verify::{Beside, NotProved, verify_file};
use receipts::xades::{XadesError, verify};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::oracle::standards;

fn anchors(file: &Path) -> Anchors {
    let certificate = CertificateDer::from_pem_file(file).unwrap();
    Anchors {
        seals: vec![CertificateAnchor {
            name: "sample".to_owned(),
            certificate,
        }],
        ..Anchors::default()
    }
}

#[test]
fn p256_sample() {
    let Some(folder) = standards().map(|folder| folder.join("etsi-319522-3")) else {
        return;
    };
    let xml = fs::read_to_string(folder.join("sample-signed-xades-b-b-p256.xml")).unwrap();
    let anchors = anchors(&folder.join("sample-test-ca.pem"));
    // Its certificate is younger than the signing time it states.
    let at = Some("2026-11-23T00:00:00.000Z".parse().unwrap());
    let evidence = verify(xml.as_bytes(), &anchors, at).unwrap();
    assert_eq!(evidence.identifier, "01JZ");
    assert_eq!(
        evidence.event,
        "http://uri.etsi.org/19522/Event/ContentHandover"
    );
    assert_eq!(
        evidence.signing_time.to_string(),
        "2026-01-15T09:30:01.000Z"
    );
    let altered = xml.replace("RE01", "RE02");
    assert_eq!(
        verify(altered.as_bytes(), &anchors, at).unwrap_err(),
        XadesError::DocumentAltered
    );
    assert!(matches!(
        verify(xml.as_bytes(), &anchors, None),
        Err(XadesError::Untrusted(_))
    ));
}

#[test]
fn agid_samples() {
    let Some(folder) = standards().map(|folder| folder.join("agid-rem-policy-it-1.2")) else {
        return;
    };
    let anchors = anchors(&folder.join("certificates/REM-ROOT-CA.crt"));
    let mut count = 0;
    for entry in fs::read_dir(folder.join("standalone-evidence")).unwrap() {
        let path = entry.unwrap().path();
        let xml = fs::read_to_string(&path).unwrap();
        let evidence = verify(xml.as_bytes(), &anchors, None)
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let name = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace("tt1", "t1");
        let event = evidence.event.rsplit('/').next().unwrap();
        assert!(name.starts_with(event), "{name} {event}");
        assert!(evidence.unsigned_properties);
        let altered = xml.replacen("only-for-test.it", "only-for-tests.it", 1);
        assert_eq!(
            verify(altered.as_bytes(), &anchors, None).unwrap_err(),
            XadesError::DocumentAltered
        );
        count += 1;
    }
    assert_eq!(count, 8);
}

/// The digest in the published evidence is the one of the published message.
#[test]
fn agid_message() {
    let Some(folder) = standards().map(|folder| folder.join("agid-rem-policy-it-1.2")) else {
        return;
    };
    let anchors = anchors(&folder.join("certificates/REM-ROOT-CA.crt"));
    let message =
        fs::read(folder.join("Intra-REM-flow/original_message.to_attach_to_dispatch.eml")).unwrap();
    let xml = fs::read(folder.join("standalone-evidence/SubmissionAcceptance.RA01.xml")).unwrap();
    let verify = |message: &[u8]| {
        let beside = Beside {
            message: Some(message),
            ..Beside::default()
        };
        verify_file("RA01.xml", &xml, &anchors, beside).unwrap()
    };
    let report = verify(&message).unwrap();
    assert_eq!(report.message, Some(Likeness::Exact));
    assert!(report.not_proved.contains(&NotProved::OtherSystem));
    assert_eq!(
        report.findings[0].sealed.as_ref().unwrap().issuer,
        "S-REMS-1 provider"
    );
    assert_eq!(verify(&message[1..]).unwrap_err().word(), "other-message");
}
