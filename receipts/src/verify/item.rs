//! One event against its salt, its sealed evidence and its place in the log.

use mail::Digest;
use rustls_pki_types::CertificateDer;

use super::message::{self, Likeness};
use super::report::{Finding, Logged, NotProved, Report};
use super::{Beside, Refutation};
use crate::anchors::Anchors;
use crate::bundle::{Item, event_name, proof_name, salt_name, xml_name};
use crate::evidence_xml;
use crate::leaf::{LeafData, Salt};
use crate::proof::{self, TlogProof};
use crate::seal::Signature;
use crate::xades::{self, SignedEvidence};

/// The event that lies beside a single file; `None` without event or salt.
pub(super) fn of(beside: &Beside<'_>) -> Result<Option<Item>, Refutation> {
    let (Some(event), Some(salt)) = (beside.event, beside.salt) else {
        return Ok(None);
    };
    let not_canonical = |source| Refutation::NotCanonical {
        file: "event".to_owned(),
        source,
    };
    let salt = salt.try_into().map_err(|_| Refutation::Unreadable {
        file: "salt".to_owned(),
    })?;
    Item::new(event.to_vec(), Salt::from_bytes(salt))
        .map(Some)
        .map_err(not_canonical)
}

/// Verifies what proves `item` and adds what it found to `report`.
pub(super) fn verify(
    item: &Item,
    anchors: &Anchors,
    report: &mut Report,
) -> Result<(), Refutation> {
    let id = item.event.id;
    let leaf = item.leaf();
    let mut finding = Finding::of(&item.event);
    if let Some(xml) = &item.xml {
        let signed = verify_seal(&xml_name(id), xml, anchors, report)?;
        says_the_same(item, &leaf, &signed)?;
        finding.sealed = Finding::of_signed(&signed, anchors).sealed;
    } else if item.event.subject.message.is_some() {
        report.note(NotProved::NotSealed {
            event: event_name(id),
        });
    }
    match &item.proof {
        Some(proof) => {
            let logged = verify_inclusion(&proof_name(id), proof, &leaf, anchors, report);
            finding.logged = Some(logged.map_err(|refutation| match refutation {
                // The entry is the sealed one: then it is the proof that was altered.
                Refutation::LeafNotInLog { file } if item.xml.is_some() => Refutation::ProofWrong {
                    file,
                    source: proof::Refutation::Root,
                },
                other => other,
            })?);
        }
        None if item.xml.is_none() => {
            return Err(Refutation::NothingProves {
                file: event_name(id),
            });
        }
        None => report.note(NotProved::NotLogged {
            event: event_name(id),
        }),
    }
    report.findings.push(finding);
    Ok(())
}

/// Verifies the seal of evidence. Evidence of ours must also be octet for octet as this program writes it: the seal does
/// not cover the frame around it.
pub(super) fn verify_seal(
    file: &str,
    xml: &[u8],
    anchors: &Anchors,
    report: &mut Report,
) -> Result<SignedEvidence, Refutation> {
    let signed = xades::verify(xml, anchors, None)
        .map_err(|source| Refutation::of_seal(file.to_owned(), source))?;
    if evidence_xml::leaf_of(&signed.unsigned).is_some() {
        let signature = <[u8; 64]>::try_from(signed.signature.as_slice())
            .ok()
            .map(Signature::from_fixed);
        let certificates = &signed.certificates;
        let written = signature.and_then(|signature| {
            xades::assemble(
                &signed.unsigned,
                certificates,
                signed.signing_time,
                &signature,
            )
        });
        let idle = |der: &CertificateDer<'_>| is_idle(der, &signed, anchors);
        let twice = certificates
            .iter()
            .skip(1)
            .any(|der| certificates.first() == Some(der));
        if written.as_deref() != Some(xml) || twice || certificates.iter().any(idle) {
            return Err(Refutation::XmlAltered {
                file: file.to_owned(),
            });
        }
    } else if signed.unsigned_properties {
        report.note(NotProved::UnsignedProperties {
            file: file.to_owned(),
        });
    }
    report
        .certificates
        .extend(signed.certificates.iter().cloned());
    Ok(signed)
}

/// Whether a certificate in the signature has no part in its path: nothing would show that it was altered.
fn is_idle(der: &CertificateDer<'_>, signed: &SignedEvidence, anchors: &Anchors) -> bool {
    let leaf = signed.certificates.first() == Some(der);
    let anchor = anchors
        .seals
        .iter()
        .any(|anchor| anchor.certificate == *der);
    // Above an anchor that is not the last of the chain, certificates are still tied to it by their signatures.
    let on_path = signed.path.intermediates.contains(der);
    !leaf && !anchor && !on_path && !leads_on(der, signed)
}

/// Whether a certificate certifies another one in the signature.
fn leads_on(der: &CertificateDer<'_>, signed: &SignedEvidence) -> bool {
    let alone = std::slice::from_ref(der);
    signed.certificates.first().is_some_and(|leaf| {
        let at = signed.signing_time;
        crate::seal::validate(leaf, &signed.certificates, alone, at).is_ok()
    })
}

/// The sealed document is the one this event, this salt and its issuer's name give.
fn says_the_same(item: &Item, leaf: &LeafData, signed: &SignedEvidence) -> Result<(), Refutation> {
    let id = item.event.id;
    let unreadable = |source| Refutation::NotCanonical {
        file: event_name(id),
        source,
    };
    if evidence_xml::matches(&signed.unsigned, &item.event, leaf).map_err(unreadable)? {
        return Ok(());
    }
    // What was sealed stands; which of the files beside it was altered, its digests tell.
    let about_this = signed.identifier == id.to_string();
    match (
        evidence_xml::digest_of(&signed.unsigned),
        evidence_xml::leaf_of(&signed.unsigned),
    ) {
        (Some(digest), _) if about_this && digest != Digest::of(&item.octets) => {
            Err(Refutation::EventAltered {
                file: event_name(id),
            })
        }
        (Some(_), Some(sealed)) if about_this && sealed != *leaf => Err(Refutation::SaltWrong {
            file: salt_name(id),
        }),
        _ => Err(Refutation::XmlSaysOtherThanEvent { file: xml_name(id) }),
    }
}

/// Verifies that `leaf` stands in a log of the anchors.
pub(super) fn verify_inclusion(
    file: &str,
    proof: &TlogProof,
    leaf: &LeafData,
    anchors: &Anchors,
    report: &mut Report,
) -> Result<Logged, Refutation> {
    let file = file.to_owned();
    if proof.extra().is_some() {
        // Nothing authenticates extra data, and we write none.
        return Err(Refutation::NotAsWritten { file });
    }
    match proof.verify(leaf, &anchors.logs) {
        Ok(verified) => {
            let signed = &verified.checkpoint;
            let checkpoint = signed.checkpoint();
            anchors
                .admit(signed)
                .map_err(|last| Refutation::KeyRetired {
                    file: file.clone(),
                    size: checkpoint.size,
                    last,
                })?;
            let lines = signed.note().signatures().len();
            let others = lines.saturating_sub(signed.logs().len());
            if others > 0 {
                report.note(NotProved::Cosignatures {
                    file,
                    count: others,
                });
            }
            Ok(Logged {
                origin: checkpoint.origin.clone(),
                index: verified.index,
                size: checkpoint.size,
            })
        }
        Err(proof::Refutation::Root) => Err(Refutation::LeafNotInLog { file }),
        Err(source @ (proof::Refutation::UntrustedLog | proof::Refutation::NotACheckpoint(_))) => {
            Err(Refutation::UnknownLog { file, source })
        }
        Err(source @ proof::Refutation::FalseSignature(_)) => {
            Err(Refutation::CheckpointSignatureWrong { file, source })
        }
        Err(source) => Err(Refutation::ProofWrong { file, source }),
    }
}

/// A message shown beside the evidence, against the digest and size that `file` gives; without a digest there is nothing
/// to hold it against.
pub(super) fn check_message(
    shown: Option<&[u8]>,
    named: Option<(Digest, Option<u64>)>,
    file: &str,
    report: &mut Report,
) -> Result<(), Refutation> {
    let Some(shown) = shown else { return Ok(()) };
    let Some((digest, size)) = named else {
        report.note(NotProved::MessageUnused);
        return Ok(());
    };
    let likeness = message::likeness(shown, &digest, size);
    let likeness = likeness.ok_or_else(|| Refutation::OtherMessage {
        event: file.to_owned(),
    })?;
    report.message = Some(likeness);
    if likeness != Likeness::Exact {
        report.note(NotProved::MessageDiffers(likeness));
    }
    Ok(())
}

/// The digest and size of the message an event is about.
pub(super) fn content(item: &Item) -> Option<(Digest, Option<u64>)> {
    Some((item.event.subject.digest?, item.event.subject.size))
}
