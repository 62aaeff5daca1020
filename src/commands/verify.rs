//! `knik verify`: bundles, evidence, proofs and receipt mails, checked offline. No store, no network, no configuration.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use receipts::anchors::Anchors;
use receipts::bundle::container::TOTAL_OCTETS_MAX;
use receipts::collection;
use receipts::event::Event;
use receipts::id::ContractId;
use receipts::tenure::{Answer, Tenure};
use receipts::verify::{Beside, Kind, Refutation, Report, neighbours, verify_file};
use serde_json::json;

use crate::cli::Verify;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::Output;

/// Where anchors are looked for when no file is named.
const ANCHORS: &str = "anchors.toml";

/// Octets of one file: what a bundle may unpack to, and its container's own.
const FILE_BYTES_MAX: u64 = TOTAL_OCTETS_MAX + 16 * 1024 * 1024;

/// Checks each file; the first that is false ends it.
///
/// # Errors
/// The refutation, or what cannot be read.
pub fn run(wanted: &Verify, out: &mut Output) -> Outcome {
    let anchors = anchors(wanted.anchors.as_deref())?;
    let message = wanted.message.as_deref().map(read).transpose()?;
    for path in &wanted.files {
        if is_collection(path)? {
            if message.is_some() {
                return Err(Failure::could_not(format!(
                    "{}: a collection has many letters: unpack it, and verify the one letter's bundle against --message",
                    path.display()
                )));
            }
            collected(path, &anchors, out)?;
            continue;
        }
        let report = check(path, &anchors, message.as_deref())?;
        let file = path.display().to_string();
        match report {
            Ok(report) => {
                let answers = tenures(&file, &report, wanted)?;
                say(&file, &report, &answers, out)?;
                if let Some(no) = refusal(&answers) {
                    return Err(Failure::is_false(format!("{file}: {no}")));
                }
            }
            Err(refutation) => return Err(refuted(&file, &refutation, out)?),
        }
    }
    Ok(())
}

/// What is trusted: the file that was named, else the one in this folder.
///
/// # Errors
/// Names the file.
pub fn anchors(given: Option<&Path>) -> Outcome<Anchors> {
    let path = given.unwrap_or(Path::new(ANCHORS));
    if given.is_none() && !path.exists() {
        return Err(Failure::could_not(format!(
            "nothing to trust: there is no ./{ANCHORS}; give --anchors FILE, from the operator by a way you trust"
        )));
    }
    keys::anchors(path)
}

/// One file: what it proves, or the one way in which it is false.
///
/// # Errors
/// When it cannot be read, or is of no kind that can be verified.
pub fn check(
    path: &Path,
    anchors: &Anchors,
    message: Option<&[u8]>,
) -> Outcome<Result<Report, Refutation>> {
    let unknown = || {
        Failure::could_not(format!(
            "{}: by its name neither a bundle (.zip) nor sealed evidence (.xml) nor a proof (.tlog-proof) nor a receipt mail (.eml)",
            path.display()
        ))
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(unknown)?;
    let kind = Kind::of(name).ok_or_else(unknown)?;
    let octets = read(path)?;
    let beside = if kind == Kind::Bundle {
        None
    } else {
        event_and_salt(path, name)
    };
    let beside = Beside {
        event: beside.as_ref().map(|(event, _)| event.as_slice()),
        salt: beside.as_ref().map(|(_, salt)| salt.as_slice()),
        message,
    };
    verify_file(name, &octets, anchors, beside).ok_or_else(unknown)
}

/// The event and its salt where they lie in an unpacked bundle, or beside the file.
fn event_and_salt(path: &Path, name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    let both = |(event, salt): (String, String)| {
        Some((
            read(&folder.join(event)).ok()?,
            read(&folder.join(salt)).ok()?,
        ))
    };
    neighbours(name).into_iter().find_map(both)
}

/// Whether it is all of one holder's bundles, and not one of them.
fn is_collection(path: &Path) -> Outcome<bool> {
    let is_zip = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("zip"));
    if !is_zip {
        return Ok(false);
    }
    let file = File::open(path).map_err(|e| Failure::file(path, &e))?;
    Ok(collection::is_collection(BufReader::new(file)))
}

/// Checks each bundle of a collection, and that the rest follows from them.
fn collected(path: &Path, anchors: &Anchors, out: &mut Output) -> Outcome {
    let open = || File::open(path).map_err(|e| Failure::file(path, &e));
    let file = path.display().to_string();
    let mut stamped = 0u64;
    let mut originals = 0u64;
    let verified = collection::verify(open()?, open()?, anchors, &mut |_, report| {
        stamped += u64::from(report.dated.iter().any(|dated| !dated.untrusted));
        originals += u64::from(report.original);
    });
    match verified {
        Ok(found) => {
            let json = json!({
                "verified": true, "file": file, "letters": found.letters, "account_bundles": found.account,
                "events": found.events, "originals": originals, "timestamped_bundles": stamped,
            });
            out.document(&json, || {
                format!(
                    "{file}: verified\n{} events hold: in the log, and sealed where they are about a letter\n\
                     {} letters, {} bundles of the account's own events; {originals} with the message; \
                     {stamped} bundles under a time-stamp of an authority you trust\n\
                     what one bundle proves and does not: unpack this file, and verify that bundle",
                    found.events, found.letters, found.account
                )
            })
        }
        Err(refuted) => {
            let file = format!("{file}: {}", refuted.entry);
            Err(self::refuted(&file, &refuted.refutation, out)?)
        }
    }
}

fn say(file: &str, report: &Report, answers: &[Answer], out: &mut Output) -> Outcome {
    let mut json = report.to_json();
    json["file"] = json!(file);
    if !answers.is_empty() {
        json["tenure"] = answers.iter().map(Answer::to_json).collect();
    }
    out.document(&json, || {
        let mut text = format!("{file}: verified\n{report}");
        for answer in answers {
            text.push_str(&format!("From these events alone:\n  {answer}\n"));
            let deciding: Vec<String> = answer.deciding.iter().map(ToString::to_string).collect();
            if !deciding.is_empty() {
                text.push_str(&format!("    decided by evidence {}\n", deciding.join(", ")));
            }
            text.push_str(match answer.closed {
                true => "    an event after that instant is shown: none before it was left out of the chain\n",
                false => "    no event after that instant is shown: a later one before it may have been left out\n",
            });
            text.push_str("    not shown: whether another contract had a narrower network with it\n");
        }
        text
    })
}

/// What the events of contracts in the file tell of the address that was asked for.
fn tenures(file: &str, report: &Report, wanted: &Verify) -> Outcome<Vec<Answer>> {
    let (Some(address), Some(at)) = (wanted.address, wanted.at) else {
        return Ok(Vec::new());
    };
    let events: Vec<&Event> = report
        .findings
        .iter()
        .filter_map(|finding| finding.shown.as_ref())
        .filter(|event| event.subject.message.is_none())
        .collect();
    let contracts: BTreeSet<ContractId> = events
        .iter()
        .filter_map(|event| event.subject.contract)
        .collect();
    if contracts.is_empty() {
        return Err(Failure::could_not(format!(
            "{file}: has no events of a contract, so --address cannot be answered"
        )));
    }
    let answer = |contract: ContractId| {
        let tenure = Tenure::replay(contract, events.iter().copied())
            .map_err(|e| Failure::doing(file, &e))?;
        Ok(tenure.holds(address, at.0))
    };
    contracts.into_iter().map(answer).collect()
}

/// Why the answer is no, if it is.
fn refusal(answers: &[Answer]) -> Option<&Answer> {
    answers
        .first()
        .filter(|_| !answers.iter().any(Answer::held))
}

fn refuted(file: &str, refutation: &Refutation, out: &mut Output) -> Outcome<Failure> {
    if out.json() {
        let json = json!({
            "verified": false,
            "file": file,
            "refutation": refutation.word(),
            "at": refutation.file(),
            "what": crate::failure::chain(refutation),
        });
        out.document(&json, String::new)?;
    }
    Ok(Failure::is_false(format!(
        "{file}: refuted: {}",
        crate::failure::chain(refutation)
    )))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let fault = |e: std::io::Error| Failure::file(path, &e);
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut octets))
        .map_err(fault)?;
    if octets.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::could_not(format!(
            "{}: larger than {FILE_BYTES_MAX} octets",
            path.display()
        )));
    }
    Ok(octets)
}
