use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::{Hash, verify_consistency};
use receipts::note::{Note, SigningKey};
use store::log::{CheckpointSigner, Log, LogError};
use store::stamps::Stamp;
use store::{Options, Store};

use crate::post::{Post, letter, open, operator};

pub struct Signer {
    key: SigningKey,
    last: Option<SignedCheckpoint>,
}

impl Signer {
    pub fn new() -> Self {
        Self {
            key: SigningKey::from_seed("post.test/log", &[7; 32]).unwrap(),
            last: None,
        }
    }
}

impl CheckpointSigner for Signer {
    fn origin(&self) -> &str {
        "post.test/log"
    }
    fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }
    fn sign(
        &mut self,
        next: &Checkpoint,
        proof: &[Hash],
    ) -> Result<SignedCheckpoint, Box<dyn Error + Send + Sync>> {
        if let Some(last) = &self.last {
            let old = last.checkpoint();
            verify_consistency((old.size, &old.root), (next.size, &next.root), proof)?;
        }
        let signed = next.sign(&self.key)?;
        self.last = Some(signed.clone());
        Ok(signed)
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn evidence_is_published_and_every_event_is_proved() {
    let post = Post::new();
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    let mut log = Log::open(&post.store);
    assert!(matches!(
        log.files().proof(0),
        Err(LogError::Beyond { published: 0, .. })
    ));
    let mut sizes = Vec::new();
    for n in 0..4 {
        for m in 0..70 {
            post.deposit(&letter(&format!("{n}-{m}"), 200), &[&account])
                .unwrap();
        }
        let checkpoint = log.advance(&mut signer).unwrap().unwrap();
        sizes.push(checkpoint.checkpoint().size);
        assert!(log.advance(&mut signer).unwrap().is_none());
    }
    assert_eq!(sizes.last(), Some(&(2 + 4 * 140)));
    for record in post.records(&store::evidence::Query::default()) {
        let proof = log.files().proof(record.log_index()).unwrap();
        let key = signer.last.as_ref().unwrap().log().clone();
        proof.verify(&record.leaf, &[key]).unwrap();
    }
    log.files().consistency(sizes[0], sizes[3]).unwrap();
    let report = post.store.audit().unwrap();
    assert_eq!(report.published, report.events);
}

#[test]
fn lost_or_damaged_tiles_are_written_again_from_the_evidence() {
    let post = Post::new();
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    for n in 0..150 {
        post.deposit(&letter(&n.to_string(), 200), &[&account])
            .unwrap();
    }
    Log::open(&post.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();
    let dir = post.dir.path().join("data/log");
    fs::remove_file(dir.join("tile/0/000")).unwrap();
    fs::remove_file(dir.join("checkpoint")).unwrap();
    assert!(
        Log::open(&post.store)
            .advance(&mut signer)
            .unwrap()
            .is_none()
    );
    post.store.audit().unwrap();
    let partial = fs::read_dir(dir.join("tile/0/001.p"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let mut octets = fs::read(partial.path()).unwrap();
    octets[5] ^= 1;
    fs::write(partial.path(), octets).unwrap();
    assert!(post.store.audit().is_err(), "a damaged tile is found");
    post.deposit(&letter("more", 200), &[&account]).unwrap();
    Log::open(&post.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();
    post.store.audit().unwrap();
}

#[test]
fn a_restored_backup_never_forks_the_log() {
    let post = Post::new();
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    post.deposit(&letter("a", 200), &[&account]).unwrap();
    Log::open(&post.store).advance(&mut signer).unwrap();
    post.store.close();
    let old = tempfile::tempdir().unwrap();
    copy_dir(post.dir.path(), old.path());

    let store = open(post.dir.path());
    let newer = Post { store, ..post };
    newer.deposit(&letter("b", 200), &[&account]).unwrap();
    newer.deposit(&letter("c", 200), &[&account]).unwrap();
    Log::open(&newer.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();

    let restored = open(old.path());
    let behind = Log::open(&restored).advance(&mut signer).unwrap_err();
    assert!(matches!(behind, LogError::Behind { .. }), "{behind}");
    for n in 0..6 {
        let new = crate::post::new_contract("Fork", &format!("10.0.0.{n}/32"));
        restored.add_contract(operator(), new).wait().unwrap();
    }
    let fork = Log::open(&restored).advance(&mut signer).unwrap_err();
    assert!(matches!(fork, LogError::Fork { .. }), "{fork}");
}

#[test]
fn receiving_goes_on_when_the_clock_is_set_back_but_nothing_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Arc::new(AtomicI64::new(1_795_000_000_000));
    let source = Arc::clone(&wall);
    let store = Store::open(Options {
        clock: Some(Arc::new(move || source.load(Ordering::SeqCst))),
        ..Options::embedded(dir.path().join("data"), "mx.post.test", crate::post::DOMAIN)
    })
    .unwrap();
    let (contract, _) = store
        .add_contract(
            operator(),
            crate::post::new_contract("Agency", "127.0.0.2/32"),
        )
        .wait()
        .unwrap();
    let post = Post {
        store,
        contract,
        dir,
    };
    let account = post.account("1111111111");
    wall.fetch_sub(3_600_000, Ordering::SeqCst);
    post.deposit(&letter("held", 200), &[&account]).unwrap();
    let records = post.records(&store::evidence::Query::default());
    let clocks: Vec<_> = records
        .iter()
        .filter_map(|r| r.event.clock)
        .map(|c| c.as_str())
        .collect();
    assert_eq!(clocks, ["synced", "synced", "held", "held"]);
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].event.time <= pair[1].event.time)
    );
    let mut signer = Signer::new();
    assert!(
        Log::open(&post.store)
            .advance(&mut signer)
            .unwrap()
            .is_none()
    );
    post.store.audit().unwrap();
}

#[test]
fn an_earlier_stamped_checkpoint_still_proves_what_is_under_it() {
    let post = Post::new();
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    let mut log = Log::open(&post.store);
    let mut stamped = Vec::new();
    for n in 0..400 {
        post.deposit(&letter(&n.to_string(), 200), &[&account])
            .unwrap();
        if n % 130 == 0 {
            let checkpoint = log.advance(&mut signer).unwrap().unwrap();
            let stamp = Stamp {
                size: checkpoint.checkpoint().size,
                checkpoint: checkpoint.own_file().into_bytes(),
                token: vec![1, 2, 3],
                time: post.store.now(),
            };
            post.store.keep_stamp(stamp.clone()).wait().unwrap();
            stamped.push(stamp);
        }
    }
    log.advance(&mut signer).unwrap().unwrap();
    assert_eq!(post.store.last_stamp().unwrap().as_ref(), stamped.last());
    let key = signer.last.as_ref().unwrap().log().clone();
    for record in post.records(&store::evidence::Query::default()) {
        let over = post.store.stamp_over(record.log_index()).unwrap();
        let expected = stamped.iter().find(|stamp| stamp.size > record.log_index());
        assert_eq!(over.as_ref(), expected);
        if let Some(stamp) = over {
            let note = Note::parse(&stamp.checkpoint).unwrap();
            let proof = log.files().proof_under(record.log_index(), note).unwrap();
            let proved = proof
                .verify(&record.leaf, std::slice::from_ref(&key))
                .unwrap();
            assert_eq!(proved.checkpoint.checkpoint().size, stamp.size);
        }
    }
}
