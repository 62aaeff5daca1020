use std::fs;
use std::path::Path;

use receipts::event::EventName;
use receipts::leaf::LeafData;
use store::erasure::retention::{Position, Rules};
use store::erasure::{Cause, Erasure, Outcome, Plan, Scope, Wish};
use store::evidence::{Entry, Query};
use store::log::Log;
use store::mailboxes::MailboxId;
use store::register::Account;
use store::{MessageId, StoreError};

use crate::log::Signer;
use crate::pairing::Pairing;
use crate::post::{Post, operator};
use crate::reading::{acknowledge, disclose};

fn wish(message: MessageId, scope: Scope) -> Wish {
    Wish {
        message,
        scope,
        recipient: None,
        cause: Cause::Court,
        why: "decision 17/2026".into(),
    }
}

fn erase(post: &Post, wish: Wish) -> (Erasure, Plan) {
    match post.store.erase(operator(), wish).wait().unwrap() {
        Outcome::Done { erasure, plan } => (erasure, plan),
        Outcome::Already(erasure) => panic!("erased already: {erasure:?}"),
    }
}

/// Every file under the directory in which these octets stand.
fn files_with(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if fs::read(&path)
            .unwrap()
            .windows(wanted.len())
            .any(|window| window == wanted)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

fn uids(post: &Post, mailbox: MailboxId) -> Vec<u32> {
    let snapshot = post.store.snapshot(mailbox).unwrap();
    snapshot.entries.iter().map(|entry| entry.uid).collect()
}

/// A letter whose subject and body can be looked for in raw files.
fn marked(id: &str) -> Vec<u8> {
    let mut octets = format!(
        "From: notice@agency.test\r\nSubject: Subject-{id}-Marker\r\nMessage-ID: <{id}@agency.test>\r\n\r\n"
    )
    .into_bytes();
    octets.extend_from_slice(format!("Body-{id}-Marker\r\n").repeat(40).as_bytes());
    octets
}

/// A letter to one holder that was read, among others that stay.
struct Read {
    post: Post,
    account: Account,
    message: MessageId,
    leaves: Vec<LeafData>,
}

fn read_letter() -> Read {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    let message = post.deposit(&marked("gone"), &[&account]).unwrap().message;
    for n in 0..20 {
        post.deposit(&marked(&format!("stays{n}")), &[&account])
            .unwrap();
    }
    let disclosure = disclose(&post, &account, true);
    acknowledge(&post, &account, disclosure, 0..marked("gone").len() as u64);
    let entries = post.store.chains_of_message(message).unwrap();
    let leaves = entries.iter().map(Entry::leaf).collect();
    Read {
        post,
        account,
        message,
        leaves,
    }
}

#[test]
fn what_was_erased_is_nowhere_on_the_disk_and_its_leaves_stay() {
    let Read {
        post,
        account,
        message,
        leaves,
    } = read_letter();
    let data = post.home.dir.path().join("data");
    let salts: Vec<[u8; 32]> = post
        .chains(message)
        .iter()
        .map(|record| *record.salt.as_bytes())
        .collect();
    let digest = post.chains(message)[0].event.subject.digest.unwrap();
    let mut signer = Signer::new();
    let mut log = Log::open(&post.store);
    log.advance(&mut signer).unwrap().unwrap();
    let mut secrets: Vec<Vec<u8>> = [
        "Subject-gone-Marker",
        "Body-gone-Marker",
        "gone@agency.test",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    secrets.extend(salts.iter().map(|salt| salt.to_vec()));
    secrets.push(digest.as_bytes().to_vec());
    for secret in &secrets {
        assert!(!files_with(&data, secret).is_empty(), "{secret:?}");
    }

    let (erasure, plan) = erase(&post, wish(message, Scope::Message));
    assert_eq!((plan.placements, plan.recipients), (1, 1));
    assert_eq!(plan.events as usize, leaves.len());
    assert_eq!(plan.content_bytes, marked("gone").len() as u64);
    assert_eq!(post.store.erasures_due().unwrap(), 1);
    assert_eq!(post.store.destroy_due(10).unwrap().done, 1);
    assert!(
        post.store
            .erasure(erasure.id)
            .unwrap()
            .unwrap()
            .done
            .is_some()
    );
    for secret in &secrets {
        assert_eq!(
            files_with(&data, secret),
            [""; 0],
            "{}",
            String::from_utf8_lossy(secret)
        );
    }
    // The others are there.
    assert!(!files_with(&data, b"Body-stays7-Marker").is_empty());
    assert_eq!(uids(&post, post.inbox(&account)).len(), 20);

    let entries = post.store.chains_of_message(message).unwrap();
    let (kept, gone): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| matches!(entry, Entry::Whole(_)));
    let left: Vec<LeafData> = gone.iter().map(Entry::leaf).collect();
    assert_eq!(left, leaves);
    let [Entry::Whole(removed)] = &kept[..] else {
        panic!("one event stays: {kept:?}");
    };
    assert_eq!(removed.event.event, EventName::Removed);
    assert_eq!(removed.event.id, erasure.removed);
    assert_eq!(removed.event.prev, Some(leaves[0]));
    let said = String::from_utf8(removed.canonical.clone()).unwrap();
    for personal in ["1111111111", "agency.test>", &digest.tagged()] {
        assert!(!said.contains(personal), "{said}");
    }

    log.advance(&mut signer).unwrap().unwrap();
    let report = post.store.audit().unwrap();
    assert_eq!(report.erased_events as usize, leaves.len());
    assert_eq!(report.erased_messages, 1);
    assert!(matches!(
        post.store.erase(operator(), wish(message, Scope::Message)).wait(),
        Ok(Outcome::Already(again)) if again.id == erasure.id
    ));
}
