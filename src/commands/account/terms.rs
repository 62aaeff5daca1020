//! Terms of use for holders: versions as data, and who accepted which.

use std::fs;
use std::path::Path;

use mail::{Address, Digest, Timestamp};
use serde_json::{Value, json};
use store::Store;
use store::register::Lang;
use store::register::acceptance::{Acceptance, How};

use crate::commands::operator;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Output, properties};

/// What stands for terms where the configuration names no folder.
const BUILT_IN: [(&str, Lang, &str); 3] = [
    (
        "2026-1",
        Lang::Hy,
        include_str!("../../../etc/terms/2026-1/hy.txt"),
    ),
    (
        "2026-1",
        Lang::Ru,
        include_str!("../../../etc/terms/2026-1/ru.txt"),
    ),
    (
        "2026-1",
        Lang::En,
        include_str!("../../../etc/terms/2026-1/en.txt"),
    ),
];

/// Octets of one text: some dozens of pages.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

const COLUMNS: [Column; 3] = [
    Column("VERSION", 12),
    Column("LANG", 4),
    Column("SHA-256", 0),
];

/// One text.
struct Text {
    version: String,
    lang: Lang,
    digest: Digest,
}

/// Prints the versions.
///
/// # Errors
/// Names the file that cannot be read.
pub fn list(config: &Config, out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    for text in texts(config)? {
        let digest = text.digest.tagged();
        let json = json!({ "version": text.version, "lang": text.lang.as_str(), "digest": digest });
        let cells = [text.version.as_str(), text.lang.as_str(), &digest];
        out.row(&COLUMNS, &json, &cells)?;
    }
    Ok(())
}

/// Records an acceptance.
///
/// # Errors
/// When there is no such account or version.
pub fn accept(
    config: &Config,
    store: &Store,
    (address, version): (&Address, &str),
    (how, lang): (How, Option<Lang>),
    out: &mut Output,
) -> Outcome {
    let account = super::account(store, address)?;
    let lang = lang.unwrap_or(account.lang);
    let text = texts(config)?
        .into_iter()
        .find(|text| text.version == version && text.lang == lang)
        .ok_or_else(|| Failure::is_false(format!("terms {version} in {lang} not found")))?;
    let accepted = Acceptance {
        version: text.version,
        lang,
        digest: text.digest,
        how,
    };
    let recorded = store.accept_terms(operator::actor(), address.clone(), accepted.clone());
    let evidence = recorded.wait()?.map(|id| id.to_string());
    let mut json = accepted_json(&(accepted.clone(), store.now()));
    json["account"] = json!(account.address.to_string());
    json["evidence"] = json!(evidence);
    out.document(&json, || {
        properties(&[
            ("account", Some(account.address.to_string())),
            ("terms", Some(accepted.version.clone())),
            ("text", Some(accepted.digest.tagged())),
            (
                "evidence",
                evidence.clone().or(Some("accepted before".into())),
            ),
        ])
    })
}

/// An acceptance as JSON.
pub fn accepted_json((accepted, time): &(Acceptance, Timestamp)) -> Value {
    json!({
        "version": accepted.version,
        "lang": accepted.lang.as_str(),
        "digest": accepted.digest.tagged(),
        "how": accepted.how.as_str(),
        "time": time.to_string(),
    })
}

/// An acceptance as text.
pub fn accepted_text((accepted, time): &(Acceptance, Timestamp)) -> String {
    properties(&[
        ("terms accepted", Some(accepted.version.clone())),
        ("how", Some(accepted.how.to_string())),
        ("text", Some(accepted.digest.tagged())),
        ("time", Some(time.to_string())),
    ])
}

fn texts(config: &Config) -> Outcome<Vec<Text>> {
    let Some(folder) = &config.register.terms else {
        let built_in = BUILT_IN.map(|(version, lang, text)| Text {
            version: version.to_owned(),
            lang,
            digest: Digest::of(text.as_bytes()),
        });
        return Ok(built_in.into());
    };
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))? {
        let path = entry.map_err(|e| Failure::file(folder, &e))?.path();
        if path.is_dir() {
            versions.push(path);
        }
    }
    versions.sort_unstable();
    let mut found = Vec::new();
    for version in versions {
        for lang in [Lang::Hy, Lang::Ru, Lang::En] {
            found.push(read(&version, lang)?);
        }
    }
    Ok(found)
}

fn read(folder: &Path, lang: Lang) -> Outcome<Text> {
    let path = folder.join(format!("{lang}.txt"));
    let failed = |e: std::io::Error| Failure::file(&path, &e);
    if fs::metadata(&path).map_err(failed)?.len() > TEXT_BYTES_MAX {
        let what = format!("{}: larger than {TEXT_BYTES_MAX} octets", path.display());
        return Err(Failure::could_not(what));
    }
    let name = folder.file_name().and_then(|name| name.to_str());
    Ok(Text {
        version: name
            .ok_or_else(|| Failure::could_not(format!("{}: no version", folder.display())))?
            .to_owned(),
        lang,
        digest: Digest::of(&fs::read(&path).map_err(failed)?),
    })
}
