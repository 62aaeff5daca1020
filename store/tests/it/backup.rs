use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use store::backup::manifest::Manifest;
use store::backup::restore::restore;
use store::erasure::Scope;
use store::held::Held;
use store::log::{Log, LogFiles};
use store::register::Account;
use store::{Options, Store, StoreError};

use crate::erasure::wish;
use crate::log::Signer;
use crate::pairing::{Pairing, copy_dir};
use crate::post::{DOMAIN, Post, letter, operator};

fn embedded(dir: &Path) -> Options {
    Options::embedded(dir.join("data"), "mx.post.test", DOMAIN)
}

fn deposit(post: &Post, account: &Account, name: &str, size: usize) -> Vec<u8> {
    let octets = letter(name, size);
    post.deposit(&octets, &[account]).unwrap();
    octets
}

/// Every file of a folder with its octets.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = files(&entry.path()).into_iter();
            found.extend(inner.map(|(file, octets)| (format!("{name}/{file}"), octets)));
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn restored(backup: &Path) -> (Store, tempfile::TempDir) {
    let there = tempfile::tempdir().unwrap();
    let options = embedded(there.path());
    restore(backup, &options).unwrap();
    (Store::open(options).unwrap(), there)
}

#[test]
fn a_second_backup_copies_what_is_new_and_both_come_back_whole() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    for (number, size) in [300, 40_000, 400_000].into_iter().enumerate() {
        deposit(&post, &account, &number.to_string(), size);
    }
    Log::open(&post.store).advance(&mut signer).unwrap();
    let to = tempfile::tempdir().unwrap();
    let first = post.store.backup(to.path()).unwrap();
    assert_eq!(first.manifest.counts.letters, 3);
    assert!(first.content_bytes_copied > first.manifest.counts.content_bytes);
    let old = tempfile::tempdir().unwrap();
    copy_dir(to.path(), old.path());

    let again = post.store.backup(to.path()).unwrap();
    assert_eq!((again.content_bytes_copied, again.manifest.number), (0, 2));
    deposit(&post, &account, "small", 5_000);
    deposit(&post, &account, "large", 500_000);
    let delta = post.store.backup(to.path()).unwrap();
    let new = delta.manifest.counts.content_bytes - first.manifest.counts.content_bytes;
    assert_eq!(delta.content_bytes_copied, new + 2 * 48);
    let names: Vec<String> = files(to.path()).into_keys().collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".db")).count(), 1);
    assert!(names.iter().all(|name| !name.contains("log")), "{names:?}");

    for (backup, made) in [(old.path(), &first), (to.path(), &delta)] {
        let (store, _dir) = restored(backup);
        assert_eq!(store.held().unwrap(), Some(Held::Restored));
        let report = store.audit().unwrap();
        assert_eq!(report.events, made.manifest.counts.events);
        assert_eq!(report.messages, made.manifest.counts.letters);
        assert_eq!(report.content_bytes, made.manifest.counts.content_bytes);
        let refused = store
            .log_in(operator(), account.id, Default::default())
            .wait();
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    }
    // The newer one is all that was signed for: the log goes on at once, into the segment that goes on too.
    let (store, _dir) = restored(to.path());
    let checkpoint = signer.last.as_ref().unwrap().checkpoint().clone();
    let files = LogFiles::of(&store);
    store.resume(operator(), &[checkpoint], &files).unwrap();
    post.store.close();
    let back = Post { store, ..post };
    deposit(&back, &account, "after", 6_000);
    Log::open(&back.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();
    back.store.audit().unwrap();
}

#[test]
fn a_backup_is_consistent_while_letters_come_in() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let to = tempfile::tempdir().unwrap();
    let (over, post) = (AtomicBool::new(false), &post);
    std::thread::scope(|scope| {
        for sender in 0..3 {
            let (over, account) = (&over, &account);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let size = [200, 9_000, 300_000][number % 3];
                    deposit(post, account, &format!("{sender}.{number}"), size);
                }
            });
        }
        for _ in 0..4 {
            let acknowledged = post.store.evidence_count().unwrap();
            let made = post.store.backup(to.path()).unwrap();
            assert!(made.manifest.counts.events >= acknowledged);
            let (store, _dir) = restored(to.path());
            assert_eq!(store.audit().unwrap().events, made.manifest.counts.events);
        }
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn what_a_cut_off_run_left_hurts_neither_the_backup_nor_the_next() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    deposit(&post, &account, "one", 5_000);
    let to = tempfile::tempdir().unwrap();
    post.store.backup(to.path()).unwrap();
    // As a kill leaves it: a database half written, octets behind the end of the segment, a letter nobody names, half a
    // manifest.
    let segment = to.path().join("content/000000000001.segment");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&segment)
        .unwrap();
    let end = file.metadata().unwrap().len();
    file.write_all_at(b"half a letter", end).unwrap();
    for name in [
        "knik-000002.db",
        "manifest.new",
        "content/000000000009.letter",
    ] {
        std::fs::write(to.path().join(name), "half").unwrap();
    }
    let (store, _dir) = restored(to.path());
    store.audit().unwrap();
    deposit(&post, &account, "two", 5_000);
    let made = post.store.backup(to.path()).unwrap();
    assert_eq!((made.manifest.number, made.rewritten), (2, 0));
    let names: Vec<String> = files(to.path()).into_keys().collect();
    assert_eq!(
        names,
        [
            "backup.lock",
            "content/000000000001.segment",
            "knik-000002.db",
            "manifest.json"
        ]
    );
    restored(to.path()).0.audit().unwrap();
}

#[test]
fn nothing_is_restored_over_a_store_or_from_what_is_not_whole() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    deposit(&post, &account, "one", 5_000);
    deposit(&post, &account, "two", 400_000);
    let to = tempfile::tempdir().unwrap();
    post.store.backup(to.path()).unwrap();
    let there = tempfile::tempdir().unwrap();
    let options = embedded(there.path());
    let refused = |from: &Path, options: &Options| restore(from, options).unwrap_err();

    let error = refused(to.path(), &embedded(post.home.dir.path()));
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    let error = refused(there.path(), &options).to_string();
    assert!(error.contains("no manifest.json"), "{error}");
    let mut other = options.clone();
    other.domain = "other.test".into();
    assert!(refused(to.path(), &other).to_string().contains("post.test"));
    std::fs::create_dir_all(there.path().join("data/content")).unwrap();
    std::fs::write(there.path().join("data/content/x"), "what is this").unwrap();
    let error = refused(to.path(), &options);
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    std::fs::remove_file(there.path().join("data/content/x")).unwrap();

    for (name, octets) in files(to.path()) {
        if name == "backup.lock" {
            continue;
        }
        let path = to.path().join(&name);
        let mut wrong = octets.clone();
        wrong[octets.len() / 2] ^= 1;
        for wrong in [&wrong[..], &octets[..octets.len() - 1], b""] {
            std::fs::write(&path, wrong).unwrap();
            // A digit of the manifest may be of no weight, such as one in the program's version.
            if name == "manifest.json" && Manifest::read(to.path()).is_ok() {
                continue;
            }
            let error = refused(to.path(), &options).to_string();
            assert!(!there.path().join("data/knik.db").exists());
            let file = name.rsplit('/').next().unwrap();
            assert!(error.contains(file), "{name}: {error}");
        }
        std::fs::remove_file(&path).unwrap();
        refused(to.path(), &options);
        std::fs::write(&path, octets).unwrap();
    }
    // After all that the place is still good for this backup.
    restore(to.path(), &options).unwrap();
    Store::open(options.clone()).unwrap().audit().unwrap();
    assert!(matches!(
        refused(to.path(), &options),
        StoreError::Exists(_)
    ));
}

#[test]
fn what_was_erased_leaves_the_backup_at_the_next_run() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let to = tempfile::tempdir().unwrap();
    let kept = deposit(&post, &account, "kept", 5_000);
    let gone: Vec<_> = [("small", 5_000), ("large", 400_000)]
        .into_iter()
        .map(|(name, size)| {
            let octets = letter(name, size);
            post.deposit(&octets, &[&account]).unwrap().message
        })
        .collect();
    deposit(&post, &account, "last", 5_000);
    post.store.backup(to.path()).unwrap();
    let found = |word: &str| {
        let holds = |octets: &Vec<u8>| octets.windows(word.len()).any(|at| at == word.as_bytes());
        files(to.path())
            .values()
            .filter(|octets| holds(octets))
            .count()
    };
    assert!(found("<small@agency.test>") > 0 && found("<large@agency.test>") > 0);
    for message in gone {
        post.store
            .erase(operator(), wish(message, Scope::Message))
            .wait()
            .unwrap();
    }
    // Whether the octets are destroyed in the store already or are still due there.
    let made = post.store.backup(to.path()).unwrap();
    assert_eq!((made.rewritten, made.manifest.counts.letters), (1, 2));
    assert_eq!(
        found("<small@agency.test>") + found("<large@agency.test>"),
        0
    );
    let (store, _dir) = restored(to.path());
    let report = store.audit().unwrap();
    assert_eq!((report.messages, report.erased_messages), (4, 2));
    assert_eq!(store.erasures_due().unwrap(), 0);
    assert!(found(std::str::from_utf8(&kept[..60]).unwrap()) > 0);
}

#[test]
fn a_letter_that_is_damaged_in_the_store_is_named_and_an_older_copy_of_it_kept() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let to = tempfile::tempdir().unwrap();
    let good = deposit(&post, &account, "old", 5_000);
    post.store.backup(to.path()).unwrap();
    deposit(&post, &account, "new", 5_000);
    let segment = post
        .home
        .dir
        .path()
        .join("data/content/000000000001.segment");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&segment)
        .unwrap();
    for offset in [1_000, 7_000] {
        file.write_all_at(b"\0\0\0", offset).unwrap();
    }
    let made = post.store.backup(to.path()).unwrap();
    assert_eq!(made.manifest.counts.damaged.len(), 1);
    assert_eq!(made.rewritten, 0);
    let (store, _dir) = restored(to.path());
    let found = store.audit().unwrap_err().to_string();
    assert!(found.contains(&made.manifest.counts.damaged[0]), "{found}");
    let saved = files(to.path())
        .remove("content/000000000001.segment")
        .unwrap();
    assert!(saved.windows(good.len()).any(|window| window == good));

    let stranger = Post::new(Pairing::SqliteSegments);
    stranger.account("1111111111");
    let error = stranger.store.backup(to.path()).unwrap_err().to_string();
    assert!(error.contains("another post"), "{error}");
}
