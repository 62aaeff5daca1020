//! A store of many letters: how the rate of deposits fares, how long it takes to start, also after a crash, to open its
//! largest mailbox, and to audit everything.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use store::options::Database;

use super::house::{House, Until};
use super::{Figures, tempdir};
use crate::bench::process::Process;
use crate::cli::bench::BenchStore;
use crate::failure::{Failure, Outcome};

/// A short notice: the index grows, not the disk.
const LETTER_BYTES: usize = 2 << 10;
/// Senders at once.
const SENDERS: usize = 50;
/// One letter in so many goes to the first account: a fifth of all lie in one mailbox.
const LARGE_SHARE: u64 = 5;
/// Letters for each account.
const LETTERS_PER_ACCOUNT: u64 = 10;
/// Steps in which the store is filled; the first and the last are compared.
const STEPS: u64 = 10;

/// Fills a store and measures it.
///
/// # Errors
/// What could not be done.
pub fn measure(bench: &BenchStore, figures: &mut Figures<'_>) -> Outcome {
    let dir = tempdir(bench)?;
    fill(bench, &dir.0, figures)?;
    start(&dir.0, "start after a clean end", figures)?;
    crash(bench, &dir.0)?;
    start(&dir.0, "start after kill -9 under load", figures)?;
    let house = House::open(&dir.0, Database::Sqlite)?;
    read(&house, figures)?;
    audit(&house, figures)
}

/// Letters until there are `bench.messages()`, a fifth of them in one mailbox.
fn fill(bench: &BenchStore, dir: &Path, figures: &mut Figures<'_>) -> Outcome {
    let mut house = House::open(dir, Database::Sqlite)?;
    let messages = bench.messages();
    house.add_accounts((messages / LETTERS_PER_ACCOUNT).max(2) as usize)?;
    let process = Process::new(std::process::id());
    let mut first = None;
    for step in 1..=STEPS {
        let done = deposit(&house, messages / STEPS)?;
        let first = *first.get_or_insert(done);
        let what = format!("deposits, step {step} of {STEPS} to {messages} letters");
        figures.say(&what, done, "/s")?;
        if step == STEPS {
            figures.say("the last step beside the first", done / first, "x")?;
        }
        if step == 1 || step == STEPS {
            let name = format!("resident memory after step {step}");
            figures.say(&name, process.resident_kib()? / 1024.0, "MiB")?;
        }
    }
    house.store.close();
    Ok(())
}

fn deposit(house: &House, letters: u64) -> Outcome<f64> {
    let others = house.accounts.len() as u64 - 1;
    let choose = move |number: u64| {
        if number.is_multiple_of(LARGE_SHARE) {
            return 0;
        }
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        1 + (mixed % others) as usize
    };
    let done = house.run_to(LETTER_BYTES, SENDERS, Until::Letters(letters), &choose)?;
    Ok(done.rate)
}

fn start(dir: &Path, what: &str, figures: &mut Figures<'_>) -> Outcome {
    let begin = Instant::now();
    let house = House::open(dir, Database::Sqlite)?;
    figures.say(what, begin.elapsed().as_secs_f64() * 1000.0, "ms")?;
    house.store.close();
    Ok(())
}

/// Another process deposits into the store until it is killed.
fn crash(bench: &BenchStore, dir: &Path) -> Outcome {
    let program =
        std::env::current_exe().map_err(|e| Failure::doing("finding this program", &e))?;
    let child = Command::new(program)
        .args(["bench", "store", "--deposit-into"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.map_err(|e| Failure::doing("starting another process", &e))?;
    // Opening takes a part of it; the rest fills the WAL.
    std::thread::sleep(bench.run_time() + Duration::from_secs(3));
    let killed = child.kill().and_then(|()| child.wait());
    killed
        .map(drop)
        .map_err(|e| Failure::doing("killing it", &e))
}

/// What the process that is killed does.
///
/// # Errors
/// What could not be done.
pub fn deposit_for_ever(dir: &Path) -> Outcome {
    let mut house = House::open(dir, Database::Sqlite)?;
    house.add_accounts(1000)?;
    loop {
        deposit(&house, 1000)?;
    }
}

fn read(house: &House, figures: &mut Figures<'_>) -> Outcome {
    let address = mail::Address::parse("0000000000@post.example");
    let address = address.map_err(|e| Failure::doing("an address", &e))?;
    let there = house.store.account_for(&address)?;
    let account = there.ok_or_else(|| Failure::could_not("the account is gone"))?;
    let inbox = house.store.mailbox(account.id, "INBOX")?;
    let inbox = inbox.ok_or_else(|| Failure::could_not("the mailbox is gone"))?;
    for again in ["", ", again"] {
        let begin = Instant::now();
        let snapshot = house.store.snapshot(inbox.id)?;
        let what = format!(
            "opening a mailbox of {} letters{again}",
            snapshot.entries.len()
        );
        figures.say(&what, begin.elapsed().as_secs_f64() * 1000.0, "ms")?;
        let begin = Instant::now();
        house.store.status(inbox.id)?;
        let what = format!("its STATUS{again}");
        figures.say(&what, begin.elapsed().as_secs_f64() * 1000.0, "ms")?;
    }
    Ok(())
}

fn audit(house: &House, figures: &mut Figures<'_>) -> Outcome {
    let begin = Instant::now();
    let report = house
        .store
        .audit()
        .map_err(|e| Failure::doing("the audit", &e))?;
    let seconds = begin.elapsed().as_secs_f64();
    figures.say("audit: events", report.events as f64 / seconds, "/s")?;
    figures.say(
        "audit: content",
        report.content_bytes as f64 / 1e6 / seconds,
        "MB/s",
    )?;
    if let Some(mb) = openssl_sha256() {
        figures.say("openssl speed sha256, 16 KiB blocks, one core", mb, "MB/s")?;
    }
    Ok(())
}

/// What OpenSSL says of itself, if it is there: the last column of its last line is thousands of octets a second.
fn openssl_sha256() -> Option<f64> {
    let mut command = Command::new("openssl");
    command.args([
        "speed", "-seconds", "1", "-bytes", "16384", "-evp", "sha256",
    ]);
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let last = text.lines().last()?.split_whitespace().last()?.to_owned();
    last.strip_suffix('k')?
        .parse::<f64>()
        .ok()
        .map(|k| k / 1000.0)
}
