//! A receipt mail: in a bundle, where each of its octets must be as it was written; and by itself.

use rustls_pki_types::CertificateDer;

use super::item;
use super::report::{Finding, Mailed, NotProved, Report, Sealed};
use super::{Beside, Refutation};
use crate::anchors::Anchors;
use crate::bundle::{Bundle, Item, event_name, receipt_name};
use crate::evidence_xml;
use crate::id::EvidenceId;
use crate::seal;
use crate::smime::{self, Receipt, ReceiptRefutation, SignedMail};
use crate::xades::SignedEvidence;

/// Verifies the receipts of a bundle: each holds, is as this program writes it but for the fields of its header, and its
/// evidence is that of the events in the bundle.
pub(super) fn verify_all(
    bundle: &Bundle,
    anchors: &Anchors,
    report: &mut Report,
) -> Result<(), Refutation> {
    for (id, mail) in &bundle.receipts {
        let file = receipt_name(*id);
        let receipt = verify(&file, mail, anchors, report)?;
        let altered = || Refutation::ReceiptAltered { file: file.clone() };
        if !SignedMail::split(mail).is_ok_and(|mail| mail.is_as_written()) {
            return Err(altered());
        }
        let other = |why| Refutation::ReceiptSaysOther {
            file: file.clone(),
            why,
        };
        let first = receipt
            .evidence
            .first()
            .map(|one| one.signed.identifier.clone());
        if first != Some(id.to_string()) {
            return Err(other(
                "its first evidence is not that of the event in its name",
            ));
        }
        for one in &receipt.evidence {
            let item = one.signed.identifier.parse().ok();
            let item = item.and_then(|id: EvidenceId| bundle.items.get(&id));
            match item {
                Some(item) if !says_the_same(item, &one.signed) => {
                    return Err(other(
                        "its evidence is not that of the event in this bundle",
                    ));
                }
                Some(_) => {}
                None => report.note(NotProved::EventNotShown {
                    file: format!("{file}, evidence {}", one.signed.identifier),
                }),
            }
        }
    }
    Ok(())
}

/// A receipt mail by itself; with the event and salt of one of its evidences, also that it says what they say.
pub(super) fn verify_file(
    name: &str,
    mail: &[u8],
    anchors: &Anchors,
    beside: Beside<'_>,
) -> Result<Report, Refutation> {
    let mut report = Report::default();
    let receipt = verify(name, mail, anchors, &mut report)?;
    let item = item::of(&beside)?;
    for one in &receipt.evidence {
        let signed = &one.signed;
        let shown = item
            .as_ref()
            .filter(|item| item.event.id.to_string() == signed.identifier);
        if let Some(item) = shown {
            let mut item = item.clone();
            item.xml = Some(one.xml.clone());
            item::verify(&item, anchors, &mut report)?;
            let file = event_name(item.event.id);
            item::check_message(beside.message, item::content(&item), &file, &mut report)?;
            continue;
        }
        report.note(NotProved::EventNotShown {
            file: format!("{name}, evidence {}", signed.identifier),
        });
        let named = evidence_xml::content_of(&signed.unsigned);
        item::check_message(beside.message, named, name, &mut report)?;
        report.findings.push(Finding::of_signed(signed, anchors));
        if evidence_xml::leaf_of(&signed.unsigned).is_none() {
            report.note(NotProved::OtherSystem);
        }
    }
    report.notes_of_all();
    Ok(report)
}

fn verify(
    file: &str,
    mail: &[u8],
    anchors: &Anchors,
    report: &mut Report,
) -> Result<Receipt, Refutation> {
    let refuted = |source| Refutation::of_receipt(file.to_owned(), source);
    let receipt = smime::verify(mail, anchors, None).map_err(refuted)?;
    for (at, one) in receipt.evidence.iter().enumerate() {
        // Evidence of ours must also be as this program writes it.
        item::verify_seal(file, &one.xml, anchors, report).map_err(
            |refutation| match refutation {
                Refutation::XmlAltered { .. } => Refutation::ReceiptRefused {
                    file: file.to_owned(),
                    source: ReceiptRefutation::Part(at + 1),
                },
                other => other,
            },
        )?;
    }
    let signer = &receipt.signer;
    report
        .certificates
        .extend(signer.certificates.iter().cloned());
    report.note(NotProved::MailHeader {
        file: file.to_owned(),
    });
    if signer.unsigned_attributes {
        report.note(NotProved::UnsignedProperties {
            file: file.to_owned(),
        });
    }
    if receipt.line_ends_restored {
        report.note(NotProved::MailLineEnds {
            file: file.to_owned(),
        });
    }
    let anchor = anchors.seals.get(signer.path.anchor);
    let evidence = receipt
        .evidence
        .iter()
        .map(|one| one.signed.identifier.clone());
    let issuer = receipt
        .evidence
        .first()
        .and_then(|one| evidence_xml::issuer_of(&one.signed.unsigned));
    report.mailed.push(Mailed {
        file: file.to_owned(),
        evidence: evidence.collect(),
        sealed: Sealed {
            issuer: issuer
                .map(|issuer| issuer.name.trim().to_owned())
                .unwrap_or_default(),
            subject: subject(signer.certificates.first()),
            anchor: anchor.map(|anchor| anchor.name.clone()).unwrap_or_default(),
            time: signer.signing_time,
        },
    });
    Ok(receipt)
}

fn subject(certificate: Option<&CertificateDer<'_>>) -> String {
    let certificate = certificate.and_then(seal::parse);
    let subject =
        certificate.map(|certificate| certificate.tbs_certificate().subject().to_string());
    subject.unwrap_or_default()
}

/// The sealed document is the one this event, this salt and its issuer's name give.
fn says_the_same(item: &Item, signed: &SignedEvidence) -> bool {
    evidence_xml::matches(&signed.unsigned, &item.event, &item.leaf()).unwrap_or(false)
}
