//! The data: kinds of sender, the contract's text, price lists. Built in is the Armenian sample; `[billing] data` names a folder
//! with files of one's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mail::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::register::Lang;

use super::month::Month;
use super::prices::{PriceList, is_word};
use super::words::Text;
use crate::failure::{Failure, Outcome};

/// Octets of one file: each is written by hand.
const DATA_BYTES_MAX: u64 = 1024 * 1024;

/// Price lists in the folder: a list a year for a generation, for some kinds of sender.
const PRICE_LISTS_MAX: usize = 1000;

/// The built-in sample: file name and text.
const SAMPLE: [(&str, &str); 5] = [
    (KINDS, include_str!("../../etc/contracts/kinds.toml")),
    (CONTRACT, include_str!("../../etc/contracts/contract.toml")),
    (
        "prices/am-public-1.toml",
        include_str!("../../etc/contracts/prices/am-public-1.toml"),
    ),
    (
        "prices/am-sample-1.toml",
        include_str!("../../etc/contracts/prices/am-sample-1.toml"),
    ),
    (
        "prices/am-sample-2.toml",
        include_str!("../../etc/contracts/prices/am-sample-2.toml"),
    ),
];
const KINDS: &str = "kinds.toml";
const CONTRACT: &str = "contract.toml";
const PRICES: &str = "prices";

/// A document that a contract needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its word.
    pub word: String,
    /// What it is.
    pub title: Text,
}

/// A kind of sender.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its word, as contracts have it.
    pub word: String,
    /// What people call it.
    pub title: Text,
    /// What entitles it to send.
    pub legal_basis: Text,
    /// The price list of its contracts that name none.
    pub tariff: Option<String>,
    /// Words of the documents that its contracts need.
    documents: Vec<String>,
}

/// Kinds of sender and the documents they bring.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kinds {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Whence it comes.
    pub source: String,
    /// What it is not.
    pub note: String,
    /// The price list of a contract when neither it nor its kind names one.
    tariff: String,
    document: Vec<Document>,
    kind: Vec<Kind>,
}

/// One clause of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Its heading.
    pub heading: String,
    /// Its text, with words in braces.
    pub text: String,
}

/// How what is not limited or not agreed is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// No such term.
    pub none: String,
    /// Receipts go where each message says.
    pub envelope: String,
    /// It must be so.
    pub yes: String,
    /// It need not.
    pub no: String,
    /// The unit of sizes.
    pub octets: String,
}

/// The text of a contract in one language.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// Its title.
    pub title: String,
    /// Words for what is not said.
    pub words: Said,
    /// Its clauses.
    pub clause: Vec<Clause>,
}

/// The text of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Whence it comes.
    pub source: String,
    /// What it is not.
    pub note: String,
    hy: Wording,
    ru: Wording,
    en: Wording,
}

impl Template {
    /// The text in a language.
    pub fn of(&self, lang: Lang) -> &Wording {
        match lang {
            Lang::Hy => &self.hy,
            Lang::Ru => &self.ru,
            Lang::En => &self.en,
        }
    }
}

/// All the data, checked against itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Kinds of sender.
    kinds: Kinds,
    /// The text of a contract, and the digest of its file.
    pub template: (Template, Digest),
    /// Versions of price lists, by name and version.
    prices: Vec<PriceList>,
}

impl Library {
    /// The data in a folder; the built-in sample without one.
    ///
    /// # Errors
    /// Names the file and the key at fault.
    pub fn load(folder: Option<&Path>) -> Outcome<Self> {
        let files = match folder {
            Some(folder) => read(folder)?,
            None => SAMPLE
                .iter()
                .map(|(name, text)| (PathBuf::from(name), (*text).to_owned()))
                .collect(),
        };
        Self::of(&files, folder.unwrap_or(Path::new("")))
    }

    /// The kind with this word, if there is one.
    pub fn kind(&self, word: &str) -> Option<&Kind> {
        self.kinds.kind.iter().find(|kind| kind.word == word)
    }

    /// All kinds.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds.kind
    }

    /// The file of kinds: name, version, source and note.
    pub fn kinds_source(&self) -> (&str, u32, &str, &str) {
        let kinds = &self.kinds;
        (&kinds.id, kinds.version, &kinds.source, &kinds.note)
    }

    /// The documents that a kind's contracts need, in order.
    pub fn documents<'a>(&'a self, kind: &'a Kind) -> impl Iterator<Item = &'a Document> {
        // Invariant: `of` has looked each word up.
        let find = |word: &String| self.kinds.document.iter().find(|one| one.word == *word);
        kind.documents.iter().filter_map(find)
    }

    /// The name of the price list that a contract with this tariff and of this kind is billed by.
    pub fn tariff<'a>(&'a self, tariff: Option<&'a str>, kind: Option<&str>) -> &'a str {
        let of_kind = || self.kind(kind?)?.tariff.as_deref();
        tariff.or_else(of_kind).unwrap_or(&self.kinds.tariff)
    }

    /// The version of a price list that a month is billed by.
    ///
    /// # Errors
    /// Names the list that is not there, or has no version for that month.
    pub fn prices(&self, id: &str, month: Month) -> Outcome<&PriceList> {
        let versions = self.prices.iter().filter(|list| list.id == id);
        if versions.clone().next().is_none() {
            return Err(Failure::could_not(format!("there is no price list {id:?}")));
        }
        // The next version ends the one before, so that no file has to be edited when prices change.
        let begun = versions.filter(|list| list.valid_from <= month).next_back();
        begun.filter(|list| list.applies_to(month)).ok_or_else(|| {
            Failure::could_not(format!(
                "no version of the price list {id:?} applies to {month}"
            ))
        })
    }

    fn of(files: &BTreeMap<PathBuf, String>, folder: &Path) -> Outcome<Self> {
        let kinds: Kinds = parse(files, folder, KINDS)?.0;
        let template: (Template, Digest) = parse(files, folder, CONTRACT)?;
        let mut prices: Vec<PriceList> = Vec::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with(PRICES)) {
            let at = |what: String| {
                Failure::could_not(format!("{}: {what}", folder.join(path).display()))
            };
            let list = PriceList::parse(text).map_err(at)?;
            let name = format!("{}-{}.toml", list.id, list.version);
            if path.file_name().is_none_or(|file| *file != *name) {
                return Err(at(format!("id: the file must be called {name}")));
            }
            prices.push(list);
        }
        prices.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
        for pair in prices.windows(2).filter(|pair| pair[0].id == pair[1].id) {
            let (before, after) = (&pair[0], &pair[1]);
            let overlaps = before
                .valid_until
                .is_some_and(|until| until > after.valid_from);
            if overlaps || before.valid_from >= after.valid_from {
                return Err(Failure::could_not(format!(
                    "{}: valid_from: version {} of {:?} begins while version {} is to hold",
                    folder.join(PRICES).display(),
                    after.version,
                    before.id,
                    before.version
                )));
            }
        }
        check_kinds(&kinds, &prices).map_err(|what| {
            Failure::could_not(format!("{}: {what}", folder.join(KINDS).display()))
        })?;
        Ok(Self {
            kinds,
            template,
            prices,
        })
    }
}

fn check_kinds(kinds: &Kinds, prices: &[PriceList]) -> Result<(), String> {
    let is_there = |tariff: &str| match prices.iter().any(|list| list.id == tariff) {
        true => Ok(()),
        false => Err(format!("tariff: there is no price list {tariff:?}")),
    };
    is_there(&kinds.tariff)?;
    for document in &kinds.document {
        is_word("document.word", &document.word)?;
        if !document.title.is_whole() {
            return Err(format!(
                "document.title: {:?} lacks a language",
                document.word
            ));
        }
    }
    for kind in &kinds.kind {
        is_word("kind.word", &kind.word)?;
        if !kind.title.is_whole() || !kind.legal_basis.is_whole() {
            return Err(format!("kind: {:?} lacks a language", kind.word));
        }
        kind.tariff.as_deref().map_or(Ok(()), is_there)?;
        let known = |word: &&String| !kinds.document.iter().any(|one| one.word == **word);
        if let Some(unknown) = kind.documents.iter().find(known) {
            return Err(format!("kind.documents: there is no document {unknown:?}"));
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(
    files: &BTreeMap<PathBuf, String>,
    folder: &Path,
    name: &str,
) -> Outcome<(T, Digest)> {
    let path = folder.join(name);
    let text = files
        .get(Path::new(name))
        .ok_or_else(|| Failure::could_not(format!("{}: is missing", path.display())))?;
    let read = toml::from_str(text).map_err(|e| {
        let line = 1 + e
            .span()
            .map_or(0, |span| text[..span.start].matches('\n').count());
        Failure::could_not(format!(
            "{}:{line}: {}",
            path.display(),
            e.message().replace('\n', " ")
        ))
    })?;
    Ok((read, Digest::of(text.as_bytes())))
}

/// The texts of a folder, by their path in it.
fn read(folder: &Path) -> Outcome<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    for name in [KINDS, CONTRACT] {
        files.insert(PathBuf::from(name), read_file(&folder.join(name))?);
    }
    let prices = folder.join(PRICES);
    let entries = std::fs::read_dir(&prices).map_err(|e| Failure::file(&prices, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| Failure::file(&prices, &e))?.path();
        let (Some(name), true) = (
            path.file_name(),
            path.extension().is_some_and(|e| e == "toml"),
        ) else {
            continue;
        };
        if files.len() > PRICE_LISTS_MAX {
            return Err(Failure::could_not(format!(
                "{}: more than {PRICE_LISTS_MAX} price lists",
                prices.display()
            )));
        }
        files.insert(Path::new(PRICES).join(name), read_file(&path)?);
    }
    Ok(files)
}

/// The text of one file of data.
///
/// # Errors
/// Names the file.
pub fn read_file(path: &Path) -> Outcome<String> {
    let size = std::fs::metadata(path)
        .map_err(|e| Failure::file(path, &e))?
        .len();
    if size > DATA_BYTES_MAX {
        return Err(Failure::could_not(format!(
            "{}: larger than {DATA_BYTES_MAX} octets",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::words::LANGS;

    fn sample() -> BTreeMap<PathBuf, String> {
        SAMPLE
            .iter()
            .map(|(name, text)| (PathBuf::from(name), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn the_sample_is_whole_in_every_language() {
        let library = Library::load(None).unwrap();
        assert_eq!(library.kinds().len(), 5);
        for lang in LANGS {
            let wording = library.template.0.of(lang);
            assert_eq!(wording.clause.len(), 8, "{lang}");
            for kind in library.kinds() {
                assert!(library.documents(kind).count() >= 3, "{}", kind.word);
            }
        }
    }

    #[test]
    fn a_month_is_billed_by_the_version_that_is_valid_then() {
        let library = Library::load(None).unwrap();
        for (tariff, kind, month, version) in [
            (None, None, "2026-12", Some(("am-sample", 1))),
            (None, None, "2027-01", Some(("am-sample", 2))),
            (None, None, "2019-12", None),
            (None, Some("court"), "2027-01", Some(("am-public", 1))),
            (
                Some("am-sample"),
                Some("court"),
                "2030-01",
                Some(("am-sample", 2)),
            ),
            (
                None,
                Some("no-such-kind"),
                "2026-12",
                Some(("am-sample", 1)),
            ),
            (Some("no-such-list"), None, "2026-12", None),
        ] {
            let id = library.tariff(tariff, kind);
            let found = library.prices(id, month.parse().unwrap());
            let found = found.ok().map(|list| (list.id.as_str(), list.version));
            assert_eq!(found, version, "{tariff:?} {kind:?} {month}");
        }
    }

    #[test]
    fn data_that_does_not_fit_together_is_refused_by_file_and_key() {
        for (file, old, new, fault) in [
            (
                KINDS,
                "tariff = \"am-public\"",
                "tariff = \"none\"",
                "d/kinds.toml: tariff: ",
            ),
            (
                KINDS,
                "\"authority\", ",
                "\"autority\", ",
                "d/kinds.toml: kind.documents: ",
            ),
            (KINDS, "ru = \"Суд\"", "ru = \"\"", "d/kinds.toml: kind: "),
            (KINDS, "note = ", "nota = ", "d/kinds.toml:6: "),
            (CONTRACT, "none = ", "non = ", "d/contract.toml:"),
            (
                "prices/am-sample-1.toml",
                "version = 1",
                "version = 3",
                "d/prices/am-sample-1.toml: id: ",
            ),
            (
                "prices/am-sample-1.toml",
                "round_to = 100",
                "round_to = 0",
                "d/prices/am-sample-1.toml: round_to: ",
            ),
            (
                "prices/am-sample-1.toml",
                "\"2027-01-01\"",
                "\"2028-01-01\"",
                "d/prices: valid_from: ",
            ),
        ] {
            let mut files = sample();
            let text = files.get_mut(Path::new(file)).unwrap();
            assert!(text.contains(old), "{old}");
            *text = text.replacen(old, new, 1);
            let found = Library::of(&files, Path::new("d")).unwrap_err().to_string();
            assert!(found.starts_with(fault), "{new}: {found}");
        }
    }

    #[test]
    fn a_folder_of_ones_own_is_read_instead() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Library::load(Some(folder.path())).unwrap_err().to_string();
        assert!(missing.contains("kinds.toml"), "{missing}");
        std::fs::create_dir(folder.path().join(PRICES)).unwrap();
        for (name, text) in SAMPLE {
            std::fs::write(folder.path().join(name), text.replace("am-sample", "own")).unwrap();
        }
        let prices = folder.path().join(PRICES);
        for version in [1, 2] {
            let name = |id: &str| prices.join(format!("{id}-{version}.toml"));
            std::fs::rename(name("am-sample"), name("own")).unwrap();
        }
        let library = Library::load(Some(folder.path())).unwrap();
        assert_eq!(library.tariff(None, None), "own");
    }
}
