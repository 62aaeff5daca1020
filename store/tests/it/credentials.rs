//! What log-ins leant on: kept once, named by the event, held against its digest.

use std::sync::Arc;

use mail::digest::Digest;
use mail::time::Timestamp;
use store::credentials::{Credential, CredentialKind, Statement};

use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter};

every_pairing! {
    what_a_log_in_leant_on_is_kept_once_and_named,
}

fn credential() -> Arc<Credential> {
    let statement = |kind, octets: &[u8], is_kept: bool| Statement {
        kind,
        digest: Digest::of(octets),
        status: "good",
        this_update: Timestamp::from_millis(1_795_305_600_000),
        octets: is_kept.then(|| octets.into()),
    };
    Arc::new(Credential {
        path: vec![b"holder".to_vec(), b"issuer".to_vec(), b"anchor".to_vec()],
        statements: vec![
            statement(CredentialKind::Ocsp, b"answer", true),
            statement(CredentialKind::Crl, b"a large list", false),
        ],
    })
}

fn what_a_log_in_leant_on_is_kept_once_and_named(pairing: Pairing) {
    let post = Post::new(pairing);
    let account = post.account("1111111111");
    let log_in = || {
        post.store
            .log_in(post.holder(&account), account.id, credential())
            .wait()
            .unwrap()
    };
    assert!(log_in().is_none());
    let kept = |octets: &[u8]| post.store.credential(&Digest::of(octets)).unwrap();
    assert_eq!(kept(b"holder"), None, "without an event nothing is kept");
    for number in ["1", "2"] {
        post.deposit(&letter(number, 400), &[&account]).unwrap();
        let id = log_in().unwrap();
        let event = post.store.evidence_by_id(id).unwrap().unwrap();
        let event = event.whole().unwrap().event;
        let tagged = |octets: &[u8]| Digest::of(octets).tagged();
        let issuers = serde_json::json!([tagged(b"issuer"), tagged(b"anchor")]);
        assert_eq!(event.details["issuers"], issuers);
        let revocation = &event.details["revocation"];
        assert_eq!(revocation[0]["source"], "ocsp");
        assert_eq!(revocation[0]["digest"], tagged(b"answer"));
        assert_eq!(revocation[0]["this_update"], "2026-11-22T00:00:00.000Z");
        assert_eq!(revocation[1]["digest"], tagged(b"a large list"));
    }
    let certificate = |octets: &[u8]| Some((CredentialKind::Certificate, octets.to_vec()));
    for octets in [&b"holder"[..], b"issuer", b"anchor"] {
        assert_eq!(kept(octets), certificate(octets));
    }
    assert_eq!(
        kept(b"answer"),
        Some((CredentialKind::Ocsp, b"answer".to_vec()))
    );
    assert_eq!(kept(b"a large list"), None);
    post.store.audit().unwrap();
}

/// SQLite alone: the damage is done with a tool of its own.
#[test]
fn a_credential_that_turned_is_named() {
    let post = Post::new(Pairing::SqliteSegments);
    let account = post.account("1111111111");
    post.deposit(&letter("1", 400), &[&account]).unwrap();
    let log_in = post
        .store
        .log_in(post.holder(&account), account.id, credential());
    log_in.wait().unwrap();
    let rows = rusqlite::Connection::open(post.home.dir.path().join("data/knik.db")).unwrap();
    let turned = "UPDATE credential SET octets = x'00' WHERE kind = 'ocsp'";
    assert_eq!(rows.execute(turned, []).unwrap(), 1);
    drop(rows);
    let found = post.store.audit().unwrap_err().to_string();
    let digest = Digest::of(b"answer").to_string();
    assert!(found.contains(&digest), "{found}");
}
