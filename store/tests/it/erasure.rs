use std::fs;
use std::path::Path;

use receipts::event::EventName;
use receipts::leaf::LeafData;
use store::erasure::{Cause, Erasure, Outcome, Plan, Scope, Wish};
use store::evidence::Entry;
use store::log::Log;
use store::mailboxes::MailboxId;
use store::register::Account;
use store::{MessageId, StoreError};

use crate::log::Signer;
use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter, operator};
use crate::reading::{acknowledge, disclose};
use crate::search::index_all;

// The others look at, or alter, the files of SQLite.
every_pairing! {
    one_recipient_goes_and_the_other_keeps_everything,
    whoever_is_reading_is_told_that_it_is_gone,
    a_submission_after_the_erasure_is_a_new_message,
    what_cannot_be_erased_is_refused_by_name,
    a_letter_that_was_placed_for_nothing_is_destroyed_too,
}

pub fn wish(message: MessageId, scope: Scope) -> Wish {
    Wish {
        message,
        scope,
        recipient: None,
        cause: Cause::Court,
        why: "decision 17/2026".into(),
    }
}

pub fn erase(post: &Post, wish: Wish) -> (Erasure, Plan) {
    match post.store.erase(operator(), wish).wait().unwrap() {
        Outcome::Done { erasure, plan } => (erasure, plan),
        Outcome::Already(erasure) => panic!("erased already: {erasure:?}"),
    }
}

/// Every file under a directory, with its octets as characters: text is searched quickly in a test too.
pub struct Disk(Vec<(String, String)>);

impl Disk {
    pub fn of(dir: &Path) -> Self {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(Self::of(&path).0);
            } else {
                files.push((
                    path.display().to_string(),
                    characters(&fs::read(&path).unwrap()),
                ));
            }
        }
        Self(files)
    }

    /// The files with this in their names.
    fn only(mut self, name: &str) -> Self {
        self.0.retain(|(path, _)| path.contains(name));
        self
    }

    /// The files in which these octets stand.
    pub fn with(&self, wanted: &[u8]) -> Vec<&str> {
        let wanted = characters(wanted);
        let found = self.0.iter().filter(|(_, octets)| octets.contains(&wanted));
        found.map(|(name, _)| name.as_str()).collect()
    }
}

fn characters(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// The files of a post in which these octets stand.
pub fn files_with(dir: &Path, wanted: &[u8]) -> Vec<String> {
    Disk::of(dir)
        .with(wanted)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

pub fn uids(post: &Post, mailbox: MailboxId) -> Vec<u32> {
    let snapshot = post.store.snapshot(mailbox).unwrap();
    snapshot.entries.iter().map(|entry| entry.uid).collect()
}

/// A letter whose subject and body can be looked for in raw files.
pub fn marked(id: &str) -> Vec<u8> {
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

fn read_letter(on: Pairing) -> Read {
    let post = Post::new(on);
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

/// Pieces of what the rows of a message hold, as it stands in the file: squeezed, and cut where a page ends.
fn pieces_of_rows(post: &Post, message: MessageId) -> Vec<Vec<u8>> {
    let rows = rusqlite::Connection::open(post.home.dir.path().join("data/knik.db")).unwrap();
    let ulid = message.to_bytes().to_vec();
    let mut pieces = Vec::new();
    for query in [
        "SELECT canonical, salt FROM evidence WHERE chain_kind = 1 AND chain_subject = ?1",
        "SELECT structure, trace FROM message WHERE ulid = ?1",
    ] {
        let mut statement = rows.prepare(query).unwrap();
        let mut found = statement.query([&ulid]).unwrap();
        while let Some(row) = found.next().unwrap() {
            for column in 0..2 {
                let blob: Vec<u8> = row.get(column).unwrap();
                pieces.extend(blob.chunks_exact(32).map(<[u8]>::to_vec));
            }
        }
    }
    pieces
}

/// Of the message there are its leaves, and one event that says so and names nobody.
fn only_leaves_stay(post: &Post, erasure: &Erasure, leaves: &[LeafData], digest: &str) {
    let entries = post.store.chains_of_message(erasure.message).unwrap();
    let (kept, gone): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| matches!(entry, Entry::Whole(_)));
    let left: Vec<LeafData> = gone.iter().map(Entry::leaf).collect();
    assert_eq!(left, *leaves);
    let [Entry::Whole(removed)] = &kept[..] else {
        panic!("one event stays: {kept:?}");
    };
    assert_eq!(removed.event.event, EventName::Removed);
    assert_eq!(removed.event.id, erasure.removed);
    assert_eq!(removed.event.prev, Some(leaves[0]));
    let said = String::from_utf8(removed.canonical.clone()).unwrap();
    for personal in ["1111111111", "agency.test>", digest] {
        assert!(!said.contains(personal), "{said}");
    }
}

#[test]
fn what_was_erased_is_nowhere_on_the_disk_and_its_leaves_stay() {
    let Read {
        post,
        account,
        message,
        leaves,
    } = read_letter(Pairing::SqliteSegments);
    index_all(&post.store);
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
    // As the search index has it, folded.
    secrets.push(b"body-gone-marker".to_vec());
    for secret in &secrets {
        assert!(!files_with(&data, secret).is_empty(), "{secret:?}");
    }
    let pieces = pieces_of_rows(&post, message);
    let disk = Disk::of(&data).only("knik.db");
    let before = pieces
        .iter()
        .filter(|piece| !disk.with(piece).is_empty())
        .count();
    assert!(
        before > 20 && before * 3 > pieces.len() * 2,
        "{before} of {}",
        pieces.len()
    );
    // What the letters that stay have alike proves nothing.
    let alike: Vec<Vec<u8>> = (2..=21)
        .flat_map(|uid| post.store.describe(post.inbox(&account), &[uid]).unwrap())
        .flat_map(|other| pieces_of_rows(&post, other.message))
        .collect();

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
    let disk = Disk::of(&data).only("knik.db");
    let left = pieces
        .iter()
        .filter(|piece| !alike.contains(piece) && !disk.with(piece).is_empty())
        .count();
    assert_eq!(left, 0);
    // The others are there.
    assert!(!files_with(&data, b"Body-stays7-Marker").is_empty());
    assert_eq!(uids(&post, post.inbox(&account)).len(), 20);

    only_leaves_stay(&post, &erasure, &leaves, &digest.tagged());
    log.advance(&mut signer).unwrap().unwrap();
    let report = post.store.audit().unwrap();
    assert_eq!(report.erased_events as usize, leaves.len());
    assert_eq!(report.erased_messages, 1);
    assert!(matches!(
        post.store.erase(operator(), wish(message, Scope::Message)).wait(),
        Ok(Outcome::Already(again)) if again.id == erasure.id
    ));
}

/// The rows behind the store's back, as somebody would who must not.
fn tamper(post: &Post, statement: &str) {
    let path = post.home.dir.path().join("data/knik.db");
    let changed = rusqlite::Connection::open(path)
        .unwrap()
        .execute(statement, [])
        .unwrap();
    assert!(changed > 0, "{statement}");
}

#[test]
fn a_crash_after_the_act_leaves_octets_that_the_next_start_destroys() {
    let Read { post, message, .. } = read_letter(Pairing::SqliteSegments);
    let Post { store, home, .. } = post;
    let (large, account) = {
        let account = store.account_for(&"1111111111@post.test".parse().unwrap());
        (vec![b'L'; 3 << 20], account.unwrap().unwrap())
    };
    let post = Post {
        contract: store.contracts().unwrap().remove(0),
        store,
        home,
    };
    let octets = [
        &b"Subject: Large-Marker\r\nMessage-ID: <large@a>\r\n\r\n"[..],
        &large,
    ]
    .concat();
    let single = post.deposit(&octets, &[&account]).unwrap().message;
    erase(&post, wish(message, Scope::Message));
    erase(&post, wish(single, Scope::Message));
    let Post { store, home, .. } = post;
    store.close();
    drop(store);
    let data = home.dir.path().join("data");
    assert!(!files_with(&data, b"Body-gone-Marker").is_empty());

    let store = home.open();
    assert_eq!(store.sweep().unwrap(), 0);
    assert_eq!(store.erasures_due().unwrap(), 2);
    store.audit().unwrap();
    assert_eq!(store.destroy_due(1).unwrap().done, 1);
    // Destroyed, but the process ended before that was written down: it is done again.
    let post = Post {
        contract: store.contracts().unwrap().remove(0),
        store,
        home,
    };
    tamper(&post, "UPDATE erasure SET done = NULL");
    assert_eq!(post.store.destroy_due(10).unwrap().done, 2);
    assert_eq!(post.store.destroy_due(10).unwrap().done, 0);
    for secret in ["Body-gone-Marker", "Large-Marker", "LLLLLLLL"] {
        assert_eq!(files_with(&data, secret.as_bytes()), [""; 0], "{secret}");
    }
    post.deposit(&marked("after"), &[&account]).unwrap();
    assert_eq!(post.store.audit().unwrap().erased_messages, 2);
}

fn one_recipient_goes_and_the_other_keeps_everything(on: Pairing) {
    let post = Post::new(on);
    let (one, two) = (post.account("1111111111"), post.account("2222222222"));
    let octets = marked("shared");
    let message = post.deposit(&octets, &[&one, &two]).unwrap().message;
    let only = |account: &Account| Wish {
        recipient: Some(account.address.clone()),
        ..wish(message, Scope::Recipient)
    };
    let (erasure, plan) = erase(&post, only(&one));
    assert_eq!(
        (plan.scope, plan.events, plan.content_bytes),
        (Scope::Recipient, 1, 0)
    );
    post.store.destroy_due(10).unwrap();
    assert_eq!(uids(&post, post.inbox(&one)), [0; 0]);
    assert_eq!(post.events(&one), [EventName::Removed; 0]);
    let disclosure = disclose(&post, &two, true);
    assert_eq!(&*disclosure.octets().unwrap(), octets);
    acknowledge(&post, &two, disclosure, 0..octets.len() as u64);
    let said = post.chains(message);
    let removed = said
        .iter()
        .find(|record| record.event.id == erasure.removed);
    assert_eq!(
        removed.unwrap().event.details["recipients"],
        serde_json::json!([1])
    );
    post.store.audit().unwrap();
    let again = post.store.erase(operator(), only(&one)).wait();
    assert!(matches!(again, Err(StoreError::NotFound(what)) if what.contains("or erased")));

    // What the first may have again comes as new; the second has it already.
    let anew = post.deposit(&octets, &[&one, &two]).unwrap();
    assert_eq!((anew.repeated, anew.placed), (false, 1));

    // The last takes the rest with it: content, the submission's own event, what names anybody.
    let (_, plan) = erase(&post, only(&two));
    assert_eq!(
        (plan.scope, plan.content_bytes),
        (Scope::Message, octets.len() as u64)
    );
    post.store.destroy_due(10).unwrap();
    let left: Vec<_> = post
        .chains(message)
        .iter()
        .map(|record| record.event.event)
        .collect();
    assert_eq!(left, [EventName::Removed, EventName::Removed]);
    let report = post.store.audit().unwrap();
    assert_eq!((report.erased_messages, report.messages), (1, 2));
}

fn whoever_is_reading_is_told_that_it_is_gone(on: Pairing) {
    let Read {
        post,
        account,
        message,
        ..
    } = read_letter(on);
    let inbox = post.inbox(&account);
    let disclosure = disclose(&post, &account, true);
    let listing = post
        .store
        .list(&post.holder(&account), inbox, &[1])
        .unwrap()
        .remove(0);
    let before = post.store.snapshot(inbox).unwrap().mailbox.modseq;
    let watch = post.store.evidence_count().unwrap();
    erase(&post, wish(message, Scope::Message));
    let changes = post.store.changes(inbox, before).unwrap();
    assert_eq!(changes.vanished, [1]);
    assert!(changes.modseq > before);
    // Between the act and the disk the octets may still be read; afterwards never.
    post.store.destroy_due(10).unwrap();
    assert!(matches!(disclosure.octets(), Err(StoreError::NotFound(_))));
    assert!(matches!(listing.header(), Err(StoreError::NotFound(_))));
    assert!(post.store.searchable(inbox, 1).unwrap().is_none());
    acknowledge(&post, &account, disclosure, 0..10);
    assert_eq!(post.store.evidence_count().unwrap(), watch + 1);
    assert!(post.store.original(message).unwrap().is_none());
    post.store.audit().unwrap();
}

fn a_submission_after_the_erasure_is_a_new_message(on: Pairing) {
    let Read {
        post,
        account,
        message,
        ..
    } = read_letter(on);
    assert!(post.deposit(&marked("gone"), &[&account]).unwrap().repeated);
    erase(&post, wish(message, Scope::Message));
    let anew = post.deposit(&marked("gone"), &[&account]).unwrap();
    assert!(!anew.repeated && anew.message != message);
    post.store.audit().unwrap();
}

fn what_cannot_be_erased_is_refused_by_name(on: Pairing) {
    let Read {
        post,
        account,
        message,
        ..
    } = read_letter(on);
    let refused = |wish: Wish| {
        post.store
            .erase(operator(), wish)
            .wait()
            .unwrap_err()
            .to_string()
    };
    let nobody = MessageId::from_bytes([7; 16]);
    assert!(refused(wish(nobody, Scope::Message)).ends_with("not found"));
    let stranger = Wish {
        recipient: Some("9999999999@post.test".parse().unwrap()),
        ..wish(message, Scope::Recipient)
    };
    assert!(refused(stranger).contains("never one of them"));
    for why in [
        "",
        " ",
        "for\nA",
        "for 1111111111@post.test",
        &"x".repeat(201),
    ] {
        let wish = Wish {
            why: why.to_owned(),
            ..wish(message, Scope::Message)
        };
        assert!(refused(wish).starts_with("why: "), "{why:?}");
    }
    post.store
        .hold(operator(), message, "case 5".into())
        .wait()
        .unwrap();
    post.store
        .hold(operator(), message, "case 6".into())
        .wait()
        .unwrap();
    assert!(refused(wish(message, Scope::Message)).contains("legal hold (case 5)"));
    assert!(
        post.store
            .erasure_plan(&wish(message, Scope::Content))
            .is_err()
    );
    assert_eq!(post.store.lift_holds(message).wait().unwrap(), 2);
    assert!(post.store.lift_holds(message).wait().is_err());
    assert!(
        post.store
            .hold(operator(), nobody, "x".into())
            .wait()
            .is_err()
    );
    assert_eq!(
        (
            post.store.holds(false).unwrap().len(),
            post.store.holds(true).unwrap().len()
        ),
        (0, 2)
    );
    assert_eq!(uids(&post, post.inbox(&account)).len(), 21);
    erase(&post, wish(message, Scope::Message));
}

#[test]
fn the_audit_takes_nothing_as_erased_that_no_act_explains() {
    let finds = |statement: &str, wanted: &str| {
        let Read { post, message, .. } = read_letter(Pairing::SqliteSegments);
        erase(&post, wish(message, Scope::Message));
        post.deposit(&letter("other", 300), &[&post.account("2222222222")])
            .unwrap();
        post.store.audit().unwrap();
        tamper(&post, statement);
        let found = post.store.audit().unwrap_err().to_string();
        assert!(found.contains(wanted), "{statement}: {found}");
    };
    let last = "(SELECT MAX(ordinal) FROM evidence)";
    finds(
        &format!("UPDATE evidence SET canonical = x'', salt = x'' WHERE ordinal = {last}"),
        "nothing says why",
    );
    finds(
        &format!(
            "UPDATE evidence SET canonical = x'', salt = x'', erasure = 1 WHERE ordinal = {last}"
        ),
        "acts of erasure explain",
    );
    finds(
        "UPDATE evidence SET canonical = x'', salt = x'', erasure = 1 WHERE event = 'removed'",
        "no `removed` event says so",
    );
    finds("DELETE FROM erasure", "its content is given up");
    finds(
        "UPDATE erasure SET events = events + 1",
        "where its `removed` event says",
    );
    finds(
        "UPDATE evidence SET leaf = zeroblob(32) WHERE ordinal = \
         (SELECT MIN(ordinal) FROM evidence WHERE erasure = 1 AND chain_ordinal = 0)",
        "does not follow its chain",
    );
    finds(
        "UPDATE message SET erased = 1 WHERE id = (SELECT MAX(id) FROM message)",
        "nothing says why",
    );
    finds(
        "UPDATE message SET digest = x'' WHERE id = (SELECT MAX(id) FROM message)",
        "is not the message that its evidence accepted",
    );
}

fn a_letter_that_was_placed_for_nothing_is_destroyed_too(on: Pairing) {
    let post = Post::new(on);
    let account = post.account("1111111111");
    let octets = marked("twice");
    let many: Vec<_> = (0..8)
        .map(|_| post.store.deposit(post.submission(&octets, &[&account])))
        .collect();
    let placed: u32 = many.into_iter().map(|one| one.wait().unwrap().placed).sum();
    assert_eq!(placed, 1);
    // Started again before they are destroyed: a letter of the same length must not be laid in their place.
    let Post {
        store,
        home,
        contract,
    } = post;
    store.close();
    drop(store);
    let post = Post {
        store: home.open(),
        contract,
        home,
    };
    let like = String::from_utf8(octets.clone())
        .unwrap()
        .replace("twice", "other");
    let second = post.deposit(like.as_bytes(), &[&account]).unwrap().message;
    let message = post.store.describe(post.inbox(&account), &[1]).unwrap()[0].message;
    erase(&post, wish(message, Scope::Message));
    post.store.destroy_due(100).unwrap();
    assert_eq!(
        post.store.original(second).unwrap().unwrap(),
        like.as_bytes()
    );
    post.store.audit().unwrap();
    assert_eq!(
        files_with(&post.home.dir.path().join("data"), b"Body-twice-Marker"),
        [""; 0]
    );
}
