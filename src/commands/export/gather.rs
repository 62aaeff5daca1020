//! What the store holds about some events, gathered for who trusts nothing but anchors.

use std::collections::{BTreeMap, BTreeSet};

use receipts::anchors::Anchors;
use receipts::bundle::{Bundle, BundleError, Item, credentials};
use receipts::note::Note;
use receipts::proof::TlogProof;
use receipts::receipt_mail::MailKind;
use receipts::smime;
use store::Store;
use store::credentials::CredentialKind;
use store::evidence::Record;
use store::log::LogFiles;
use store::outbound::Outbound;
use store::stamps::Stamp;

use crate::commands::evidence::{issuer, sealed_xml};
use crate::commands::stamped;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::signer;

/// A bundle, and what is to be said about it.
pub struct Gathered {
    /// The bundle.
    pub bundle: Bundle,
    /// How many of its events are under a time-stamped checkpoint.
    pub stamped: usize,
    /// What there is and is not in it, with the reason.
    pub left_out: Vec<String>,
}

/// The receipt mails of some events, and the sealed evidence in them.
#[derive(Default)]
struct Receipts {
    mails: Vec<Vec<u8>>,
    evidence: BTreeMap<String, Vec<u8>>,
}

impl Gathered {
    /// Everything about these events that holds under these anchors. An event is proved under the earliest checkpoint
    /// that covers it and is time-stamped, else under the published one; its evidence is that of its receipt mail, if
    /// there is one.
    ///
    /// # Errors
    /// Names what is not published yet, or does not fit the anchors.
    pub fn of(
        config: &Config,
        store: &Store,
        records: &[Record],
        original: Option<Vec<u8>>,
        anchors: &Anchors,
    ) -> Outcome<Self> {
        let mut left_out = BTreeSet::new();
        let receipts = receipts(store, records, anchors, &mut left_out)?;
        let (seal, issuer) = (signer::seal(config)?, issuer(config));
        let mut stamps = BTreeMap::new();
        let mut items = Vec::with_capacity(records.len());
        let mut stamped = 0;
        for record in records {
            let item = Item::new(record.canonical.clone(), record.salt);
            let mut item =
                item.map_err(|e| Failure::doing(format!("evidence {}", record.event.id), &e))?;
            item.xml = match receipts.evidence.get(&record.event.id.to_string()) {
                Some(xml) => Some(xml.clone()),
                None => sealed_xml(record, &issuer, seal.as_ref(), store)?,
            };
            let (proof, stamp) = proof(store, record.log_index(), anchors, &mut left_out)?;
            item.proof = Some(proof);
            stamped += usize::from(stamp.is_some());
            stamps.extend(stamp.map(|stamp| (stamp.size, stamp.token)));
            items.push(item);
        }
        let file = config.seal.anchors.display();
        let misfit =
            |e: BundleError, what: &str| Failure::doing(format!("{file}: does not fit {what}"), &e);
        let mut bundle =
            Bundle::gather(items, original, anchors).map_err(|e| misfit(e, "seal or log key"))?;
        for mail in receipts.mails {
            bundle
                .add_receipt(mail, anchors)
                .map_err(|e| misfit(e, "a receipt mail"))?;
        }
        add_credentials(store, records, &mut bundle)?;
        for token in stamps.values() {
            bundle
                .add_timestamp(token, anchors)
                .map_err(|e| misfit(e, "a time-stamp"))?;
        }
        Ok(Self {
            bundle,
            stamped,
            left_out: left_out.into_iter().collect(),
        })
    }
}

/// The receipt mails as they were first made. One that speaks of other events than these is left out: it may name other
/// recipients (evidence.md law 5).
fn receipts(
    store: &Store,
    records: &[Record],
    anchors: &Anchors,
    left_out: &mut BTreeSet<String>,
) -> Outcome<Receipts> {
    let shown: BTreeSet<String> = records
        .iter()
        .map(|record| record.event.id.to_string())
        .collect();
    let mut found = Receipts::default();
    for record in records {
        let id = record.event.id;
        let letters = store.letters_about(id)?.into_iter();
        for (_, mail) in letters.filter(|(letter, _)| is_receipt(letter)) {
            let receipt = match smime::verify(&mail, anchors, None) {
                Ok(receipt) => receipt,
                Err(error) => {
                    left_out.insert(format!("the receipt mail of {id}: {error}"));
                    continue;
                }
            };
            let spoken_of = receipt.evidence.iter().map(|one| &one.signed.identifier);
            if !spoken_of.clone().all(|id| shown.contains(id)) {
                left_out.insert(format!(
                    "the receipt mail of {id}: it speaks of other events too"
                ));
                continue;
            }
            let evidence = receipt.evidence.into_iter();
            found
                .evidence
                .extend(evidence.map(|one| (one.signed.identifier, one.xml)));
            found.mails.push(mail);
        }
    }
    Ok(found)
}

/// What log-ins leant on, as far as it is kept: a large CRL is not.
fn add_credentials(store: &Store, records: &[Record], bundle: &mut Bundle) -> Outcome {
    let named: BTreeSet<_> = records
        .iter()
        .flat_map(|record| credentials::named(&record.event))
        .collect();
    for digest in named {
        match store.credential(&digest)? {
            None => {}
            Some((CredentialKind::Certificate, der)) => bundle.add_certificate(der),
            Some((CredentialKind::Crl, der)) => bundle.add_statement(".crl", der),
            Some((CredentialKind::Ocsp, der)) => bundle.add_statement(".ocsp", der),
        }
    }
    Ok(())
}

/// A letter's id says which kind of mail it is.
fn is_receipt(letter: &Outbound) -> bool {
    let start = format!("{}.{}@", letter.evidence, MailKind::Receipt.as_str());
    letter.letter.starts_with(&start)
}

fn proof(
    store: &Store,
    index: u64,
    anchors: &Anchors,
    left_out: &mut BTreeSet<String>,
) -> Outcome<(TlogProof, Option<Stamp>)> {
    let files = LogFiles::of(store);
    let Some(stamp) = store.stamp_over(index)? else {
        return Ok((files.proof(index)?, None));
    };
    if let Err(doubt) = stamped::judge(&stamp, anchors) {
        left_out.insert(format!("the time-stamp of {}: {doubt}", stamp.time));
        return Ok((files.proof(index)?, None));
    }
    let note = Note::parse(&stamp.checkpoint)
        .map_err(|e| Failure::doing("the time-stamped checkpoint", &e))?;
    Ok((files.proof_under(index, note)?, Some(stamp)))
}
