//! Who reads the log from outside: a reader written from the specifications alone, and our own monitor.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use receipts::monitor::{MonitorError, Seen, look};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use webd::fetch::{Client, FetchError, RemoteLog};

use crate::served::{House, Served};

/// Whether these commands are there: under CI they must be, so that nothing is skipped unseen.
pub fn have(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |tool: &&str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let missing: Vec<_> = tools.iter().filter(|tool| !is_there(tool)).collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "not installed: {missing:?}"
    );
    if !missing.is_empty() {
        eprintln!("skipped: not installed: {missing:?}");
    }
    missing.is_empty()
}

fn read_independently(
    prefix: &str,
    key: &str,
    indexes: &[&str],
) -> Result<serde_json::Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tlog_reader.py");
    let output = Command::new("python3")
        .arg(script)
        .args([prefix, key])
        .args(indexes)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn an_independent_reader_agrees() {
    if !have(&["python3", "openssl"]) {
        return;
    }
    let mut served = Served::new(1);
    let key = served.house.signer.key.verifier().to_string();
    let prefix = served.url("/log");
    for (size, indexes) in [
        (1, &["0"][..]),
        (256, &["0", "255"]),
        (600, &["0", "255", "256", "511", "599"]),
    ] {
        served.house.grow(size);
        served.house.publish();
        let read = read_independently(&prefix, &key, indexes).unwrap();
        assert_eq!(
            (&read["size"], read["proved"].as_array().unwrap().len()),
            (&size.into(), indexes.len())
        );
    }
    // It is no reader that cannot say no.
    let other = receipts::note::SigningKey::from_seed("post.test/log", &[8; 32])
        .unwrap()
        .verifier()
        .to_string();
    assert!(
        read_independently(&prefix, &other, &[])
            .unwrap_err()
            .contains("has not signed")
    );
    let bundle = served.house.log_dir().join("tile/entries/001");
    let mut octets = std::fs::read(&bundle).unwrap();
    octets[100] ^= 1;
    std::fs::write(bundle, octets).unwrap();
    assert!(
        read_independently(&prefix, &key, &[])
            .unwrap_err()
            .contains("do not lead to the signed root")
    );
}

fn client(served: &Served) -> Client {
    let root = CertificateDer::from_pem_slice(served.authority_pem.as_bytes()).unwrap();
    Client::new(Arc::new(default_provider()), &[root])
}

fn look_at(served: &Served, url: &str, before: Option<&Seen>) -> Result<Seen, MonitorError> {
    let client = client(served);
    let (log, note) = RemoteLog::find(&client, url).unwrap();
    assert!(log.prefix().ends_with("/log/"));
    let keys = [served.house.signer.key.verifier().clone()];
    look(
        before.map(|seen| &seen.checkpoint),
        &note,
        &keys,
        &log,
        100_000,
    )
}

#[test]
fn the_monitor_follows_over_http_and_https() {
    let mut served = Served::new(100);
    let first = look_at(&served, &served.url(""), None).unwrap();
    assert_eq!(first.added, 100);
    served.house.grow(300);
    served.house.publish();
    let https = format!("https://localhost:{}/log/", served.https.port());
    let second = look_at(&served, &https, Some(&first)).unwrap();
    assert_eq!(second.added, 200);
    assert_eq!(
        look_at(&served, &served.url("/log"), Some(&second))
            .unwrap()
            .added,
        0
    );
    assert!(matches!(
        look_at(&served, &https, None).map(|seen| seen.added),
        Ok(300)
    ));
}

#[test]
fn the_monitor_sees_another_history_of_the_same_key() {
    let served = Served::new(100);
    let seen = look_at(&served, &served.url(""), None).unwrap();
    let fork = |size| {
        let mut house = House::new();
        house.grow(size);
        house.publish();
        Served::of(house)
    };
    let shorter = fork(99);
    assert!(matches!(
        look_at(&shorter, &shorter.url(""), Some(&seen)),
        Err(MonitorError::Shrunk { .. })
    ));
    let longer = fork(101);
    assert!(matches!(
        look_at(&longer, &longer.url(""), Some(&seen)),
        Err(MonitorError::Forked {
            before: 100,
            now: 101
        })
    ));
}

#[test]
fn the_client_has_bounds() {
    let served = Served::new(300);
    let client = client(&served);
    assert_eq!(
        client
            .get(&served.url("/log/tile/0/000"), 8192)
            .unwrap()
            .unwrap()
            .len(),
        8192
    );
    assert!(matches!(
        client.get(&served.url("/log/tile/0/000"), 8191),
        Err(FetchError::Failed { .. })
    ));
    assert_eq!(client.get(&served.url("/nothing"), 10).unwrap(), None);
    assert!(matches!(
        RemoteLog::find(&client, &served.url("/nowhere")),
        Err(FetchError::NoLog(_))
    ));
    let stranger = Client::new(Arc::new(default_provider()), &[]);
    let https = format!("https://localhost:{}/log/checkpoint", served.https.port());
    assert!(matches!(
        stranger.get(&https, 1000),
        Err(FetchError::Failed { .. })
    ));
    std::fs::remove_dir_all(served.house.log_dir()).unwrap();
    std::fs::write(served.house.log_dir(), "").unwrap();
    assert!(matches!(
        client.get(&served.url("/log/checkpoint"), 1000),
        Err(FetchError::Status { status: 500, .. })
    ));
}
