use store::StoreError;
use store::register::Account;

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    folders_are_made_renamed_and_deleted,
    renaming_inbox_moves_its_letters_and_leaves_it_empty,
    a_move_takes_letters_out_of_one_folder_into_another,
    subscriptions_are_names,
}

fn names(post: &Post, account: &Account) -> Vec<String> {
    let all = post.store.mailboxes(account.id).unwrap();
    all.into_iter().map(|mailbox| mailbox.name).collect()
}

fn folders_are_made_renamed_and_deleted(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let store = &post.store;
    let create = |name: &str| store.create_mailbox(account.id, name.into()).wait();
    let first = create("A/B/C").unwrap();
    assert_eq!(names(&post, &account), ["A", "A/B", "A/B/C", "INBOX"]);
    assert!(matches!(create("A/B"), Err(StoreError::Exists(_))));
    assert!(matches!(create("inbox"), Err(StoreError::Exists(_))));
    for wrong in [
        "",
        "/",
        "a//b",
        "a*",
        "50%",
        "a\u{7}",
        &"x".repeat(256),
        &"a/".repeat(30),
    ] {
        assert!(
            matches!(create(wrong), Err(StoreError::Invalid(_))),
            "{wrong:?}"
        );
    }

    let rename = |from: &str, to: &str| {
        store
            .rename_mailbox(account.id, from.into(), to.into())
            .wait()
    };
    rename("A", "Z/A").unwrap();
    assert_eq!(
        names(&post, &account),
        ["INBOX", "Z", "Z/A", "Z/A/B", "Z/A/B/C"]
    );
    let moved = store.mailbox(account.id, "Z/A/B/C").unwrap().unwrap();
    assert_eq!(
        (moved.id, moved.uid_validity),
        (first.id, first.uid_validity)
    );
    assert!(
        rename("Z", "Z/A/X").is_err(),
        "a mailbox cannot become its own child"
    );
    assert!(matches!(rename("Z", "inbox"), Err(StoreError::Exists(_))));

    let delete = |name: &str| {
        store
            .delete_mailbox(post.holder(&account), account.id, name.into())
            .wait()
    };
    delete("Z/A").unwrap();
    assert_eq!(names(&post, &account), ["INBOX", "Z", "Z/A/B", "Z/A/B/C"]);
    assert!(delete("INBOX").is_err());
    assert!(matches!(delete("Z/A"), Err(StoreError::NotFound(_))));
    let again = create("Z/A").unwrap();
    assert!(
        again.uid_validity > first.uid_validity,
        "a name used again has a new UIDVALIDITY"
    );
}

fn renaming_inbox_moves_its_letters_and_leaves_it_empty(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    post.deposit(&letter("a", 300), &[&account]).unwrap();
    post.store
        .rename_mailbox(account.id, "INBOX".into(), "Old".into())
        .wait()
        .unwrap();
    assert_eq!(names(&post, &account), ["INBOX", "Old"]);
    let old = post.store.mailbox(account.id, "Old").unwrap().unwrap();
    assert_eq!(post.store.status(old.id).unwrap().messages, 1);
    assert_eq!(post.store.status(post.inbox(&account)).unwrap().messages, 0);
    post.deposit(&letter("b", 300), &[&account]).unwrap();
    let snapshot = post.store.snapshot(post.inbox(&account)).unwrap();
    assert_eq!(snapshot.entries[0].uid, 2, "UIDs are never used again");
    post.store.audit().unwrap();
}

fn a_move_takes_letters_out_of_one_folder_into_another(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    for n in 0..3 {
        post.deposit(&letter(&n.to_string(), 300), &[&account])
            .unwrap();
    }
    let folder = post
        .store
        .create_mailbox(account.id, "F".into())
        .wait()
        .unwrap();
    let inbox = post.inbox(&account);
    let moved = post
        .store
        .relocate(inbox, vec![1, 3, 8], folder.id)
        .wait()
        .unwrap();
    assert_eq!(moved.pairs, [(1, 1), (3, 2)]);
    assert_eq!(moved.uid_validity, folder.uid_validity);
    let left: Vec<u32> = post
        .store
        .snapshot(inbox)
        .unwrap()
        .entries
        .iter()
        .map(|e| e.uid)
        .collect();
    assert_eq!(left, [2]);
    let other = post.account("2222222222");
    let foreign = post.inbox(&other);
    assert!(
        post.store.copy(inbox, vec![2], foreign).wait().is_err(),
        "another account's folder is not there"
    );
    post.store.audit().unwrap();
}

fn subscriptions_are_names(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let subscribe = |name: &str, on| post.store.subscribe(account.id, name.into(), on).wait();
    subscribe("inbox", true).unwrap();
    subscribe("not/there", true).unwrap();
    subscribe("not/there", true).unwrap();
    assert_eq!(
        post.store.subscriptions(account.id).unwrap(),
        ["INBOX", "not/there"]
    );
    subscribe("not/there", false).unwrap();
    assert_eq!(post.store.subscriptions(account.id).unwrap(), ["INBOX"]);
    assert!(subscribe("a\r\nb", true).is_err());
}
