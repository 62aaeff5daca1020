//! Which keys there are, and which of them sign: `ring.toml` beside the log's state.
//!
//! Without the file there are two, those of `[seal]` and `[log]` in `knik.toml`. The first rotation writes it, and from then
//! on it decides; it is replaced as a whole and read again before each use, so that a running signer takes up a new key by
//! itself. It goes where the keys go.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use mail::{Digest, Timestamp};
use receipts::note::VerifierKey;
use receipts::seal::chain_from_pem;
use serde::Deserialize;
use store::signing_keys::KeyPurpose;

use crate::config::Config;
use crate::config::key_place::KeyPlace;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// Octets of the file: a rotation a month for a century.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made; the event is not recorded yet, so nothing is signed with it.
    Pending,
    /// It signs.
    Current,
    /// Another takes its place. A log's key signs beside that one; a seal seals no more.
    Overlap,
    /// It signs no more.
    Retired,
}

impl State {
    const ALL: [Self; 4] = [Self::Pending, Self::Current, Self::Overlap, Self::Retired];

    /// The word in the file and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Overlap => "overlap",
            Self::Retired => "retired",
        }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: the purpose and a digest of its public half.
    pub id: String,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// Where the private half is.
    pub place: KeyPlace,
    /// The certificate of a seal, with what leads from it towards an anchor.
    pub certificate: Option<PathBuf>,
    /// The public half of a log's key.
    pub verifier: Option<VerifierKey>,
    /// What it is there for.
    pub state: State,
    /// When it came into use, if a rotation brought it.
    pub since: Option<Timestamp>,
    /// When it was retired.
    pub until: Option<Timestamp>,
    /// Entries under the last checkpoint that a log's key signed, once it is retired.
    pub last_size: Option<u64>,
}

impl Entry {
    /// A key of which nothing but its place is known yet.
    pub fn coming(purpose: KeyPurpose, place: KeyPlace) -> Self {
        Self {
            id: String::new(),
            purpose,
            place,
            certificate: None,
            verifier: None,
            state: State::Pending,
            since: None,
            until: None,
            last_size: None,
        }
    }
}

/// All keys.
#[derive(Debug, Clone)]
pub struct Ring {
    path: PathBuf,
    /// As it was read; `None`: there is no file.
    octets: Option<Vec<u8>>,
    /// The keys, in the order in which they came.
    pub entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Vec<WrittenKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: String,
    purpose: String,
    private: String,
    certificate: Option<String>,
    verifier: Option<String>,
    state: String,
    since: Option<String>,
    until: Option<String>,
    last_size: Option<u64>,
}

impl Ring {
    /// Reads the file; without one, the keys of the configuration.
    ///
    /// # Errors
    /// Names the file and what is wrong with it, or the key of the configuration that it does not know.
    pub fn load(config: &Config) -> Outcome<Self> {
        let path = path(config);
        let octets = match read(&path)? {
            Some(octets) => octets,
            None => return Ok(Self::configured(config, path)),
        };
        let wrong = |what: String| Failure::could_not(format!("{}: {what}", path.display()));
        let text = std::str::from_utf8(&octets).map_err(|e| wrong(e.to_string()))?;
        let written: Written =
            toml::from_str(text).map_err(|e| wrong(e.message().trim().to_owned()))?;
        let entries: Result<Vec<_>, String> = written
            .key
            .into_iter()
            .map(|key| entry(&path, key))
            .collect();
        let ring = Self {
            entries: entries.map_err(wrong)?,
            octets: Some(octets),
            path,
        };
        ring.check(config)?;
        Ok(ring)
    }

    /// Whether the file is still what was read.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn is_fresh(&self) -> Outcome<bool> {
        Ok(read(&self.path)? == self.octets)
    }

    /// The key that signs.
    ///
    /// # Errors
    /// When there is none.
    pub fn current(&self, purpose: KeyPurpose) -> Outcome<&Entry> {
        self.one(purpose, State::Current).ok_or_else(|| {
            Failure::could_not(format!(
                "{}: no {purpose} key is current",
                self.path.display()
            ))
        })
    }

    /// The one key of a purpose in a state.
    pub fn one(&self, purpose: KeyPurpose, state: State) -> Option<&Entry> {
        let is_it = |entry: &&Entry| entry.purpose == purpose && entry.state == state;
        self.entries.iter().find(is_it)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// While somebody signs: the file is not changed under them.
    ///
    /// # Errors
    /// Names the lock's file.
    pub fn hold(&self) -> Outcome<File> {
        let file = self.lock_file()?;
        let path = self.path.with_extension("lock");
        file.lock_shared().map_err(|e| Failure::file(&path, &e))?;
        Ok(file)
    }

    /// Replaces the file, if nobody else has since it was read, and waits for signatures under way. Durable when it returns.
    ///
    /// # Errors
    /// Names the file; says that somebody else changed it.
    pub fn write(&mut self) -> Outcome {
        let lock = self.lock_file()?;
        lock.lock()
            .map_err(|e| Failure::file(&self.path.with_extension("lock"), &e))?;
        if !self.is_fresh()? {
            return Err(Failure::could_not(format!(
                "{}: was changed by somebody else meanwhile; look, and do it again",
                self.path.display()
            )));
        }
        let octets = self.to_toml().into_bytes();
        keys::replace(&self.path, &octets, Readers::Owner)?;
        self.octets = Some(octets);
        Ok(())
    }

    fn lock_file(&self) -> Outcome<File> {
        let path = self.path.with_extension("lock");
        let open = || OpenOptions::new().read(true).open(&path);
        match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match keys::write_new(&path, b"", Readers::Owner) {
                    // Somebody else made it meanwhile.
                    Err(_) if path.exists() => {}
                    made => made?,
                }
                open()
            }
            opened => opened,
        }
        .map_err(|e| Failure::file(&path, &e))
    }

    fn configured(config: &Config, path: PathBuf) -> Self {
        let entry = |purpose, place: &KeyPlace, certificate| Entry {
            id: String::new(),
            purpose,
            place: place.clone(),
            certificate,
            verifier: None,
            state: State::Current,
            since: None,
            until: None,
            last_size: None,
        };
        let certificate = config.seal.certificate.clone();
        Self {
            entries: vec![
                entry(KeyPurpose::Seal, &config.seal.key, Some(certificate)),
                entry(KeyPurpose::Log, &config.log.key, None),
            ],
            octets: None,
            path,
        }
    }

    /// Gives the keys of the configuration their names, which takes their public halves.
    ///
    /// # Errors
    /// Names the key that cannot be opened.
    pub fn name(&mut self, config: &Config) -> Outcome {
        for entry in self.entries.iter_mut().filter(|entry| entry.id.is_empty()) {
            match entry.purpose {
                KeyPurpose::Seal => entry.id = seal_id(&entry.chain()?),
                KeyPurpose::Log => {
                    let key = keys::log_signer(config, entry)?.verifier().clone();
                    entry.id = log_id(&key);
                    entry.verifier = Some(key);
                }
            }
        }
        Ok(())
    }

    /// Both purposes have a key, and `knik.toml` names none that is not here: whoever changes a key there is told that it
    /// is not done so any more.
    fn check(&self, config: &Config) -> Outcome {
        let places = [
            (KeyPurpose::Seal, "seal.key", &config.seal.key),
            (KeyPurpose::Log, "log.key", &config.log.key),
        ];
        for (purpose, name, place) in places {
            self.current(purpose)?;
            let known = |entry: &Entry| entry.purpose == purpose && entry.place.is_same(place);
            if !self.entries.iter().any(known) {
                return Err(Failure::could_not(format!(
                    "{}: {name}: {place} is not in {}, which decides since the first rotation: use `knik key rotate`",
                    config.file.display(),
                    self.path.display()
                )));
            }
        }
        Ok(())
    }

    fn to_toml(&self) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut text = String::from(
            "# Which keys sign, since the first rotation: `knik key` writes this file, and it goes where the keys go.\n",
        );
        for entry in &self.entries {
            let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let mut put = |name: &str, value: &str| {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{name} = {}", quoted(value));
            };
            put("\n[[key]]\nid", &entry.id);
            put("purpose", entry.purpose.as_str());
            put("private", &entry.place.to_text(folder));
            if let Some(certificate) = &entry.certificate {
                let short = certificate.strip_prefix(folder).unwrap_or(certificate);
                put("certificate", &short.display().to_string());
            }
            if let Some(verifier) = &entry.verifier {
                put("verifier", &verifier.to_string());
            }
            put("state", entry.state.as_str());
            for (name, time) in [("since", entry.since), ("until", entry.until)] {
                if let Some(time) = time {
                    put(name, &time.to_string());
                }
            }
            if let Some(size) = entry.last_size {
                let _ = writeln!(text, "last_size = {size}");
            }
        }
        text
    }
}

impl Entry {
    /// The certificates of a seal.
    ///
    /// # Errors
    /// Names the file.
    pub fn chain(&self) -> Outcome<Vec<rustls_pki_types::CertificateDer<'static>>> {
        let file = self.certificate.as_ref();
        let file = file.ok_or_else(|| Failure::could_not(format!("{}: no seal", self.id)))?;
        chain_from_pem(&keys::read(file)?).map_err(|e| Failure::file(file, &e))
    }
}

/// The name of a seal's key: its certificate's digest.
pub fn seal_id(chain: &[rustls_pki_types::CertificateDer<'_>]) -> String {
    let digest = chain.first().map(|leaf| Digest::of(leaf).to_string());
    let digest = digest.unwrap_or_default();
    format!("seal-{}", digest.get(..16).unwrap_or(&digest))
}

/// The name of a log's key: the id by which its signature lines name it.
pub fn log_id(key: &VerifierKey) -> String {
    format!("log-{:08x}", u32::from_be_bytes(key.id()))
}

/// Where the file is.
fn path(config: &Config) -> PathBuf {
    config.log.state.with_file_name("ring.toml")
}

fn read(path: &Path) -> Outcome<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| Failure::file(path, &e))?,
    };
    let mut octets = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut octets);
    read.map_err(|e| Failure::file(path, &e))?;
    if octets.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::could_not(format!(
            "{}: is too large",
            path.display()
        )));
    }
    Ok(Some(octets))
}

fn entry(path: &Path, key: WrittenKey) -> Result<Entry, String> {
    let id = key.id;
    let wrong = |what: &str| format!("key \"{id}\": {what}");
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| wrong("a time cannot be read")),
    };
    let mut states = State::ALL.into_iter();
    let state = states.find(|state| state.as_str() == key.state);
    let verifier = key.verifier.map(|text| VerifierKey::parse(&text));
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Entry {
        purpose: key
            .purpose
            .parse()
            .map_err(|_| wrong("its purpose is not known"))?,
        place: KeyPlace::written_in(path, &key.private).map_err(|e| wrong(&e))?,
        certificate: key.certificate.map(|name| folder.join(name)),
        verifier: verifier.transpose().map_err(|e| wrong(&e.to_string()))?,
        state: state.ok_or_else(|| wrong("its state is not known"))?,
        since: time(key.since)?,
        until: time(key.until)?,
        last_size: key.last_size,
        id,
    })
}
