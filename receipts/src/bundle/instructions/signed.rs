//! The commands for what is signed by CMS: receipt mails and time-stamps.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use rustls_pki_types::CertificateDer;

use super::is_self_issued;
use crate::bundle::{
    Bundle, certificate_name, checkpoint_name, receipt_name, timestamp_name, xml_name,
};
use crate::cms::check::{Content, check};
use crate::id::EvidenceId;
use crate::seal;
use crate::smime::SignedMail;
use crate::timestamp::Token;
use crate::timestamp::authority::TEST_POLICY;

/// Octets of evidence that a shell takes as one argument once it is base64: Linux has 128 KiB.
const ARGUMENT_OCTETS_MAX: usize = 64 * 1024;

/// The receipt mail: its signature, as plain CMS and as CAdES, and that the evidence in it is that of the bundle.
pub(super) fn receipt(text: &mut String, bundle: &Bundle, id: EvidenceId, mail: &[u8]) {
    let file = receipt_name(id);
    let Ok(mail) = SignedMail::split(mail) else {
        return;
    };
    let Ok(signed) = check(mail.signature(), Content::Detached(mail.entity())) else {
        return;
    };
    let Some(time) = signed.signing_time else {
        return;
    };
    let trust = trust(bundle, &signed.certificates, time);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "\n# ---- The receipt mail {file}: signed as a whole but for its header, at {time} by the signer's own clock.\n\
         openssl cms -verify -in {file} {trust} -purpose any -out \"$t/mail\"\n\
         openssl cms -verify -cades -in {file} {trust} -purpose any -out \"$t/mail\""
    );
    let signed: Vec<u8> = mail
        .entity()
        .iter()
        .copied()
        .filter(|octet| !b"\r\n".contains(octet))
        .collect();
    for (id, item) in &bundle.items {
        let Some(xml) = item
            .xml
            .as_ref()
            .filter(|xml| xml.len() <= ARGUMENT_OCTETS_MAX)
        else {
            continue;
        };
        let base64 = STANDARD.encode(xml);
        if signed
            .windows(base64.len())
            .any(|window| window == base64.as_bytes())
        {
            let evidence = xml_name(*id);
            let _ = writeln!(
                text,
                "tr -d '\\r\\n' < \"$t/mail\" | grep -q -F \"$(base64 < {evidence} | tr -d '\\n')\"\n\
                 echo '{file} carries {evidence}'"
            );
        }
    }
}

/// The time-stamp of a checkpoint.
pub(super) fn timestamp(text: &mut String, bundle: &Bundle, size: u64, response: &[u8]) {
    let (file, checkpoint) = (timestamp_name(size), checkpoint_name(size));
    let claims = Token::from_response(response)
        .ok()
        .and_then(|token| token.claims());
    let Some(claims) = claims else { return };
    let trust = trust(bundle, &claims.certificates, claims.time);
    let _ = writeln!(
        text,
        "\n# ---- The time-stamp of {checkpoint} (RFC 3161): the checkpoint, and all it leads to, existed at {}.",
        claims.time
    );
    if claims.policy == TEST_POLICY {
        text.push_str(
            "# UNTRUSTED: it is by the operator's own test authority and adds nothing to the operator's own word.\n\
             echo 'the time-stamp below is by an UNTRUSTED TEST authority'\n",
        );
    }
    let _ = writeln!(
        text,
        "openssl ts -verify -data {checkpoint} -in {file} {trust}\n\
         openssl ts -reply -in {file} -text | grep 'Time stamp: '"
    );
}

/// Whom the command is to trust, and for when: a root that the bundle shows and the path leads to, else what comes
/// nearest.
fn trust(bundle: &Bundle, certificates: &[CertificateDer<'static>], time: Timestamp) -> String {
    let Some((leaf, others)) = certificates.split_first() else {
        return String::new();
    };
    let (roots, between): (Vec<_>, Vec<_>) = bundle
        .certificates
        .values()
        .filter(|der| *der != leaf)
        .cloned()
        .partition(is_self_issued);
    let end = |anchors: &[CertificateDer<'static>]| {
        let path = seal::validate(leaf, others, anchors, time).ok()?;
        anchors.get(path.anchor).map(certificate_name)
    };
    let trusted = end(&roots).or_else(|| end(&between));
    let trusted = trusted.unwrap_or_else(|| certificate_name(leaf));
    let seconds = time.as_millis().div_euclid(1000);
    format!("-CAfile {trusted} -partial_chain -attime {seconds}")
}
