use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use crate::readers::have;
use crate::served::{Answer, House, Served};

const FOR_EVER: &str = "public, max-age=31536000, immutable";

fn assert_file(answer: &Answer, kind: &str, cache: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some(kind));
    assert_eq!(answer.field("cache-control"), Some(cache));
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    assert_eq!(
        answer.field("content-length"),
        Some(answer.body.len().to_string().as_str())
    );
}

#[test]
fn the_logs_files_are_served_as_tlog_tiles_says() {
    let served = Served::new(300);
    let checkpoint = served.get("/log/checkpoint");
    assert_file(&checkpoint, "text/plain; charset=utf-8", "no-cache");
    assert!(checkpoint.text().starts_with("post.test/log\n300\n"));
    for (path, octets) in [
        ("/log/tile/0/000", 8192),
        ("/log/tile/0/000.p/255", 255 * 32),
        ("/log/tile/0/001.p/44", 44 * 32),
        ("/log/tile/0/001.p/1", 32),
        ("/log/tile/1/000.p/1", 32),
        ("/log/tile/entries/000", 256 * 34),
        ("/log/tile/entries/001.p/44", 44 * 34),
        ("/log/tile/entries/001.p/43", 43 * 34),
    ] {
        let answer = served.get(path);
        assert_file(&answer, "application/octet-stream", FOR_EVER);
        assert_eq!(answer.body.len(), octets, "{path}");
    }
    for path in [
        "/log/tile/0/001",
        "/log/tile/0/001.p/45",
        "/log/tile/0/002.p/1",
        "/log/tile/1/001.p/1",
    ] {
        let answer = served.get(path);
        assert_eq!(
            (answer.status, answer.field("cache-control")),
            (404, Some("no-store")),
            "{path}"
        );
    }
}

#[test]
fn before_the_first_checkpoint_there_is_none() {
    let served = Served::of(House::new());
    assert_eq!(served.get("/log/checkpoint").status, 404);
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn head_and_tags() {
    let served = Served::new(3);
    let whole = served.get("/log/tile/0/000.p/3");
    let ask = |method: &str, fields: &str| {
        served.ask(&format!(
            "{method} /log/tile/0/000.p/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n"
        ))
    };
    let head = ask("HEAD", "");
    assert_eq!(
        (head.status, head.field("content-length"), head.body.len()),
        (200, Some("96"), 0)
    );
    assert_eq!(head.field("etag"), whole.field("etag"));
    let tag = whole.field("etag").unwrap();
    for method in ["GET", "HEAD"] {
        let known = ask(method, &format!("If-None-Match: \"x\", W/{tag}\r\n"));
        assert_eq!(
            (known.status, known.body.len(), known.field("etag")),
            (304, 0, Some(tag))
        );
        assert_eq!(known.field("cache-control"), Some(FOR_EVER));
    }
    assert_eq!(ask("GET", "If-None-Match: \"x\"\r\n").status, 200);
}

#[test]
fn answers_carry_what_keeps_browsers_safe() {
    let served = Served::new(1);
    for path in [
        "/log/checkpoint",
        "/log/tile/0/000.p/1",
        "/healthz",
        "/metrics",
        "/nothing",
    ] {
        let answer = served.get(path);
        assert_eq!(
            answer.field("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.field("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'")
        );
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
        // Over plain HTTP it must not be sent (RFC 6797 §7.2).
        assert_eq!(answer.field("strict-transport-security"), None);
        assert!(answer.field("cache-control").is_some());
        assert_eq!(
            answer.field("access-control-allow-origin").is_some(),
            path.starts_with("/log/")
        );
    }
    for path in ["/healthz", "/metrics"] {
        assert_eq!(served.get(path).field("cache-control"), Some("no-store"));
    }
}

#[test]
fn health_turns_ill_when_evidence_waits_and_well_again() {
    let mut house = House::new();
    house.grow(3);
    house.publish();
    house.grow(5);
    let mut served = Served::with_lag_max(house, Duration::from_secs(2));
    let look = |served: &Served| {
        // One look is kept for half a second.
        std::thread::sleep(Duration::from_millis(600));
        let answer = served.get("/healthz");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, json)
    };
    let (status, json) = look(&served);
    assert_eq!(status, 200, "{json}");
    assert_eq!(
        (&json["status"], &json["store"], &json["log"]["state"]),
        (&"ok".into(), &"ok".into(), &"ok".into())
    );
    assert_eq!(
        (&json["log"]["published"], &json["log"]["pending"]),
        (&3.into(), &2.into())
    );
    std::thread::sleep(Duration::from_secs(2));
    let (status, json) = look(&served);
    assert_eq!(
        (status, &json["status"], &json["log"]["state"]),
        (503, &"ill".into(), &"behind".into())
    );
    assert!(json["log"]["lag_ms"].as_u64().unwrap() > 2_000, "{json}");
    served.house.publish();
    let (status, json) = look(&served);
    assert_eq!(
        (status, &json["log"]["published"], &json["log"]["lag_ms"]),
        (200, &5.into(), &0.into())
    );
    std::fs::write(served.house.log_dir().join("checkpoint"), "not a note").unwrap();
    let (status, json) = look(&served);
    assert_eq!((status, &json["log"]["state"]), (503, &"unreadable".into()));
}

#[test]
fn metrics_are_prometheus_text() {
    let served = Served::new(7);
    served.get("/nothing");
    let answer = served.get("/metrics");
    assert_eq!(
        answer.field("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        "knik_log_published_leaves 7",
        "knik_log_pending_events 0",
        "knik_log_state{state=\"ok\"} 1",
        "knik_store_state{state=\"ok\"} 1",
        "knik_http_answers_total{class=\"4xx\"} 1",
        "knik_http_connections_total 2",
        "knik_program_total 42",
    ] {
        assert!(
            text.lines().any(|there| there == line),
            "{line} is not in\n{text}"
        );
    }
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(
                families.insert(family.split(' ').next().unwrap().to_owned()),
                "twice: {line}"
            );
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(
                families.contains(series.split('{').next().unwrap()),
                "{line}"
            );
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn a_damaged_tile_is_not_served_and_not_explained() {
    let served = Served::new(3);
    std::fs::write(served.house.log_dir().join("tile/0/000.p/3"), "short").unwrap();
    let answer = served.get("/log/tile/0/000.p/3");
    assert_eq!(
        (answer.status, answer.field("cache-control")),
        (500, Some("no-store"))
    );
    assert!(!answer.text().contains('/'), "{}", answer.text());
}

#[test]
fn curl_reads_over_tls_with_and_without_a_certificate() {
    if !have(&["curl"]) {
        return;
    }
    let served = Served::new(5);
    let folder = served.house.dir.path();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![])
        .unwrap()
        .signed_by(&key, &served.authority)
        .unwrap();
    for (name, text) in [
        ("ca.pem", served.authority_pem.clone()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let url = format!("https://localhost:{}/log/checkpoint", served.https.port());
    let mut common = vec![
        "-sS",
        "-i",
        "--noproxy",
        "*",
        "--cacert",
        "ca.pem",
        "--max-time",
        "20",
    ];
    common.push(&url);
    for with in [
        &["--cert", "cert.pem", "--key", "key.pem"][..],
        &["--tlsv1.2", "--tls-max", "1.2"][..],
        &[],
    ] {
        let output = Command::new("curl")
            .current_dir(folder)
            .args(&common)
            .args(with)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        assert!(
            text.starts_with("http/1.1 200"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            text.contains("strict-transport-security: max-age=31536000\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\n\r\npost.test/log\n5\n"), "{text}");
    }
    assert_eq!(
        served
            .webd
            .counters()
            .certificates_shown
            .load(Ordering::Relaxed),
        1
    );
}

#[test]
fn refusals_are_explained_to_anybody_under_a_policy_that_runs_nothing() {
    let served = Served::new(1);
    for path in ["/help", "/help/cert-revoked", "/help/no-mailbox"] {
        let page = served.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.field("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        let text = page.text();
        assert!(
            text.starts_with("<!DOCTYPE html>\n<html lang=\"hy\">"),
            "{text}"
        );
        for lang in ["hy", "ru", "en"] {
            assert!(
                text.contains(&format!("<section lang=\"{lang}\">")),
                "{path}"
            );
        }
        assert!(text.contains("name=\"viewport\"") && !text.contains("<script"));
    }
    let style = served.get("/help.css");
    assert_eq!(style.field("content-type"), Some("text/css; charset=utf-8"));
    for path in [
        "/help/",
        "/help/no-such-code",
        "/help/CERT-REVOKED",
        "/help/cert-revoked/x",
    ] {
        let refused = served.get(path);
        assert_eq!(refused.status, 404, "{path}");
        let policy = refused.field("content-security-policy").unwrap();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
    }
}
