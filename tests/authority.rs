//! The operator's own authority from outside: its list and its responder asked by openssl, certificates renewed and
//! revoked, one-time links used by curl.

mod links;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::post::{Ended, Port, path_text, text};
use crate::harness::{Credential, Post, eventually, tools};

const HOLDER: &str = "2503851234";
const OTHER: &str = "2503851235";

/// What curl got.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut fields = lines.filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

/// Asks by the post's name; over TLS with its authority's certificate.
fn curl(post: &Post, port: Port, path: &str, options: &[&str]) -> Answer {
    let scheme = match port {
        Port::Https => "https",
        _ => "http",
    };
    let (host, socket) = (&post.host, post.socket(port));
    let folder = tempfile::tempdir().unwrap();
    let (head, body) = (folder.path().join("head"), folder.path().join("body"));
    let ended = Ended::of(
        Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "60",
                "-w",
                "%{http_code}",
                "-D",
            ])
            .arg(&head)
            .arg("-o")
            .arg(&body)
            .arg("--cacert")
            .arg(post.ca())
            .arg("--resolve")
            .arg(format!("{host}:{}:{}", socket.port(), socket.ip()))
            .args(options)
            .arg(format!("{scheme}://{host}:{}{path}", socket.port())),
    );
    assert_eq!(ended.code, 0, "{path}: {ended:?}");
    Answer {
        status: ended.out.parse().unwrap(),
        head: std::fs::read_to_string(head).unwrap(),
        body: std::fs::read(body).unwrap_or_default(),
    }
}

/// A post whose certificates say where it publishes, serving, with these accounts and their devices.
fn publishing(locals: &[&str]) -> (Post, Vec<Credential>) {
    let mut post = Post::new();
    let base = format!("\"http://{}\"", post.socket(Port::Http));
    post.set("base_url", &base).unwrap();
    let devices = locals.iter().map(|local| {
        post.account(local);
        post.enrol(local)
    });
    let devices = devices.collect();
    post.start();
    (post, devices)
}

/// The devices of an account, by `account show`.
fn devices(post: &Post, local: &str) -> Vec<Value> {
    let shown = post.json(&["account", "show", &post.mailbox(local)]);
    shown[0]["devices"].as_array().unwrap().clone()
}

fn serial(post: &Post, local: &str) -> String {
    text(&devices(post, local)[0], "serial")
}

fn revoke(post: &Post, local: &str, why: &str) -> String {
    let serial = serial(post, local);
    let address = post.mailbox(local);
    post.must(&[
        "account", "revoke", &address, "--serial", &serial, "--why", why,
    ]);
    serial
}

fn openssl(arguments: &[&str]) -> Ended {
    Ended::of(Command::new("openssl").args(arguments))
}

/// `openssl ocsp` about something of this authority.
fn ask(post: &Post, about: &[&str]) -> Ended {
    let ca = post.ca();
    let url = format!("http://{}/ca/ocsp", post.socket(Port::Http));
    let common = [
        "ocsp",
        "-issuer",
        path_text(&ca),
        "-CAfile",
        path_text(&ca),
        "-url",
        &url,
    ];
    let answer = openssl(&[&common[..], about].concat());
    assert!(answer.err.contains("Response verify OK"), "{answer:?}");
    answer
}

/// The list as openssl takes it, once it has so many entries.
fn list_of(post: &Post, entries: usize) -> PathBuf {
    let (der, pem) = (
        post.scratch().join("ca.crl"),
        post.scratch().join("ca.crl.pem"),
    );
    eventually(Duration::from_secs(10), || {
        let answer = curl(post, Port::Http, "/ca/ca.crl", &[]);
        if answer.status != 200 {
            return Err(answer.text());
        }
        assert_eq!(answer.field("content-type"), Some("application/pkix-crl"));
        std::fs::write(&der, &answer.body).unwrap();
        let shown = show_list(&der);
        match shown.matches("Serial Number:").count() {
            count if count == entries => Ok(()),
            _ => Err(shown),
        }
    });
    let (from, to) = (path_text(&der), path_text(&pem));
    let turned = openssl(&["crl", "-inform", "DER", "-in", from, "-out", to]);
    assert_eq!(turned.code, 0, "{turned:?}");
    pem
}

fn show_list(der: &Path) -> String {
    let from = path_text(der);
    let shown = openssl(&[
        "crl",
        "-inform",
        "DER",
        "-in",
        from,
        "-noout",
        "-text",
        "-crlnumber",
    ]);
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.out
}

/// `crlNumber=0x…`.
fn number_of(list: &Path) -> u64 {
    let shown = openssl(&["crl", "-in", path_text(list), "-noout", "-crlnumber"]);
    let digits = shown
        .out
        .trim()
        .rsplit(['=', 'x'])
        .next()
        .unwrap()
        .to_owned();
    u64::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("{shown:?}"))
}

#[test]
fn openssl_believes_the_responder() {
    if !tools::have(&["openssl", "curl"]) {
        return;
    }
    let (post, credentials) = publishing(&[HOLDER, OTHER]);
    let certificate = path_text(&credentials[0].certificate);
    let good = ask(&post, &["-cert", certificate]);
    assert!(good.out.contains(": good"), "{good:?}");
    // A nonce was sent, and it came back.
    assert!(!good.err.contains("nonce"), "{good:?}");
    let revoked = revoke(&post, HOLDER, "key-compromise");
    let answer = eventually(Duration::from_secs(10), || {
        let answer = ask(&post, &["-no_nonce", "-cert", certificate]);
        if answer.out.contains(": revoked") {
            Ok(answer)
        } else {
            Err(format!("{answer:?}"))
        }
    });
    assert!(answer.out.contains("Reason: keyCompromise"), "{answer:?}");
    let other = path_text(&credentials[1].certificate);
    let several = ask(&post, &["-sha256", "-cert", certificate, "-cert", other]);
    assert!(
        several.out.contains(": revoked") && several.out.contains(": good"),
        "{several:?}"
    );
    // The next number was never given out; nor was any of another issuer.
    let never = format!("0x{revoked}00");
    let unknown = ask(&post, &["-serial", &never]);
    assert!(unknown.out.contains(": unknown"), "{unknown:?}");
    let server = post.root().join("pki/server.pem");
    let own = eventually(Duration::from_secs(10), || {
        let own = ask(&post, &["-cert", path_text(&server)]);
        own.out
            .contains(": good")
            .then_some(own)
            .ok_or("not noted".to_owned())
    });
    assert!(own.out.contains(": good"), "{own:?}");
    // Who is shown the certificate finds the responder in it.
    let named = openssl(&[
        "x509",
        "-in",
        certificate,
        "-noout",
        "-ocsp_uri",
        "-ext",
        "crlDistributionPoints,authorityInfoAccess",
    ]);
    let base = format!("http://{}/ca/", post.socket(Port::Http));
    for path in ["ocsp", "ca.crl", "ca.crt"] {
        assert!(named.out.contains(&format!("{base}{path}")), "{named:?}");
    }
    let authority = curl(&post, Port::Http, "/ca/ca.crt", &[]);
    let anchor = std::fs::read(post.ca()).unwrap();
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    assert_eq!(
        CertificateDer::from_pem_slice(&anchor).unwrap().as_ref(),
        authority.body
    );
}

#[test]
fn answers_to_get_may_be_kept_and_garbage_is_refused() {
    if !tools::have(&["openssl", "curl", "python3"]) {
        return;
    }
    let (post, credentials) = publishing(&[HOLDER]);
    let (ca, question) = (post.ca(), post.scratch().join("question"));
    let asked = openssl(&[
        "ocsp",
        "-issuer",
        path_text(&ca),
        "-cert",
        path_text(&credentials[0].certificate),
        "-no_nonce",
        "-reqout",
        path_text(&question),
    ]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let encoding = "import base64,sys,urllib.parse as u;print(u.quote(base64.b64encode(open(sys.argv[1],'rb').read()),safe=''))";
    let path = tools::must(
        Command::new("python3")
            .args(["-c", encoding])
            .arg(&question),
    );
    let path = format!("/ca/ocsp/{}", path.trim());
    let answer = curl(&post, Port::Http, &path, &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.field("content-type"),
        Some("application/ocsp-response")
    );
    let keep = answer.field("cache-control").unwrap();
    assert!(
        keep.starts_with("max-age=3") && keep.ends_with(", public, no-transform, must-revalidate"),
        "{keep}"
    );
    for field in ["last-modified", "expires"] {
        assert!(
            answer
                .field(field)
                .is_some_and(|date| date.ends_with(" GMT")),
            "{answer:?}"
        );
    }
    let kept = format!("If-None-Match: {}", answer.field("etag").unwrap());
    let again = curl(&post, Port::Http, &path, &["-H", &kept]);
    assert_eq!((again.status, again.body.len()), (304, 0), "{again:?}");
    // The same octets by POST; garbage is malformedRequest (1), in a response of five octets.
    let by_post = |file: &str, kind: &str| {
        let (data, kind) = (format!("@{file}"), format!("Content-Type: {kind}"));
        curl(
            &post,
            Port::Http,
            "/ca/ocsp",
            &["--data-binary", &data, "-H", &kind],
        )
    };
    let posted = by_post(path_text(&question), "application/ocsp-request");
    assert_eq!(posted.body, answer.body);
    assert_eq!(posted.field("cache-control"), Some("no-store"));
    let garbage = post.scratch().join("garbage");
    std::fs::write(&garbage, [0x30; 100]).unwrap();
    let refused = by_post(path_text(&garbage), "application/ocsp-request");
    assert_eq!(
        (refused.status, &refused.body[..]),
        (200, &[0x30, 3, 0x0a, 1, 1][..])
    );
    assert_eq!(by_post(path_text(&question), "text/plain").status, 415);
    std::fs::write(&garbage, vec![0x30; 100_000]).unwrap();
    let large = by_post(path_text(&garbage), "application/ocsp-request");
    assert_eq!(large.status, 413);
    assert_eq!(curl(&post, Port::Http, "/ca/ocsp/@@", &[]).status, 400);
    assert_eq!(curl(&post, Port::Http, "/ca/ocsp", &[]).status, 405);
}

#[test]
fn openssl_checks_certificates_against_the_list() {
    if !tools::have(&["openssl", "curl"]) {
        return;
    }
    let (mut post, credentials) = publishing(&[HOLDER, OTHER]);
    let verify = |post: &Post, list: &Path, credential: &Credential| {
        let ca = post.ca();
        openssl(&[
            "verify",
            "-crl_check",
            "-CAfile",
            path_text(&ca),
            "-CRLfile",
            path_text(list),
            path_text(&credential.certificate),
        ])
    };
    let empty = list_of(&post, 0);
    let first = number_of(&empty);
    assert!(
        verify(&post, &empty, &credentials[0])
            .out
            .ends_with(": OK\n")
    );
    let serial = revoke(&post, HOLDER, "superseded");
    let list = list_of(&post, 1);
    let refused = verify(&post, &list, &credentials[0]);
    assert!(refused.err.contains("certificate revoked"), "{refused:?}");
    assert!(
        verify(&post, &list, &credentials[1])
            .out
            .ends_with(": OK\n")
    );
    assert!(number_of(&list) > first);
    let shown = show_list(&post.scratch().join("ca.crl")).to_ascii_lowercase();
    assert!(
        shown.contains(&serial) && shown.contains("superseded"),
        "{shown}"
    );
    // Over a restart it is the same list, and numbers go on.
    let before = number_of(&list);
    post.stop();
    post.start();
    assert_eq!(number_of(&list_of(&post, 1)), before);
    revoke(&post, OTHER, "cessation");
    assert!(number_of(&list_of(&post, 2)) > before);
}

#[test]
fn a_revoked_device_is_out_at_once_and_a_renewed_one_stays() {
    let (post, credentials) = Post::serving(&[HOLDER, OTHER]);
    let mut live = post.imap(&credentials[0]).unwrap();
    live.ok("SELECT INBOX").unwrap();
    let mut spared = post.imap(&credentials[1]).unwrap();
    let old = serial(&post, HOLDER);
    let (address, folder) = (post.mailbox(HOLDER), post.scratch().join("renewed"));
    let out = path_text(&folder);
    let unknown = post.knik(&[
        "account", "renew", &address, "--serial", "4711", "--out", out,
    ]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("certificate 4711"), "{unknown:?}");
    let renewed = post.json(&["account", "renew", &address, "--serial", &old, "--out", out]);
    assert_eq!(renewed[0]["renews"], old.as_str());
    let renewed = Credential {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    // Both open the mailbox until the old one is revoked.
    post.imap(&credentials[0]).unwrap();
    post.imap(&renewed).unwrap();
    let unrevoked = post.knik(&[
        "account", "revoke", &address, "--serial", &old, "--why", "lost",
    ]);
    assert_eq!(unrevoked.code, 2, "{unrevoked:?}");
    assert!(unrevoked.err.contains("lost"), "{unrevoked:?}");
    let revoked = post.json(&[
        "account",
        "revoke",
        &address,
        "--serial",
        &old.to_ascii_uppercase(),
        "--why",
        "superseded",
    ]);
    let began = Instant::now();
    let goodbye = live.response().unwrap();
    assert!(goodbye.text.starts_with("* BYE"), "{goodbye:?}");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let refused = post.imap(&credentials[0]).err().unwrap();
    assert!(refused.contains("revoked"), "{refused}");
    spared.ok("NOOP").unwrap();
    post.imap(&renewed).unwrap();
    let again = post.knik(&["account", "revoke", &address, "--serial", &old]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("is revoked since"), "{again:?}");
    // What became of each is shown, and is evidence.
    let states: Vec<(Value, Value)> = devices(&post, HOLDER)
        .into_iter()
        .map(|device| (device["serial"].clone(), device["state"].clone()))
        .collect();
    assert!(
        states.contains(&(Value::from(old.as_str()), "revoked".into())),
        "{states:?}"
    );
    assert!(
        states.iter().any(|(_, state)| state == "valid"),
        "{states:?}"
    );
    let told = post.evidence(&["--account", &address, "--event", "account-revoked"]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["id"], revoked[0]["evidence"]);
}

#[test]
fn the_posts_own_judge_believes_the_list_and_the_responder() {
    let mut post = Post::new();
    post.account(HOLDER);
    let device = post.enrol(HOLDER);
    post.set("crl_interval", "\"1s\"").unwrap();
    post.set("revocation", "\"hard\"").unwrap();
    let base = format!("http://{}/ca", post.socket(Port::Http));
    for (key, value, other) in [
        ("crl", format!("[\"{base}/ca.crl\"]"), ("ocsp", "\"off\"")),
        ("ocsp", format!("\"{base}/ocsp\""), ("crl", "[]")),
    ] {
        post.set(key, &value).unwrap();
        post.set(other.0, other.1).unwrap();
        post.start();
        // Nobody is let in on a hard source that has not spoken; this one does.
        eventually(Duration::from_secs(20), || post.imap(&device).map(drop));
        post.stop();
    }
    // And without any source nobody is.
    post.set("crl", "[]").unwrap();
    post.set("ocsp", "\"off\"").unwrap();
    post.start();
    assert!(post.imap(&device).is_err());
}
