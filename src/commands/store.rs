//! `knik store`: the store as a whole, moved to other engines.

use std::io::IsTerminal;

use serde_json::json;
use store::migrate::{Copied, Migration, Verified};

use crate::cli;
use crate::config::Config;
use crate::failure::{Failure, Outcome, chain};
use crate::output::{Output, properties};
use crate::serve::receiving::Receiving;

/// Runs one of its commands.
///
/// # Errors
/// Names what is wrong.
pub fn run(config: &Config, command: &cli::Store, out: &mut Output) -> Outcome {
    let cli::Store::Migrate(wanted) = command;
    let target = Config::read(&wanted.to)?;
    same_post(config, &target)?;
    // Nobody receives while the last pass runs; passes before it do not mind.
    let _alone = match wanted.finish {
        true => Some(Receiving::take(&config.data)?),
        false => None,
    };
    let _target_alone = (wanted.finish && target.data != config.data)
        .then(|| {
            std::fs::create_dir_all(&target.data).map_err(|e| Failure::file(&target.data, &e))?;
            Receiving::take(&target.data)
        })
        .transpose()?;
    let migration = Migration::open(&config.store_options()?, &target.store_options()?);
    let mut migration = migration
        .map_err(|e| Failure::could_not(format!("{}: {}", wanted.to.display(), chain(&e))))?;
    let shown = std::io::stderr().is_terminal();
    let mut progress = |what: &str, rows: u64| {
        if shown && rows > 0 {
            eprint!("\r\x1b[K{what} {rows}");
        }
    };
    if wanted.finish {
        let verified = migration.finish(&mut progress)?;
        finished(wanted, &verified, out)
    } else {
        let copied = migration.copy(&mut progress)?;
        passed(wanted, &copied, out)
    }
}

/// A target for another post, or another log, is a slip of the pen.
fn same_post(source: &Config, target: &Config) -> Outcome {
    for (key, one, other) in [
        ("domain", &source.domain, &target.domain),
        ("log.origin", &source.log.origin, &target.log.origin),
    ] {
        if one != other {
            return Err(Failure::could_not(format!(
                "{}: {key} is {other:?}, here it is {one:?}: both configurations must be of one post",
                target.file.display()
            )));
        }
    }
    if source.log.state != target.log.state {
        eprintln!(
            "knik: warning: log.state is {} there and {} here: the signer's memory must move with its key",
            target.log.state.display(),
            source.log.state.display()
        );
    }
    Ok(())
}

fn copied_json(copied: &Copied) -> serde_json::Value {
    json!({
        "rows": copied.rows,
        "rows_removed": copied.removed,
        "messages": copied.letters,
        "content_bytes": copied.content_bytes,
        "messages_verified": copied.verified,
    })
}

fn copied_lines(copied: &Copied) -> [(&'static str, Option<String>); 3] {
    let removed = copied.removed;
    [
        (
            "rows",
            Some(format!("{} copied, {removed} removed", copied.rows)),
        ),
        (
            "messages",
            Some(format!(
                "{} copied with {} octets",
                copied.letters, copied.content_bytes
            )),
        ),
        ("read back", Some(format!("{} messages", copied.verified))),
    ]
}

fn passed(wanted: &cli::Migrate, copied: &Copied, out: &mut Output) -> Outcome {
    let mut json = copied_json(copied);
    json["finished"] = json!(false);
    out.document(&json, || {
        let mut text = properties(&copied_lines(copied));
        text.push_str(&format!(
            "\nThe target is not in use. Again, as often as you like; then stop serve and run\n  \
             knik store migrate --to {} --finish\n",
            wanted.to.display()
        ));
        text
    })
}

fn finished(wanted: &cli::Migrate, verified: &Verified, out: &mut Output) -> Outcome {
    let tables: serde_json::Map<_, _> = verified
        .tables
        .iter()
        .map(|(name, fingerprint)| {
            let json = json!({ "rows": fingerprint.rows, "digest": fingerprint.hex() });
            ((*name).to_owned(), json)
        })
        .collect();
    let json = json!({
        "finished": true,
        "copied": copied_json(&verified.copied),
        "tables": tables,
        "events": verified.events,
        "root": verified.root.to_string(),
        "messages": verified.letters,
    });
    out.document(&json, || {
        let mut lines = copied_lines(&verified.copied).to_vec();
        lines.extend([
            (
                "tables alike",
                Some(format!(
                    "{} with {} rows",
                    verified.tables.len(),
                    verified.tables.iter().map(|(_, found)| found.rows).sum::<u64>()
                )),
            ),
            ("events alike", Some(verified.events.to_string())),
            ("root of the log", Some(verified.root.to_string())),
        ]);
        let to = wanted.to.display();
        format!(
            "{}\nThe store has moved; this one takes nothing more. Next:\n  knik --config {to} audit\n  \
             knik --config {to} serve\n",
            properties(&lines)
        )
    })
}
