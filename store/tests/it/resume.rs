use std::path::Path;

use receipts::checkpoint::Checkpoint;
use receipts::event::EventName;
use receipts::merkle::leaf_hash;
use receipts::monitor::look;
use store::evidence::Query;
use store::held::Held;
use store::log::{Log, LogError, LogFiles};
use store::register::Account;
use store::resume::{ResumeError, Resumed, mark_restored};
use store::{Store, StoreError};

use crate::log::Signer;
use crate::pairing::{Pairing, copy_dir, every_pairing};
use crate::post::{Post, letter, new_contract, operator};

every_pairing! {
    lost_numbers_stay_in_the_log_and_it_goes_on_without_a_fork,
    events_under_numbers_that_were_given_out_move_behind_them,
    a_store_that_is_whole_is_opened_again_and_says_that_it_was_restored,
    what_cannot_be_proved_changes_nothing,
}

/// A post of which a copy was made, that lived on and was lost, with its log outside.
struct Lost {
    signer: Signer,
    /// Where the log's files survived.
    mirror: tempfile::TempDir,
    /// What was signed when the copy was made.
    seen: Option<receipts::checkpoint::SignedCheckpoint>,
    account: Account,
    restored: Post,
    /// Letters after the copy.
    after: u64,
}

fn advance(store: &Store, signer: &mut Signer) {
    Log::open(store).advance(signer).unwrap();
}

fn lose(pairing: Pairing, before: u64, after: u64) -> Lost {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    for number in 0..before {
        post.deposit(&letter(&format!("b{number}"), 300), &[&account])
            .unwrap();
    }
    advance(&post.store, &mut signer);
    let seen = signer.last.clone();
    post.store.close();
    let Post {
        store,
        home,
        contract,
    } = post;
    drop(store);
    let (old, mirror) = (home.copy(), tempfile::tempdir().unwrap());
    std::fs::remove_dir_all(old.dir.path().join("data/log")).unwrap();

    let newer = Post {
        store: home.open(),
        home,
        contract,
    };
    for number in 0..after {
        newer
            .deposit(&letter(&format!("a{number}"), 300), &[&account])
            .unwrap();
    }
    advance(&newer.store, &mut signer);
    copy_dir(&newer.home.dir.path().join("data/log"), mirror.path());
    let restored = Post {
        store: old.open(),
        contract: newer.contract.clone(),
        home: old,
    };
    Lost {
        signer,
        mirror,
        seen,
        account,
        restored,
        after,
    }
}

impl Lost {
    fn signed(&self) -> Checkpoint {
        self.signer.last.as_ref().unwrap().checkpoint().clone()
    }

    fn resume(&self) -> Result<Resumed, ResumeError> {
        let source = LogFiles::at(self.mirror.path());
        self.restored
            .store
            .resume(operator(), &[self.signed()], &source)
    }

    /// What a monitor sees that looked before the copy was made, and what one that looked last before the loss.
    fn looks(&self, last: &receipts::checkpoint::SignedCheckpoint) {
        let files = LogFiles::of(&self.restored.store);
        let keys = [self.signer.last.as_ref().unwrap().log().clone()];
        let note = std::fs::read(files.dir().join("checkpoint")).unwrap();
        for before in [None, self.seen.as_ref(), Some(last)] {
            look(before, &note, &keys, &files, 1_000_000).unwrap();
        }
    }
}

fn lost_numbers_stay_in_the_log_and_it_goes_on_without_a_fork(pairing: Pairing) {
    for (before, after) in [(3, 2), (140, 300), (127, 1)] {
        let mut lost = lose(pairing, before, after);
        let store = lost.restored.store.clone();
        let signed = lost.signer.last.clone().unwrap();
        let behind = Log::open(&store).advance(&mut lost.signer).unwrap_err();
        assert!(behind.to_string().contains("knik log resume"), "{behind}");
        mark_restored(&store).unwrap();
        assert_eq!(store.held().unwrap(), Some(Held::Restored));
        let refused = lost.restored.deposit(&letter("x", 200), &[&lost.account]);
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        let uid_validity = |lost: &Lost| {
            let inbox = lost.restored.store.mailbox(lost.account.id, "INBOX");
            inbox.unwrap().unwrap().uid_validity
        };
        let old = uid_validity(&lost);

        let resumed = lost.resume().unwrap();
        let (kept, size) = (2 + 2 * before, 2 + 2 * before + 2 * after);
        assert_eq!(
            (resumed.kept, resumed.lost, resumed.moved),
            (kept, Some((kept + 1, size)), 0)
        );
        assert!(uid_validity(&lost) > old + 1_000_000);
        assert!(matches!(lost.resume(), Err(ResumeError::Nothing { .. })));
        lost.restored
            .deposit(&letter("new", 200), &[&lost.account])
            .unwrap();
        assert_eq!(store.evidence_count().unwrap(), size + 3);
        advance(&store, &mut lost.signer);
        let report = store.audit().unwrap();
        assert_eq!(
            (report.lost, report.events, report.published),
            (2 * lost.after, kept + 3, size + 3)
        );
        lost.looks(&signed);
        let restored = Query {
            event: Some(EventName::StoreRestored),
            ..Query::default()
        };
        let said = &lost.restored.records(&restored)[0];
        assert_eq!(said.event.details["lost"]["last"], size);
        assert_eq!(said.ordinal, size + 1);
    }
}

fn events_under_numbers_that_were_given_out_move_behind_them(pairing: Pairing) {
    let mut lost = lose(pairing, 5, 4);
    let store = lost.restored.store.clone();
    let signed = lost.signer.last.clone().unwrap();
    // Nobody noticed: the old copy took letters, more than were lost, and owes receipts for them.
    for number in 0..6 {
        lost.restored
            .deposit(&letter(&format!("c{number}"), 300), &[&lost.account])
            .unwrap();
    }
    let fork = Log::open(&store).advance(&mut lost.signer).unwrap_err();
    assert!(matches!(fork, LogError::Fork { .. }), "{fork}");
    let resumed = lost.resume().unwrap();
    assert_eq!(
        (resumed.kept, resumed.lost, resumed.moved),
        (12, Some((13, 20)), 12)
    );
    advance(&store, &mut lost.signer);
    let report = store.audit().unwrap();
    assert_eq!((report.lost, report.events), (8, 25));
    lost.looks(&signed);
    assert_eq!(store.evidence_count().unwrap(), 33);
    // It happens again, from the same old log: the lost numbers of the first time are leaves like any other.
    lost.restored
        .deposit(&letter("d", 300), &[&lost.account])
        .unwrap();
    advance(&store, &mut lost.signer);
    store.audit().unwrap();
}

fn a_store_that_is_whole_is_opened_again_and_says_that_it_was_restored(pairing: Pairing) {
    let post = Post::new(pairing);
    post.account("1111111111");
    let mut signer = Signer::new();
    advance(&post.store, &mut signer);
    mark_restored(&post.store).unwrap();
    let checkpoint = signer.last.as_ref().unwrap().checkpoint().clone();
    let files = LogFiles::of(&post.store);
    let resumed = post
        .store
        .resume(operator(), &[checkpoint], &files)
        .unwrap();
    assert_eq!((resumed.kept, resumed.lost, resumed.moved), (2, None, 0));
    assert_eq!(post.store.held().unwrap(), None);
    advance(&post.store, &mut signer);
    post.store.audit().unwrap();
}

fn what_cannot_be_proved_changes_nothing(pairing: Pairing) {
    let lost = lose(pairing, 130, 130);
    let store = &lost.restored.store;
    let count = store.evidence_count().unwrap();
    // Entries that are not there, damaged, or of another log.
    let entries = lost.mirror.path().join("tile/entries");
    let bundle = entries.join("001");
    let whole = std::fs::read(&bundle).unwrap();
    std::fs::remove_file(&bundle).unwrap();
    let error = lost.resume().unwrap_err();
    assert!(
        matches!(
            &error,
            ResumeError::Leaves {
                first: 263,
                last: 522,
                ..
            }
        ),
        "{error}"
    );
    let mut other = whole.clone();
    other[34 * 100 + 7] ^= 1;
    for (octets, what) in [
        (&whole[..whole.len() - 1], "damaged"),
        (&other, "do not lead"),
    ] {
        std::fs::write(&bundle, octets).unwrap();
        let error = lost.resume().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    std::fs::write(&bundle, &whole).unwrap();

    let stranger = Post::new(pairing);
    for number in 0..3 {
        let contract = new_contract("Other", &format!("10.0.0.{number}/32"));
        stranger
            .store
            .add_contract(operator(), contract)
            .wait()
            .unwrap();
    }
    let source = LogFiles::at(lost.mirror.path());
    let error = stranger
        .store
        .resume(operator(), &[lost.signed()], &source)
        .unwrap_err();
    assert!(matches!(error, ResumeError::OtherLog), "{error}");
    // A checkpoint that another history has signed.
    let mut forged = lost.signed();
    (forged.size, forged.root) = (200, leaf_hash(b"another"));
    let error = store
        .resume(operator(), &[lost.signed(), forged], &source)
        .unwrap_err();
    assert!(matches!(error, ResumeError::Fork { size: 200 }), "{error}");
    assert_eq!(store.evidence_count().unwrap(), count);
    lost.resume().unwrap();
}

#[test]
fn a_lost_number_that_no_event_names_is_found() {
    let mut lost = lose(Pairing::SqliteSegments, 3, 2);
    lost.resume().unwrap();
    advance(&lost.restored.store, &mut lost.signer);
    let dir = lost.restored.home.dir.path().join("data");
    let run = |statement: &str| edit(&dir, statement);
    run("UPDATE lost SET leaf = zeroblob(32) WHERE ordinal = 10");
    let found = lost.restored.store.audit().unwrap_err().to_string();
    assert!(found.contains("root"), "{found}");
    run("DELETE FROM lost WHERE ordinal = 10");
    let found = lost.restored.store.audit().unwrap_err().to_string();
    assert!(found.contains("number 10 is missing"), "{found}");
    run("INSERT INTO lost (ordinal, leaf) SELECT 10, leaf FROM evidence WHERE ordinal = 8");
    run("DELETE FROM evidence WHERE ordinal = 8");
    assert!(lost.restored.store.audit().is_err());
}

fn edit(data: &Path, statement: &str) {
    use store::sql::Engine;
    let engine = store::sqlite::Sqlite::open(&data.join("knik.db")).unwrap();
    let mut writer = engine.writer().unwrap();
    writer.begin().unwrap();
    writer.sql().run(statement, &[]).unwrap();
    writer.commit().unwrap();
}
