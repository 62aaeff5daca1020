use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use receipts::checkpoint::{Checkpoint, SignedCheckpoint};
use receipts::merkle::{Hash, verify_consistency};
use receipts::note::{Note, SigningKey};
use store::log::{CheckpointSigner, Log, LogError};
use store::stamps::Stamp;
use store::{Options, Store};

use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::{Post, letter, operator};

every_pairing! {
    evidence_is_published_and_every_event_is_proved,
    lost_or_damaged_tiles_are_written_again_from_the_evidence,
    a_restored_backup_never_forks_the_log,
    receiving_goes_on_when_the_clock_is_set_back_but_nothing_is_signed,
    an_earlier_stamped_checkpoint_still_proves_what_is_under_it,
}

pub struct Signer {
    pub key: SigningKey,
    pub last: Option<SignedCheckpoint>,
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

fn evidence_is_published_and_every_event_is_proved(pairing: Pairing) {
    let post = Post::new(pairing);
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

fn lost_or_damaged_tiles_are_written_again_from_the_evidence(pairing: Pairing) {
    let post = Post::new(pairing);
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
    let dir = post.home.dir.path().join("data/log");
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

fn a_restored_backup_never_forks_the_log(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let mut signer = Signer::new();
    post.deposit(&letter("a", 200), &[&account]).unwrap();
    Log::open(&post.store).advance(&mut signer).unwrap();
    let Post { store, home, .. } = post;
    store.close();
    drop(store);
    let old = home.copy();

    let store = home.open();
    let contract = post.contract;
    let newer = Post {
        store,
        home,
        contract,
    };
    newer.deposit(&letter("b", 200), &[&account]).unwrap();
    newer.deposit(&letter("c", 200), &[&account]).unwrap();
    Log::open(&newer.store)
        .advance(&mut signer)
        .unwrap()
        .unwrap();

    let restored = old.open();
    let behind = Log::open(&restored).advance(&mut signer).unwrap_err();
    assert!(matches!(behind, LogError::Behind { .. }), "{behind}");
    for n in 0..6 {
        let new = crate::post::new_contract("Fork", &format!("10.0.0.{n}/32"));
        restored.add_contract(operator(), new).wait().unwrap();
    }
    let fork = Log::open(&restored).advance(&mut signer).unwrap_err();
    assert!(matches!(fork, LogError::Fork { .. }), "{fork}");
}

fn receiving_goes_on_when_the_clock_is_set_back_but_nothing_is_signed(pairing: Pairing) {
    let home = Home::new(pairing);
    let wall = Arc::new(AtomicI64::new(1_795_000_000_000));
    let source = Arc::clone(&wall);
    let store = Store::open(Options {
        clock: Some(Arc::new(move || source.load(Ordering::SeqCst))),
        ..home.options()
    })
    .unwrap();
    let post = Post::over(home, store);
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

fn an_earlier_stamped_checkpoint_still_proves_what_is_under_it(pairing: Pairing) {
    let post = Post::new(pairing);
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
