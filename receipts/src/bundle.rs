//! The court bundle: everything about some events of one chain in one zip, for who trusts nothing but anchors.
//!
//! | entry | what |
//! |---|---|
//! | `VERIFY.txt` | the stock commands that check this very bundle; `sh VERIFY.txt` runs them |
//! | `original.eml` | the message as it was accepted, if it is shown |
//! | `events/ID.json` | canonical octets of an event |
//! | `salts/ID` | its salt: 32 octets |
//! | `evidence/ID.xml` | its sealed evidence, if it is about a message |
//! | `receipts/ID.eml` | the receipt mail whose first evidence is about the event |
//! | `checkpoints/SIZE` | a checkpoint of the log: note text, empty line, the log's own signature |
//! | `timestamps/SIZE.tsr` | a time-stamp of that checkpoint's file (RFC 3161) |
//! | `proofs/ID.tlog-proof` | the event's place in the log (C2SP tlog-proof) |
//! | `chain/HASH.pem` | a certificate of a seal's, a time-stamp's or a log-in's path, anchor included; HASH: 16 digits of its SHA-256 |
//! | `chain/HASH.crl`, `chain/HASH.ocsp` | what a source of revocation said when a holder logged in, DER |
//! | `chain/log-HASH.pem` | the log's public key; HASH: its key hash (C2SP signed-note) |
//!
//! Entries stand in this order, sorted by name within a folder, all dated by the latest event: one bundle has one
//! sequence of octets.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mail::{Digest, Timestamp};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::anchors::Anchors;
use crate::checkpoint::SignedCheckpoint;
use crate::event::{EVENT_BYTES_MAX, Event, EventError};
use crate::id::EvidenceId;
use crate::leaf::{LeafData, Salt};
use crate::note::NOTE_BYTES_MAX;
use crate::proof::{PROOF_BYTES_MAX, TlogProof};
use crate::seal;
use crate::smime::{self, SignedMail};
use crate::timestamp::{Imprint, RESPONSE_OCTETS_MAX, Token};
use crate::xades;

pub mod container;
pub mod credentials;
mod instructions;
pub mod log_key;

pub use container::ContainerError;

use credentials::{STATEMENT_BYTES_MAX, STATEMENTS, statement_name};

/// Octets of one evidence XML: as the XML reader has it.
pub const XML_OCTETS_MAX: usize = xades::dom::DOCUMENT_OCTETS_MAX;

/// One event with what proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The event.
    pub event: Event,
    /// Its canonical octets.
    pub octets: Vec<u8>,
    /// Its salt.
    pub salt: Salt,
    /// Its sealed evidence, if it is about a message.
    pub xml: Option<Vec<u8>>,
    /// Its place in the log, once it has one.
    pub proof: Option<TlogProof>,
}

/// A bundle's content.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bundle {
    /// The message as it was accepted.
    pub original: Option<Vec<u8>>,
    /// The events by id.
    pub items: BTreeMap<EvidenceId, Item>,
    /// Checkpoints by tree size.
    pub checkpoints: BTreeMap<u64, Vec<u8>>,
    /// Receipt mails, by the id of the first evidence in each.
    pub receipts: BTreeMap<EvidenceId, Vec<u8>>,
    /// Time-stamp responses, by the size of the checkpoint each dates.
    pub timestamps: BTreeMap<u64, Vec<u8>>,
    /// Certificates of the paths of seals and time-stamps, by the name of their file.
    pub certificates: BTreeMap<String, CertificateDer<'static>>,
    /// CRLs and responses of OCSP that log-ins leant on, by the name of their file.
    pub statements: BTreeMap<String, Vec<u8>>,
    /// Public keys of logs (Ed25519), by the name of their file.
    pub log_keys: BTreeMap<String, [u8; 32]>,
}

/// Why files are no bundle. `Display` names the file.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A name that no entry of a bundle has.
    #[error("{0}: no entry of a bundle has this name")]
    UnknownEntry(String),
    /// Larger than such an entry can be.
    #[error("{0}: larger than such an entry can be")]
    TooLarge(String),
    /// An entry without which another says nothing.
    #[error("{0}: missing")]
    Missing(String),
    /// Not the canonical octets of an event.
    #[error("{file}: {source}")]
    Event {
        /// The entry.
        file: String,
        /// What is wrong with it.
        source: EventError,
    },
    /// An entry that cannot be read as what its name says.
    #[error("{0}: not what its name says")]
    Content(String),
}

impl Item {
    /// An event by its canonical octets and its salt, without XML and proof.
    ///
    /// # Errors
    /// As [`Event::from_canonical`].
    pub fn new(octets: Vec<u8>, salt: Salt) -> Result<Self, EventError> {
        let event = Event::from_canonical(&octets)?;
        Ok(Self {
            event,
            octets,
            salt,
            xml: None,
            proof: None,
        })
    }

    /// The event's entry in the log.
    #[must_use]
    pub fn leaf(&self) -> LeafData {
        LeafData::commit(&self.salt, &self.octets)
    }
}

impl Bundle {
    /// A bundle of these events: checkpoints are taken out of their proofs, certificates out of their evidence and
    /// `anchors`, log keys out of `anchors`.
    ///
    /// # Errors
    /// [`BundleError::Content`] for a proof whose checkpoint no log in `anchors` signed, for evidence whose signature
    /// does not hold under `anchors`, and for two logs' checkpoints of one size.
    pub fn gather(
        items: Vec<Item>,
        original: Option<Vec<u8>>,
        anchors: &Anchors,
    ) -> Result<Self, BundleError> {
        let mut bundle = Self {
            original,
            ..Self::default()
        };
        for item in items {
            let id = item.event.id;
            if let Some(proof) = &item.proof {
                let wrong = || BundleError::Content(proof_name(id));
                let signed = SignedCheckpoint::verify(proof.checkpoint().clone(), &anchors.logs);
                let signed = signed.map_err(|_| wrong())?;
                let file = signed.own_file().into_bytes();
                let before = bundle
                    .checkpoints
                    .insert(signed.checkpoint().size, file.clone());
                if before.is_some_and(|before| before != file) {
                    return Err(wrong());
                }
                for key in signed.logs() {
                    let name = log_key::file_name(key);
                    bundle.log_keys.insert(name, *key.public());
                }
            }
            if let Some(xml) = &item.xml {
                let signed = xades::verify(xml, anchors, None)
                    .map_err(|_| BundleError::Content(xml_name(id)))?;
                let anchor = anchors
                    .seals
                    .get(signed.path.anchor)
                    .map(|anchor| anchor.certificate.clone());
                bundle.add_certificates(signed.certificates.into_iter().chain(anchor));
            }
            bundle.items.insert(id, item);
        }
        Ok(bundle)
    }

    /// Adds a receipt mail, with the certificates of its signature. Its first evidence must be about one of the events.
    ///
    /// # Errors
    /// [`BundleError::Content`] for a mail that does not hold under `anchors` or has other octets than this program writes;
    /// [`BundleError::Missing`] if its event is not in the bundle.
    pub fn add_receipt(&mut self, mail: Vec<u8>, anchors: &Anchors) -> Result<(), BundleError> {
        let wrong = || BundleError::Content("receipts/".to_owned());
        let receipt = smime::verify(&mail, anchors, None).map_err(|_| wrong())?;
        let as_written = SignedMail::split(&mail).is_ok_and(|mail| mail.is_as_written());
        let id = receipt
            .evidence
            .first()
            .map(|one| one.signed.identifier.parse());
        let Some(Ok(id)) = id.filter(|_| as_written) else {
            return Err(wrong());
        };
        if !self.items.contains_key(&id) {
            return Err(BundleError::Missing(event_name(id)));
        }
        let paths = receipt.evidence.iter().map(|one| &one.signed.path);
        let paths = paths.chain([&receipt.signer.path]);
        let seals = paths.filter_map(|path| anchors.seals.get(path.anchor));
        let seals: Vec<_> = seals.map(|anchor| anchor.certificate.clone()).collect();
        self.add_certificates(receipt.certificates().cloned().chain(seals));
        self.receipts.insert(id, mail);
        Ok(())
    }

    /// Adds a time-stamp response about one of the checkpoints, with the certificates of its signature. What wraps the
    /// token is written anew.
    ///
    /// # Errors
    /// [`BundleError::Content`] for a response without a token, one about none of the checkpoints, and one that does not
    /// hold under `anchors`.
    pub fn add_timestamp(&mut self, response: &[u8], anchors: &Anchors) -> Result<(), BundleError> {
        let wrong = || BundleError::Content("timestamps/".to_owned());
        let token = Token::from_response(response).map_err(|_| wrong())?;
        let imprint = token.claims().ok_or_else(wrong)?.imprint;
        let about = |file: &Vec<u8>| Imprint::of(imprint.hash(), file) == imprint;
        let stamped = self.checkpoints.iter().find(|(_, file)| about(file));
        let size = stamped.map(|(size, _)| *size).ok_or_else(wrong)?;
        let stamped = token
            .verify(&imprint, None, &anchors.timestamp_certificates())
            .map_err(|_| wrong())?;
        let anchor = anchors.timestamps.get(stamped.path.anchor);
        let anchor = anchor.map(|anchor| anchor.certificate.clone());
        self.add_certificates(stamped.certificates.into_iter().chain(anchor));
        self.timestamps.insert(size, token.to_response());
        Ok(())
    }

    /// Adds a certificate that one of the events names.
    pub fn add_certificate(&mut self, der: Vec<u8>) {
        self.add_certificates(std::iter::once(CertificateDer::from(der)));
    }

    /// Adds a CRL (`.crl`) or a response (`.ocsp`) that one of the events names.
    pub fn add_statement(&mut self, ending: &str, octets: Vec<u8>) {
        let name = credentials::statement_name(&octets, ending);
        self.statements.insert(name, octets);
    }

    fn add_certificates(&mut self, all: impl Iterator<Item = CertificateDer<'static>>) {
        self.certificates
            .extend(all.map(|der| (certificate_name(&der), der)));
    }

    /// Reads a bundle's files, and the `VERIFY.txt` that came with them. Nothing is verified yet.
    ///
    /// # Errors
    /// A [`BundleError`] that names the file.
    pub fn from_files(files: &container::Files) -> Result<(Self, Vec<u8>), BundleError> {
        let mut bundle = Self::default();
        for (name, content) in files {
            bundle.take(name, content, files)?;
        }
        let instructions = files
            .get("VERIFY.txt")
            .ok_or_else(|| BundleError::Missing("VERIFY.txt".to_owned()))?;
        Ok((bundle, instructions.clone()))
    }

    fn take(
        &mut self,
        name: &str,
        content: &[u8],
        files: &container::Files,
    ) -> Result<(), BundleError> {
        let unknown = || BundleError::UnknownEntry(name.to_owned());
        let (folder, file) = name.split_once('/').unwrap_or(("", name));
        let at_most = |max: usize| at_most(name, content, max);
        match folder {
            "" if file == "VERIFY.txt" => {}
            "" if file == "original.eml" => self.original = Some(content.to_vec()),
            "events" => {
                at_most(EVENT_BYTES_MAX)?;
                let id = file
                    .strip_suffix(".json")
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(unknown)?;
                self.items.insert(id, read_item(id, content, files)?);
            }
            // Read with the event of the same id; here only to find one without its event.
            "salts" | "evidence" | "proofs" => {
                let id = id_of(folder, file).ok_or_else(unknown)?;
                if !files.contains_key(&event_name(id)) {
                    return Err(BundleError::Missing(event_name(id)));
                }
            }
            "receipts" => {
                let id = file.strip_suffix(".eml").and_then(|id| id.parse().ok());
                let id: EvidenceId = id.ok_or_else(unknown)?;
                if !files.contains_key(&event_name(id)) {
                    return Err(BundleError::Missing(event_name(id)));
                }
                self.receipts.insert(id, content.to_vec());
            }
            "checkpoints" => {
                at_most(NOTE_BYTES_MAX)?;
                let size = size_of(file).ok_or_else(unknown)?;
                self.checkpoints.insert(size, content.to_vec());
            }
            "timestamps" => {
                at_most(RESPONSE_OCTETS_MAX)?;
                let size = file
                    .strip_suffix(".tsr")
                    .and_then(size_of)
                    .ok_or_else(unknown)?;
                if !files.contains_key(&checkpoint_name(size)) {
                    return Err(BundleError::Missing(checkpoint_name(size)));
                }
                self.timestamps.insert(size, content.to_vec());
            }
            "chain" => self.take_key(name, file, content)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// A file of `chain/`: a log's key, a certificate, what a source of revocation said.
    fn take_key(&mut self, name: &str, file: &str, content: &[u8]) -> Result<(), BundleError> {
        let wrong = || BundleError::Content(name.to_owned());
        if file.starts_with("log-") {
            let key = log_key::from_pem(content)
                .filter(|_| is_hash(file, "log-", 8))
                .ok_or_else(wrong)?;
            self.log_keys.insert(name.to_owned(), key);
        } else if let Some(ending) = STATEMENTS.iter().find(|ending| file.ends_with(**ending)) {
            at_most(name, content, STATEMENT_BYTES_MAX)?;
            if statement_name(content, ending) != name {
                return Err(wrong());
            }
            self.statements.insert(name.to_owned(), content.to_vec());
        } else if is_hash(file, "", 16) {
            at_most(name, content, 2 * seal::CERTIFICATE_OCTETS_MAX)?;
            let certificate = CertificateDer::from_pem_slice(content).map_err(|_| wrong())?;
            if certificate_name(&certificate) != name {
                return Err(wrong());
            }
            self.certificates.insert(name.to_owned(), certificate);
        } else {
            return Err(BundleError::UnknownEntry(name.to_owned()));
        }
        Ok(())
    }

    /// The files in their order, `VERIFY.txt` first.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![(
            "VERIFY.txt".to_owned(),
            instructions::render(self).into_bytes(),
        )];
        files.extend(
            self.original
                .iter()
                .map(|original| ("original.eml".to_owned(), original.clone())),
        );
        let items = || self.items.iter();
        files.extend(items().map(|(id, item)| (event_name(*id), item.octets.clone())));
        files.extend(items().map(|(id, item)| (salt_name(*id), item.salt.as_bytes().to_vec())));
        files.extend(items().filter_map(|(id, item)| Some((xml_name(*id), item.xml.clone()?))));
        let receipt = |(id, mail): (&EvidenceId, &Vec<u8>)| (receipt_name(*id), mail.clone());
        files.extend(self.receipts.iter().map(receipt));
        let checkpoint = |(size, note): (&u64, &Vec<u8>)| (checkpoint_name(*size), note.clone());
        files.extend(self.checkpoints.iter().map(checkpoint));
        let timestamp =
            |(size, response): (&u64, &Vec<u8>)| (timestamp_name(*size), response.clone());
        files.extend(self.timestamps.iter().map(timestamp));
        files.extend(items().filter_map(|(id, item)| {
            Some((
                proof_name(*id),
                item.proof.as_ref()?.to_string().into_bytes(),
            ))
        }));
        let pem = |(name, der): (&String, &CertificateDer<'_>)| {
            (name.clone(), seal::certificate_pem(der).into())
        };
        let key =
            |(name, key): (&String, &[u8; 32])| (name.clone(), log_key::to_pem(key).into_bytes());
        let statements = self.statements.clone().into_iter();
        let certificates = self.certificates.iter().map(pem);
        let mut chain: Vec<_> = certificates.chain(statements).collect();
        chain.sort();
        chain.extend(self.log_keys.iter().map(key));
        files.extend(chain);
        files
    }

    /// Writes the bundle as a zip: the same octets for the same content, always.
    ///
    /// # Errors
    /// As [`container::write`].
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        container::write(&self.files(), self.time(), out)
    }

    /// The time of the latest event: the date of every entry.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let times = self.items.values().map(|item| item.event.time);
        times.max().unwrap_or(Timestamp::from_millis(0))
    }
}

fn at_most(name: &str, content: &[u8], max: usize) -> Result<(), BundleError> {
    if content.len() <= max {
        Ok(())
    } else {
        Err(BundleError::TooLarge(name.to_owned()))
    }
}

fn read_item(id: EvidenceId, octets: &[u8], files: &container::Files) -> Result<Item, BundleError> {
    let file = salt_name(id);
    let salt = files
        .get(&file)
        .ok_or_else(|| BundleError::Missing(file.clone()))?;
    let salt = <[u8; 32]>::try_from(salt.as_slice()).map_err(|_| BundleError::Content(file))?;
    let optional = |file: String, max: usize| match files.get(&file) {
        Some(content) if content.len() > max => Err(BundleError::TooLarge(file)),
        found => Ok(found.cloned()),
    };
    let mut item = Item::new(octets.to_vec(), Salt::from_bytes(salt)).map_err(|source| {
        BundleError::Event {
            file: event_name(id),
            source,
        }
    })?;
    if item.event.id != id {
        return Err(BundleError::Content(event_name(id)));
    }
    item.xml = optional(xml_name(id), XML_OCTETS_MAX)?;
    let parse = |octets: Vec<u8>| {
        TlogProof::parse(&octets).map_err(|_| BundleError::Content(proof_name(id)))
    };
    item.proof = optional(proof_name(id), PROOF_BYTES_MAX)?
        .map(parse)
        .transpose()?;
    Ok(item)
}

/// A tree size in its one form.
fn size_of(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}

fn id_of(folder: &str, file: &str) -> Option<EvidenceId> {
    let id = match folder {
        "evidence" => file.strip_suffix(".xml")?,
        "proofs" => file.strip_suffix(".tlog-proof")?,
        _ => file,
    };
    id.parse().ok()
}

/// Whether `file` is a prefix, so many lower-case hexadecimal digits, and `.pem`.
fn is_hash(file: &str, prefix: &str, digits: usize) -> bool {
    let hash = file
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(".pem"));
    let hex = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
    hash.is_some_and(|hash| hash.len() == digits && hash.bytes().all(hex))
}

/// `events/ID.json`.
#[must_use]
pub fn event_name(id: EvidenceId) -> String {
    format!("events/{id}.json")
}

/// `salts/ID`.
#[must_use]
pub fn salt_name(id: EvidenceId) -> String {
    format!("salts/{id}")
}

/// `evidence/ID.xml`.
#[must_use]
pub fn xml_name(id: EvidenceId) -> String {
    format!("evidence/{id}.xml")
}

/// `proofs/ID.tlog-proof`.
#[must_use]
pub fn proof_name(id: EvidenceId) -> String {
    format!("proofs/{id}.tlog-proof")
}

/// `checkpoints/SIZE`.
#[must_use]
pub fn checkpoint_name(size: u64) -> String {
    format!("checkpoints/{size}")
}

/// `receipts/ID.eml`.
#[must_use]
pub fn receipt_name(id: EvidenceId) -> String {
    format!("receipts/{id}.eml")
}

/// `timestamps/SIZE.tsr`.
#[must_use]
pub fn timestamp_name(size: u64) -> String {
    format!("timestamps/{size}.tsr")
}

/// `chain/HASH.pem`.
#[must_use]
pub fn certificate_name(certificate: &CertificateDer<'_>) -> String {
    let digest = Digest::of(certificate).to_string();
    format!("chain/{}.pem", digest.get(..16).unwrap_or_default())
}
