//! The sources of holders' certificates as the IMAP server believes them: what the configuration's files hold, and the CRLs
//! that were fetched since.
//!
//! Fetched lists lie in the folder `crl` of the data directory, so that a restart while an authority is away forgets no
//! revocation. What is read from there is held against the table's authorities like what comes over the network.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use identity::{Crl, Trust};
use imapd::Imapd;
use mail::{Digest, Timestamp};
use webd::fetch::Validators;

use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// The folder of fetched lists, in the data directory.
pub const FOLDER: &str = "crl";

/// One table of the configuration with the URLs of its lists.
pub type Table = (Trust, Vec<String>);

/// What the server believes.
pub struct Sources {
    folder: PathBuf,
    imapd: Arc<Imapd>,
    held: Mutex<Vec<Held>>,
    /// Counts reloads: then every list is asked for again.
    generation: AtomicU64,
}

struct Held {
    trust: Trust,
    places: Vec<Place>,
}

/// A URL of a table, and what was had from it.
#[derive(Clone)]
pub struct Place {
    /// The table's name.
    pub trust: String,
    /// Where the lists are.
    pub url: String,
    /// By what the server there knows what we have.
    pub validators: Validators,
    lists: Vec<Arc<Crl>>,
}

impl Place {
    /// When the first of its lists ends; `None`: there is none.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.lists.iter().map(|list| list.next_update()).min()
    }
}

impl Sources {
    /// Of these tables, with what was fetched before; the server believes them from now on.
    pub fn open(data: &Path, imapd: &Arc<Imapd>, tables: Vec<Table>) -> Arc<Self> {
        let sources = Self {
            folder: data.join(FOLDER),
            imapd: Arc::clone(imapd),
            held: Mutex::default(),
            generation: AtomicU64::new(0),
        };
        sources.reload(tables);
        Arc::new(sources)
    }

    /// Other tables.
    pub fn reload(&self, tables: Vec<Table>) {
        let mut held = self.held();
        let known: Vec<Place> = held.iter().flat_map(|one| one.places.clone()).collect();
        let places = |trust: &Trust, urls: Vec<String>| {
            let place = |url: String| {
                let same = |place: &&Place| place.url == url && place.trust == trust.name();
                known
                    .iter()
                    .find(same)
                    .cloned()
                    .unwrap_or_else(|| stored(&self.folder, trust, url))
            };
            urls.into_iter().map(place).collect()
        };
        *held = tables
            .into_iter()
            .map(|(trust, urls)| Held {
                places: places(&trust, urls),
                trust,
            })
            .collect();
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.believe(&held);
    }

    /// The URLs of all tables.
    pub fn places(&self) -> Vec<Place> {
        let held = self.held();
        held.iter().flat_map(|one| one.places.clone()).collect()
    }

    /// How often the tables were read.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Takes what came from a place, if its authorities signed it and it is not older than what is held.
    ///
    /// # Errors
    /// Says what is wrong with it; then what is held stays.
    pub fn take(&self, from: &Place, octets: &[u8], validators: Validators) -> Outcome {
        let mut held = self.held();
        let Some(one) = held.iter_mut().find(|one| one.trust.name() == from.trust) else {
            return Ok(()); // The table is gone.
        };
        let fault = |why: &dyn std::error::Error| Failure::doing(&from.url, why);
        let lists = one.trust.fetched_lists(octets).map_err(|e| fault(&e))?;
        let Some(place) = one.places.iter_mut().find(|place| place.url == from.url) else {
            return Ok(());
        };
        let mut lists: Vec<Arc<Crl>> = lists.into_iter().map(Arc::new).collect();
        for before in &place.lists {
            let mut same = lists.iter().filter(|list| list.is_of_same_issuer(before));
            if same.any(|list| !list.may_replace(before)) {
                return Err(Failure::could_not(format!(
                    "{}: the list is older than the one that is held (issued {})",
                    from.url,
                    before.this_update()
                )));
            }
        }
        // What an answer no longer holds is not forgotten: a list leaves with its URL.
        let left_out =
            |before: &&Arc<Crl>| !lists.iter().any(|list| list.is_of_same_issuer(before));
        let left_out: Vec<_> = place.lists.iter().filter(left_out).cloned().collect();
        lists.extend(left_out);
        place.lists = lists;
        place.validators = validators.clone();
        self.believe(&held);
        drop(held);
        self.store(from, octets, &validators)
    }

    fn store(&self, place: &Place, octets: &[u8], validators: &Validators) -> Outcome {
        if !self.folder.exists() {
            keys::make_folder(&self.folder, Readers::Owner)?;
        }
        let (list, known) = files(&self.folder, &place.trust, &place.url);
        // In this order: what a server is told to know is never newer than what lies here.
        let lines = [&validators.etag, &validators.modified];
        let lines = lines.map(|one| one.clone().unwrap_or_default()).join("\n");
        keys::replace(&known, b"\n", Readers::Owner)?;
        keys::replace(&list, octets, Readers::Owner)?;
        keys::replace(&known, lines.as_bytes(), Readers::Owner)
    }

    fn believe(&self, held: &[Held]) {
        self.imapd.believe(trusts(held));
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tables with the lists that a running server has fetched: what a command judges by.
pub fn as_stored(data: &Path, tables: Vec<Table>) -> Vec<Trust> {
    let folder = data.join(FOLDER);
    let held: Vec<Held> = tables
        .into_iter()
        .map(|(trust, urls)| Held {
            places: urls
                .into_iter()
                .map(|url| stored(&folder, &trust, url))
                .collect(),
            trust,
        })
        .collect();
    trusts(&held)
}

fn trusts(held: &[Held]) -> Vec<Trust> {
    let one = |one: &Held| {
        let lists = one.places.iter().flat_map(|place| place.lists.clone());
        one.trust.clone().with_lists(lists)
    };
    held.iter().map(one).collect()
}

/// A place with what lies in the folder from it; what cannot be used there is fetched anew.
fn stored(folder: &Path, trust: &Trust, url: String) -> Place {
    let (list, known) = files(folder, trust.name(), &url);
    let mut place = Place {
        trust: trust.name().to_owned(),
        url,
        validators: Validators::default(),
        lists: Vec::new(),
    };
    let Ok(octets) = std::fs::read(&list) else {
        return place;
    };
    match trust.fetched_lists(&octets) {
        Ok(lists) => place.lists = lists.into_iter().map(Arc::new).collect(),
        Err(why) => {
            let file = list.display();
            tracing::warn!(%file, %why, "a fetched CRL that was kept cannot be used");
            return place;
        }
    }
    let lines = std::fs::read_to_string(&known).unwrap_or_default();
    let mut lines = lines
        .split('\n')
        .map(|line| (!line.is_empty()).then(|| line.to_owned()));
    place.validators = Validators {
        etag: lines.next().flatten(),
        modified: lines.next().flatten(),
    };
    place
}

/// The files of a place: the list, and what its server calls it.
fn files(folder: &Path, trust: &str, url: &str) -> (PathBuf, PathBuf) {
    let name = Digest::of(format!("{trust}\n{url}").as_bytes()).to_string();
    (
        folder.join(format!("{name}.crl")),
        folder.join(format!("{name}.known")),
    )
}
