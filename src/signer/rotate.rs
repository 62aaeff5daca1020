//! One key takes the place of another.
//!
//! Order, and a crash after any step is mended by doing it again: (1) the new key is durable, and `ring.toml` names it as
//! *pending*; (2) `anchors.toml` tells strangers of it; (3) the event is durable; (4) `ring.toml` says *current*, which is
//! when it is used. Nothing is ever signed by a key of which there is no event, and the second try finds the key of the
//! first. A log's key signs beside the new one until it is retired, so that whoever knows only the old one follows; there is
//! one memory of what was signed, and the log is not forked.

use std::path::PathBuf;

use identity::Authority;
use identity::certificate::Certificate;
use mail::{Digest, Timestamp};
use receipts::anchors::{CertificateAnchor, LogTerms, Retired};
use receipts::checkpoint::SignedCheckpoint;
use receipts::note::SigningKey;
use receipts::seal::{Statement, chain_from_pem, validate};
use store::signing_keys::{KeyFacts, KeyPurpose, KeyRecord};
use store::{Actor, Store};

use super::ring::{Entry, Ring, State, log_id, seal_id};
use super::token::Token;
use super::token::refused::Refused;
use super::token::session::{Made, Scheme};
use crate::config::Config;
use crate::config::key_place::{KeyPlace, TokenKey};
use crate::config::template;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// Where it is done: the signer's configuration, which says where the private keys are, and the post's own, which says where
/// the store, the authority and the anchors are. They are one where `knik serve` holds its keys itself.
pub struct Place<'a> {
    /// Where the private keys are.
    pub keys: &'a Config,
    /// The post.
    pub post: &'a Config,
    /// Its store.
    pub store: &'a Store,
}

/// The key that is to come.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Where it is, or on which token it is to be made; `None`: a new one in a file.
    pub place: Option<KeyPlace>,
    /// A seal's certificate of an outside authority; `None`: the operator's own issues one.
    pub certificate: Option<PathBuf>,
    /// For the record.
    pub why: Option<String>,
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// The key.
    pub entry: Entry,
    /// The key whose place it takes.
    pub before: String,
    /// The event.
    pub record: KeyRecord,
    /// An earlier try was brought to its end.
    pub resumed: bool,
}

/// A new key takes the place of the one in use.
///
/// # Errors
/// Names the key, file or token at fault. What was done before it stays, and the next try goes on from there.
pub fn rotate(place: &Place<'_>, purpose: KeyPurpose, by: Actor, wanted: &Wanted) -> Outcome<Done> {
    rotate_as(place, purpose, wanted, |facts| {
        let recording = place
            .store
            .rotate_key(by, purpose, facts, wanted.why.clone());
        Ok(recording.wait()?)
    })
}

/// As [`rotate`], where `record` makes the event.
///
/// # Errors
/// As [`rotate`]; what `record` says.
pub fn rotate_as(
    place: &Place<'_>,
    purpose: KeyPurpose,
    wanted: &Wanted,
    record: impl FnOnce((KeyFacts, KeyFacts)) -> Outcome<KeyRecord>,
) -> Outcome<Done> {
    let mut ring = Ring::load(place.keys)?;
    ring.name(place.keys)?;
    let resumed = ring.one(purpose, State::Pending).is_some();
    if let Some(before) = ring.one(purpose, State::Overlap) {
        return Err(Failure::could_not(format!(
            "{} takes the place of {} since its rotation: retire that one first (knik key retire {})",
            ring.current(purpose)?.id,
            before.id,
            before.id
        )));
    }
    if !resumed {
        let entry = place.make(purpose, wanted)?;
        if ring
            .entries
            .iter()
            .any(|other| other.id == entry.id || other.place.is_same(&entry.place))
        {
            return Err(Failure::could_not(format!(
                "{}: this post has had this key before; a rotation needs another",
                entry.place
            )));
        }
        ring.entries.push(entry);
        ring.write()?;
    }
    let pending = ring.one(purpose, State::Pending).cloned();
    let entry = pending.ok_or_else(|| Failure::could_not("the new key is gone"))?;
    place.try_key(&entry)?;
    place.note_issued(&entry)?;
    place.tell_strangers(&ring)?;
    let before = ring.current(purpose)?.clone();
    let facts = (facts(&before)?, facts(&entry)?);
    let record = record(facts)?;
    for one in ring.entries.iter_mut().filter(|one| one.purpose == purpose) {
        match one.state {
            State::Pending => {
                one.state = State::Current;
                one.since = Some(record.time);
            }
            State::Current => one.state = State::Overlap,
            State::Overlap | State::Retired => {}
        }
    }
    ring.write()?;
    place.tell_strangers(&ring)?;
    let entry = ring.current(purpose)?.clone();
    Ok(Done {
        entry,
        before: before.id,
        record,
        resumed,
    })
}

/// A key whose place another has taken signs no more. `destroy` removes its private half, which nothing brings back.
///
/// # Errors
/// When it is the key in use; when a log's new key has signed nothing yet. Names the key or file at fault.
pub fn retire(
    place: &Place<'_>,
    id: &str,
    by: Actor,
    (why, destroy): (Option<String>, bool),
) -> Outcome<Done> {
    retire_as(place, id, destroy, |purpose| {
        let recording = place.store.retire_key(by, purpose, id.to_owned(), why);
        Ok(recording.wait()?)
    })
}

/// As [`retire`], where `record` makes the event.
///
/// # Errors
/// As [`retire`]; what `record` says.
pub fn retire_as(
    place: &Place<'_>,
    id: &str,
    destroy: bool,
    record: impl FnOnce(KeyPurpose) -> Outcome<KeyRecord>,
) -> Outcome<Done> {
    let mut ring = Ring::load(place.keys)?;
    ring.name(place.keys)?;
    let found = ring.entries.iter().find(|entry| entry.id == id).cloned();
    let entry = found.ok_or_else(|| Failure::is_false(format!("key {id} not found")))?;
    match entry.state {
        State::Overlap | State::Retired => {}
        State::Current => {
            return Err(Failure::could_not(format!(
                "{id} is the {} key in use: rotate it first",
                entry.purpose
            )));
        }
        State::Pending => {
            return Err(Failure::could_not(format!(
                "{id} is not in use yet: bring its rotation to an end first (knik key rotate {})",
                entry.purpose
            )));
        }
    }
    let current = ring.current(entry.purpose)?.clone();
    if entry.purpose == KeyPurpose::Log && entry.state == State::Overlap {
        place.new_key_has_signed(&current)?;
    }
    let record = record(entry.purpose)?;
    if entry.state == State::Overlap {
        set(&mut ring, id, |one| {
            one.state = State::Retired;
            one.until = Some(record.time);
        });
        ring.write()?;
    }
    // From here on it signs nothing: what the memory says now bounds what it signed.
    if entry.purpose == KeyPurpose::Log && entry.last_size.is_none() {
        let last = place.last_signed(&current)?;
        set(&mut ring, id, |one| {
            one.last_size = Some(last.checkpoint().size)
        });
        ring.write()?;
    }
    place.tell_strangers(&ring)?;
    if destroy {
        place.destroy(&entry)?;
    }
    Ok(Done {
        before: current.id,
        entry: ring
            .entries
            .into_iter()
            .find(|entry| entry.id == id)
            .unwrap_or(entry),
        record,
        resumed: false,
    })
}

fn set(ring: &mut Ring, id: &str, change: impl Fn(&mut Entry)) {
    ring.entries
        .iter_mut()
        .filter(|entry| entry.id == id)
        .for_each(change);
}

/// Makes a key on a token, and nothing else.
///
/// # Errors
/// Names the token and what is wrong.
pub fn make_on_token(
    config: &Config,
    key: &TokenKey,
    purpose: KeyPurpose,
) -> Outcome<(Made, Vec<u8>)> {
    let scheme = match purpose {
        KeyPurpose::Seal => Scheme::P256,
        KeyPurpose::Log => Scheme::Ed25519,
    };
    let token = Token::of(key, Refused::of(config))?;
    let made = token.make(scheme).map_err(Failure::could_not)?;
    let public = token.public(scheme).map_err(Failure::could_not)?;
    Ok((made, public))
}

impl Place<'_> {
    fn folder(&self) -> PathBuf {
        let state = &self.keys.log.state;
        state.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// The new key, durable.
    fn make(&self, purpose: KeyPurpose, wanted: &Wanted) -> Outcome<Entry> {
        let mut entry = Entry::coming(purpose, KeyPlace::File(PathBuf::new()));
        match purpose {
            KeyPurpose::Seal => self.make_seal(&mut entry, wanted)?,
            KeyPurpose::Log => self.make_log(&mut entry, wanted)?,
        }
        Ok(entry)
    }

    fn make_log(&self, entry: &mut Entry, wanted: &Wanted) -> Outcome {
        match &wanted.place {
            None => {
                let (key, pem) = new_log_key(&self.keys.log.origin)?;
                let file = self
                    .folder()
                    .join(format!("{}.key", log_id(key.verifier())));
                keys::write_new(&file, pem.as_bytes(), Readers::Owner)?;
                keys::sync_parent(&file)?;
                entry.place = KeyPlace::File(file);
            }
            Some(place) => {
                if let KeyPlace::Token(key) = place {
                    make_on_token(self.keys, key, KeyPurpose::Log)?;
                }
                entry.place = place.clone();
            }
        }
        let key = keys::log_signer(self.keys, entry)?.verifier().clone();
        entry.id = log_id(&key);
        entry.verifier = Some(key);
        Ok(())
    }

    fn make_seal(&self, entry: &mut Entry, wanted: &Wanted) -> Outcome {
        let now = self.store.now();
        let (mut made, mut private) = (None, None);
        match &wanted.place {
            None if wanted.certificate.is_some() => {
                return Err(Failure::could_not(
                    "--certificate is of a key that is there: name it by --key or --pkcs11",
                ));
            }
            None => {
                let issued = self.authority()?.seal_certificate(
                    &self.names().0,
                    &self.names().1,
                    &self.names().2,
                    now,
                );
                let issued = issued.map_err(|e| Failure::doing("the certificate", &e))?;
                made = Some(issued.certificate_pem);
                private = Some(issued.key_pem);
            }
            Some(KeyPlace::Token(key)) => {
                let (_, point) = make_on_token(self.keys, key, KeyPurpose::Seal)?;
                if wanted.certificate.is_none() {
                    let (organisation, name, address) = self.names();
                    let names = (organisation.as_str(), name.as_str(), address.as_str());
                    let pem = self.authority()?.seal_certificate_for(&point, names, now);
                    made = Some(pem.map_err(|e| Failure::doing("the certificate", &e))?);
                }
            }
            Some(KeyPlace::File(_)) if wanted.certificate.is_none() => {
                return Err(Failure::could_not(
                    "--key of a seal needs its --certificate",
                ));
            }
            Some(KeyPlace::File(_)) => {}
        }
        let pem = match (&wanted.certificate, made) {
            (Some(file), _) => keys::read(file)?,
            (None, made) => made.unwrap_or_default().into_bytes(),
        };
        let chain =
            chain_from_pem(&pem).map_err(|e| Failure::doing("the seal's certificate", &e))?;
        entry.id = seal_id(&chain);
        let file = self.folder().join(format!("{}.pem", entry.id));
        keys::replace(&file, &pem, Readers::All)?;
        entry.certificate = Some(file.clone());
        entry.place = match (&wanted.place, private) {
            (Some(place), _) => place.clone(),
            (None, private) => {
                let file = file.with_extension("key");
                let private = private.unwrap_or_default();
                keys::write_new(&file, private.as_bytes(), Readers::Owner)?;
                keys::sync_parent(&file)?;
                KeyPlace::File(file)
            }
        };
        Ok(())
    }

    fn authority(&self) -> Outcome<Authority> {
        crate::authority::open(&self.post.authority)
    }

    /// Organisation, common name and address in a seal's certificate, as `init` has them.
    fn names(&self) -> (String, String, String) {
        template::seal_names(&self.post.seal.issuer, &self.post.domain)
    }

    /// A certificate of the operator's own authority is in its books before anybody has it.
    fn note_issued(&self, entry: &Entry) -> Outcome {
        let config = &self.post.authority;
        if entry.purpose == KeyPurpose::Log || !config.pair.certificate.exists() {
            return Ok(());
        }
        let read = |der: &[u8]| {
            let certificate = Certificate::from_der(der);
            certificate.map_err(|e| Failure::doing("the seal's certificate", &e))
        };
        let authority = read(&crate::authority::certificate(config)?)?;
        for der in entry.chain()?.iter().take(1) {
            let certificate = read(der)?;
            if certificate.names_as_issuer(&authority) {
                let issued = crate::authority::issued(&certificate, "seal");
                self.store.note_issued(vec![issued]).wait()?;
            }
        }
        Ok(())
    }

    /// The key signs, and what it signs holds: nobody finds out later.
    fn try_key(&self, entry: &Entry) -> Outcome {
        match entry.purpose {
            KeyPurpose::Log => {
                let signer = keys::log_signer(self.keys, entry)?;
                let tried = signer.sign("a trial of the key; no checkpoint\n");
                tried.map_err(|e| Failure::doing(&entry.place, &e))?;
            }
            KeyPurpose::Seal => {
                let seal = keys::seal(self.keys, entry)?;
                let trial = Statement::time_stamp(Digest::of(b""), self.store.now());
                let signed = seal.seal(&trial);
                let signed = signed.map_err(|e| Failure::doing(&entry.place, &e))?;
                if !signed.holds_for(&trial, seal.chain()) {
                    return Err(Failure::could_not(format!(
                        "{}: its signature does not hold under {}",
                        entry.place, entry.id
                    )));
                }
            }
        }
        Ok(())
    }

    /// `anchors.toml` as the keys are now: every key of the log with its time, and a seal anchor for every seal.
    fn tell_strangers(&self, ring: &Ring) -> Outcome {
        let file = &self.post.seal.anchors;
        let before = keys::anchors(file)?;
        let mut anchors = before.clone();
        for entry in &ring.entries {
            if let Some(key) = &entry.verifier {
                if !anchors.logs.contains(key) {
                    anchors.logs.push(key.clone());
                }
                anchors.terms.retain(|terms| terms.key != *key);
                let retired = entry.until.zip(entry.last_size);
                let terms = LogTerms {
                    key: key.clone(),
                    since: entry.since,
                    retired: retired.map(|(until, last_size)| Retired { until, last_size }),
                };
                if terms.since.is_some() || terms.retired.is_some() {
                    anchors.terms.push(terms);
                }
            }
            if entry.purpose == KeyPurpose::Seal && entry.state != State::Retired {
                self.add_seal_anchor(entry, &mut anchors.seals)?;
            }
        }
        if anchors == before {
            return Ok(());
        }
        keys::replace(file, anchors.to_toml().as_bytes(), Readers::All)
    }

    /// A seal that leads to no anchor yet, as one of an outside authority: the last certificate of its chain becomes one.
    fn add_seal_anchor(&self, entry: &Entry, anchors: &mut Vec<CertificateAnchor>) -> Outcome {
        let chain = entry.chain()?;
        let known: Vec<_> = anchors
            .iter()
            .map(|anchor| anchor.certificate.clone())
            .collect();
        let leads = chain
            .split_first()
            .is_some_and(|(leaf, others)| validate(leaf, others, &known, self.store.now()).is_ok());
        if let (false, Some(last)) = (leads, chain.last()) {
            anchors.push(CertificateAnchor {
                name: self.post.seal.issuer.clone(),
                certificate: last.clone(),
            });
        }
        Ok(())
    }

    /// Whoever knows only the old key must be able to follow: a checkpoint of both is signed, and published.
    fn new_key_has_signed(&self, current: &Entry) -> Outcome {
        self.last_signed(current)?;
        let published = store::log::LogFiles::current(self.store)?.checkpoint()?;
        let known: Vec<_> = current.verifier.iter().cloned().collect();
        let seen =
            published.is_some_and(|(note, _)| SignedCheckpoint::verify(note, &known).is_ok());
        if seen {
            return Ok(());
        }
        Err(Failure::could_not(format!(
            "no published checkpoint is signed by {} yet: let `knik serve` publish one, so that whoever watches the log \
             sees both keys sign",
            current.id
        )))
    }

    /// The last checkpoint that was signed, by the key in use.
    fn last_signed(&self, current: &Entry) -> Outcome<SignedCheckpoint> {
        let state = &self.keys.log.state;
        let known: Vec<_> = current.verifier.iter().cloned().collect();
        SignedCheckpoint::open(&keys::read(state)?, &known).map_err(|e| {
            Failure::doing(
                format!("{}: {} has signed nothing yet", state.display(), current.id),
                &e,
            )
        })
    }

    fn destroy(&self, entry: &Entry) -> Outcome {
        match &entry.place {
            KeyPlace::File(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Failure::file(path, &error))
                }
                _ => keys::sync_parent(path),
            },
            KeyPlace::Token(key) => {
                let token = Token::of(key, Refused::of(self.keys))?;
                token.destroy().map_err(Failure::could_not)
            }
        }
    }
}

/// The name of the new key, where it is there before it takes the other's place: by its certificate, or its file.
///
/// # Errors
/// Names the file at fault.
pub fn name_of(keys: &Config, purpose: KeyPurpose, wanted: &Wanted) -> Outcome<Option<String>> {
    match (purpose, &wanted.certificate, &wanted.place) {
        (KeyPurpose::Seal, Some(file), _) => {
            let chain = chain_from_pem(&keys::read(file)?);
            let chain = chain.map_err(|e| Failure::doing(file.display(), &e))?;
            Ok(Some(seal_id(&chain)))
        }
        (KeyPurpose::Log, _, Some(place @ KeyPlace::File(_))) => {
            let entry = Entry::coming(purpose, place.clone());
            let signer = keys::log_signer(keys, &entry)?;
            Ok(Some(log_id(signer.verifier())))
        }
        _ => Ok(None),
    }
}

/// What evidence says of a key.
fn facts(entry: &Entry) -> Outcome<KeyFacts> {
    let leaf = match entry.purpose {
        KeyPurpose::Seal => entry.chain()?.into_iter().next(),
        KeyPurpose::Log => None,
    };
    let valid_until = |der: &[u8]| -> Option<Timestamp> {
        Certificate::from_der(der)
            .ok()
            .map(|certificate| certificate.not_after())
    };
    Ok(KeyFacts {
        id: entry.id.clone(),
        algorithm: match entry.purpose {
            KeyPurpose::Seal => "ecdsa-p256-sha256",
            KeyPurpose::Log => "ed25519",
        },
        certificate: leaf.as_ref().map(|leaf| Digest::of(leaf)),
        verifier: entry.verifier.as_ref().map(ToString::to_string),
        valid_until: leaf.as_ref().and_then(|leaf| valid_until(leaf)),
        held: entry.place.held(),
    })
}

/// A new key of a log, and its PKCS #8 document in PEM.
///
/// # Errors
/// When the system gives no random octets.
pub fn new_log_key(origin: &str) -> Outcome<(SigningKey, String)> {
    use aws_lc_rs::rand::{SecureRandom, SystemRandom};
    use base64::Engine as _;
    let mut seed = [0; 32];
    let random = SystemRandom::new().fill(&mut seed);
    random.map_err(|_| Failure::could_not("the system gives no random octets"))?;
    let key =
        SigningKey::from_seed(origin, &seed).map_err(|e| Failure::doing("the log key", &e))?;
    let der = key
        .to_pkcs8()
        .map_err(|e| Failure::doing("the log key", &e))?;
    // A PKCS #8 document of an Ed25519 key has 48 octets: one line of base64 (RFC 7468 §2).
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(der)
    );
    Ok((key, pem))
}
