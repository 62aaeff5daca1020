//! The verifier: what was proved, by whom, when, and what was not; or the one way in which it is false.
//!
//! | module | what |
//! |---|---|
//! | [`refutation`] | the ways of being false |
//! | [`report`] | what was proved, and what was not |
//! | `item` | one event against its salt, its sealed evidence and its proof |
//! | `chain` | events against one another |
//! | `annulment` | events that say of others that they were mistakes |
//! | [`message`] | a message against the digest in an event |
//! | `receipt` | a receipt mail |
//! | `timestamp` | the time-stamps of a bundle's checkpoints |
//!
//! Pure: octets in, verdict out. Seals are judged at the time they give for themselves; nothing here asks what day it is.

use std::collections::BTreeSet;

use mail::Digest;

use crate::anchors::Anchors;
use crate::bundle::{
    Bundle, certificate_name, checkpoint_name, container, credentials, event_name, log_key,
};
use crate::checkpoint::SignedCheckpoint;
use crate::evidence_xml;
use crate::leaf::{LeafData, Salt};
use crate::note::VerifierKey;
use crate::proof::TlogProof;

mod annulment;
mod chain;
mod item;
pub mod message;
mod receipt;
pub mod refutation;
pub mod report;
mod timestamp;

pub use refutation::Refutation;
pub use report::{Dated, Finding, Logged, Mailed, NotProved, Report, Sealed};

/// What kind of file is to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A court bundle: `.zip`.
    Bundle,
    /// Sealed evidence: `.xml`.
    Evidence,
    /// A place in the log: `.tlog-proof`.
    Proof,
    /// A receipt mail: `.eml`.
    Receipt,
}

impl Kind {
    /// The kind that a file's name says; `None` for one that is not verified here.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "zip" => Some(Self::Bundle),
            "xml" => Some(Self::Evidence),
            "tlog-proof" => Some(Self::Proof),
            "eml" => Some(Self::Receipt),
            _ => None,
        }
    }
}

/// What lies beside a single file: with event and salt more can be proved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// The canonical octets of the event.
    pub event: Option<&'a [u8]>,
    /// The event's salt: 32 octets.
    pub salt: Option<&'a [u8]>,
    /// The message.
    pub message: Option<&'a [u8]>,
}

/// Where event and salt may lie for the single file `name`: paths relative to its folder, first as in a bundle that was
/// unpacked, then as plain neighbours. Pairs of event and salt.
#[must_use]
pub fn neighbours(name: &str) -> Vec<(String, String)> {
    let stem = name
        .strip_suffix(".xml")
        .or_else(|| name.strip_suffix(".tlog-proof"))
        .or_else(|| name.strip_suffix(".eml"));
    match stem {
        Some(id) if !id.contains(['/', '\\']) => vec![
            (format!("../events/{id}.json"), format!("../salts/{id}")),
            (format!("{id}.json"), format!("{id}.salt")),
        ],
        _ => Vec::new(),
    }
}

/// Verifies a court bundle, and `message` against it if one is given. Every octet counts: what the checks do not reach
/// must be as this program would write it.
///
/// # Errors
/// The first [`Refutation`] met: files first, the container last.
pub fn verify_bundle(
    octets: &[u8],
    anchors: &Anchors,
    message: Option<&[u8]>,
) -> Result<Report, Refutation> {
    let files = container::read(octets).map_err(Refutation::ZipDamaged)?;
    let (bundle, _) = Bundle::from_files(&files)?;
    let mut report = Report::default();
    if bundle.items.is_empty() {
        return Err(Refutation::Missing {
            file: "events/".to_owned(),
        });
    }
    for item in bundle.items.values() {
        item::verify(item, anchors, &mut report)?;
    }
    chain::verify(&bundle, &mut report)?;
    annulment::verify(&bundle, &mut report)?;
    check_log(&bundle, anchors)?;
    check_messages(&bundle, message, &mut report)?;
    receipt::verify_all(&bundle, anchors, &mut report)?;
    timestamp::verify_all(&bundle, anchors, &mut report)?;
    for certificate in &report.certificates {
        let file = certificate_name(certificate);
        if !bundle.certificates.contains_key(&file) {
            return Err(Refutation::Missing { file });
        }
    }
    let named = check_statements(&bundle)?;
    for (name, certificate) in &bundle.certificates {
        let seal = anchors.seals.iter().map(|anchor| &anchor.certificate);
        let timestamp = anchors.timestamps.iter().map(|anchor| &anchor.certificate);
        let anchored = seal.chain(timestamp).any(|anchor| anchor == certificate);
        let sealing = report.certificates.contains(certificate);
        if !anchored && !sealing && !named.contains(&Digest::of(certificate)) {
            report.note(NotProved::ForeignCertificate { file: name.clone() });
        }
    }
    compare(&bundle, &files, octets)?;
    report.notes_of_all();
    Ok(report)
}

/// Whatever a source of revocation said is named by one of the events, by its digest; all the digests they name.
fn check_statements(bundle: &Bundle) -> Result<BTreeSet<Digest>, Refutation> {
    let events = bundle.items.values().map(|item| &item.event);
    let named: BTreeSet<Digest> = events.flat_map(credentials::named).collect();
    let stray = bundle
        .statements
        .iter()
        .find(|(_, octets)| !named.contains(&Digest::of(octets)));
    match stray {
        Some((file, _)) => Err(Refutation::Stray { file: file.clone() }),
        None => Ok(named),
    }
}

/// Verifies a single file by the kind its name says; `None` if it is of no kind known here.
///
/// # Errors
/// The first [`Refutation`] met.
pub fn verify_file(
    name: &str,
    octets: &[u8],
    anchors: &Anchors,
    beside: Beside<'_>,
) -> Option<Result<Report, Refutation>> {
    Some(match Kind::of(name)? {
        Kind::Bundle => verify_bundle(octets, anchors, beside.message),
        Kind::Evidence => verify_evidence(name, octets, anchors, beside),
        Kind::Proof => verify_proof(name, octets, anchors, beside),
        Kind::Receipt => receipt::verify_file(name, octets, anchors, beside),
    })
}

/// Sealed evidence by itself, of this system or another; with its event and salt, also that it says what they say.
fn verify_evidence(
    name: &str,
    octets: &[u8],
    anchors: &Anchors,
    beside: Beside<'_>,
) -> Result<Report, Refutation> {
    let mut report = Report::default();
    if let Some(mut item) = item::of(&beside)? {
        item.xml = Some(octets.to_vec());
        item::verify(&item, anchors, &mut report)?;
        let file = event_name(item.event.id);
        item::check_message(beside.message, item::content(&item), &file, &mut report)?;
    } else {
        let signed = item::verify_seal(name, octets, anchors, &mut report)?;
        report.note(NotProved::EventNotShown {
            file: name.to_owned(),
        });
        let named = evidence_xml::content_of(&signed.unsigned);
        item::check_message(beside.message, named, name, &mut report)?;
        report.findings.push(Finding::of_signed(&signed, anchors));
        if evidence_xml::leaf_of(&signed.unsigned).is_none() {
            report.note(NotProved::OtherSystem);
        }
    }
    report.notes_of_all();
    Ok(report)
}

/// A place in the log; without the event and its salt, only that the log signed the checkpoint.
fn verify_proof(
    name: &str,
    octets: &[u8],
    anchors: &Anchors,
    beside: Beside<'_>,
) -> Result<Report, Refutation> {
    let unreadable = |_| Refutation::Unreadable {
        file: name.to_owned(),
    };
    let proof = TlogProof::parse(octets).map_err(unreadable)?;
    let mut report = Report::default();
    if let Some(mut item) = item::of(&beside)? {
        item.proof = Some(proof);
        item::verify(&item, anchors, &mut report)?;
        let file = event_name(item.event.id);
        item::check_message(beside.message, item::content(&item), &file, &mut report)?;
    } else {
        // Any leaf will do: the checkpoint is judged before the path, and the path is not judged here.
        let leaf = LeafData::commit(&Salt::from_bytes([0; 32]), &[]);
        let judged = item::verify_inclusion(name, &proof, &leaf, anchors, &mut report);
        match judged {
            Err(Refutation::LeafNotInLog { .. }) | Ok(_) => {}
            Err(refutation) => return Err(refutation),
        }
        report.note(NotProved::LeafNotShown {
            file: name.to_owned(),
        });
        item::check_message(beside.message, None, name, &mut report)?;
    }
    report.notes_of_all();
    Ok(report)
}

/// The checkpoint files are those of the proofs, and the key files those of the logs that signed them.
fn check_log(bundle: &Bundle, anchors: &Anchors) -> Result<(), Refutation> {
    let mut keys = BTreeSet::new();
    let mut sizes = BTreeSet::new();
    for proof in bundle.items.values().filter_map(|item| item.proof.as_ref()) {
        let Ok(signed) = SignedCheckpoint::verify(proof.checkpoint().clone(), &anchors.logs) else {
            // Invariant: `item::verify` refuted every proof of which this is not so.
            continue;
        };
        let size = signed.checkpoint().size;
        let file = checkpoint_name(size);
        match bundle.checkpoints.get(&size) {
            None => return Err(Refutation::Missing { file }),
            Some(octets) if octets.as_slice() != signed.own_file().as_bytes() => {
                return Err(Refutation::CheckpointDiffers { file });
            }
            Some(_) => sizes.insert(size),
        };
        let mut shown = false;
        for known in signed.logs() {
            let key = log_key::file_name(known);
            match bundle.log_keys.get(&key) {
                // Made under older anchors: it shows another of the log's keys that signed.
                None => continue,
                Some(public) if public != known.public() => {
                    return Err(Refutation::KeyDiffers { file: key });
                }
                Some(_) => keys.insert(key),
            };
            shown = true;
        }
        if !shown {
            let file = log_key::file_name(signed.log());
            return Err(Refutation::Missing { file });
        }
        keys.extend(unknown_signers(bundle, &signed));
    }
    let stray_checkpoint = bundle.checkpoints.keys().find(|size| !sizes.contains(size));
    let stray_key = bundle.log_keys.keys().find(|key| !keys.contains(*key));
    match (
        stray_checkpoint.map(|size| checkpoint_name(*size)),
        stray_key.cloned(),
    ) {
        (Some(file), _) | (None, Some(file)) => Err(Refutation::Stray { file }),
        (None, None) => Ok(()),
    }
}

/// Key files of keys that the anchors do not list and that signed all the same, as the log's own: while one key of a log
/// takes the place of another both sign, and who made the bundle knew both. They prove nothing here; they are not stray.
fn unknown_signers(bundle: &Bundle, signed: &SignedCheckpoint) -> Vec<String> {
    let origin = &signed.checkpoint().origin;
    let signs = |(name, public): (&String, &[u8; 32])| {
        let key = VerifierKey::new(origin, *public).ok()?;
        let is_named = log_key::file_name(&key) == *name;
        let holds = signed.note().verify(std::slice::from_ref(&key)).is_ok();
        (is_named && holds).then(|| name.clone())
    };
    bundle.log_keys.iter().filter_map(signs).collect()
}

/// The original in the bundle and the message shown beside it, against every event that names a digest.
fn check_messages(
    bundle: &Bundle,
    shown: Option<&[u8]>,
    report: &mut Report,
) -> Result<(), Refutation> {
    let mut named = false;
    for item in bundle.items.values() {
        let Some(digest) = item.event.subject.digest else {
            continue;
        };
        named = true;
        if let Some(original) = &bundle.original {
            let whole = item
                .event
                .subject
                .size
                .is_none_or(|size| size == original.len() as u64);
            if !whole || mail::Digest::of(original) != digest {
                return Err(Refutation::OriginalAltered {
                    event: event_name(item.event.id),
                });
            }
        }
        item::check_message(
            shown,
            item::content(item),
            &event_name(item.event.id),
            report,
        )?;
    }
    match (&bundle.original, named) {
        (Some(_), true) => report.original = true,
        // An original that no event speaks of is proved by nothing.
        (Some(_), false) => {
            return Err(Refutation::Stray {
                file: "original.eml".to_owned(),
            });
        }
        (None, true) if shown.is_none() => report.note(NotProved::OriginalAbsent),
        (None, _) => {}
    }
    if shown.is_some() && !named {
        report.note(NotProved::MessageUnused);
    }
    Ok(())
}

/// Writes the bundle again from what was verified: any difference is an octet the checks did not reach.
fn compare(bundle: &Bundle, files: &container::Files, octets: &[u8]) -> Result<(), Refutation> {
    for (file, content) in bundle.files() {
        match files.get(&file) {
            None => return Err(Refutation::Missing { file }),
            Some(read) if *read != content => return Err(Refutation::NotAsWritten { file }),
            Some(_) => {}
        }
    }
    let mut comparator = container::Comparator::new(octets);
    if bundle.write_to(&mut comparator).is_err() {
        return Err(Refutation::ZipStructure { offset: 0 });
    }
    if let Some(offset) = comparator.difference() {
        return Err(Refutation::ZipStructure { offset });
    }
    Ok(())
}
