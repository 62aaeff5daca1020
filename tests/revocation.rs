//! What a revocation does, wherever it is heard of: lists by URL, `openssl ocsp`, and while holders are logged in.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::CustomExtension;

use crate::harness::letters::letter;
use crate::harness::pki::Outside;
use crate::harness::post::{Port, path_text, text};
use crate::harness::sites::{Gatekeeper, Responder, Site};
use crate::harness::{Credential, Imap, Post, eventually, tools};

const HOLDER: &str = "2503851234";
const OTHER: &str = "2503851235";

/// A post, not started, that believes an outside authority; `change` is made to the lines of its table.
fn believing(changes: &[(&str, &str)]) -> (Post, Outside) {
    let post = Post::new();
    post.account(HOLDER);
    post.account(OTHER);
    let outside = post.trust_outside("outside", "subject.serialNumber");
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, table) = text.rsplit_once("[[trust]]").unwrap();
    let mut table = table.to_owned();
    for (from, to) in changes {
        assert!(table.contains(from), "{from}: {table}");
        table = table.replace(from, to);
    }
    std::fs::write(post.config(), format!("{before}[[trust]]{table}")).unwrap();
    (post, outside)
}

fn issue(post: &Post, outside: &Outside, name: &str, serial: &str) -> Credential {
    outside.issue(&post.scratch().join(name), name, Some(serial), 30)
}

/// What the server says to a holder who may not come in.
fn refusal(post: &Post, credential: &Credential) -> String {
    post.imap(credential)
        .err()
        .unwrap_or_else(|| "let in".to_owned())
}

#[test]
fn a_list_by_url_takes_effect_on_whoever_idles() {
    let site = Site::new();
    let list = format!("crl = [\"{}\"]", site.url());
    let hard = [("crl = []", list.as_str()), ("\"off\"", "\"hard\"")];
    let (mut post, outside) = believing(&hard);
    post.set("crl_interval", "\"1s\"").unwrap();
    site.show(outside.revocation_list(&[]).as_bytes());
    post.start();
    let first = issue(&post, &outside, "FIRST", HOLDER);
    let second = issue(&post, &outside, "SECOND", OTHER);
    let mut live = eventually(Duration::from_secs(10), || post.imap(&first));
    live.ok("SELECT INBOX").unwrap();
    live.send("IDLE").unwrap();
    assert!(live.response().unwrap().text.starts_with('+'));
    let mut spared = post.imap(&second).unwrap();
    // Nothing new is fetched as long as nothing is new.
    let looks = |post: &Post| post.log().matches("a CRL was fetched").count();
    eventually(Duration::from_secs(10), || match site.asked() {
        (_, unchanged) if unchanged > 1 => Ok(()),
        asked => Err(format!("{asked:?}")),
    });
    assert_eq!(looks(&post), 1);
    site.show(outside.revocation_list_numbered(2, &[1]).as_bytes());
    let began = Instant::now();
    let goodbye = live.response().unwrap();
    assert_eq!(
        goodbye.text,
        "* BYE Your certificate has been revoked (cert-revoked)"
    );
    // A second until the list is asked for, and what is promised from then on.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(11), "{took:?}");
    spared.ok("NOOP").unwrap();
    // The list from before is sent again, and one that somebody else signed: nothing is unlearned.
    let refusals = post
        .log()
        .matches("older than the one that is held")
        .count();
    site.show(outside.revocation_list(&[]).as_bytes());
    eventually(Duration::from_secs(15), || {
        let now = post
            .log()
            .matches("older than the one that is held")
            .count();
        if now > refusals {
            Ok(())
        } else {
            Err("it is not refused".to_owned())
        }
    });
    site.show(
        Outside::new("outside CA")
            .revocation_list_numbered(9, &[])
            .as_bytes(),
    );
    eventually(Duration::from_secs(15), || {
        let log = post.log();
        if log.contains("or its signature does not hold") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert!(refusal(&post, &first).contains("Your certificate has been revoked"));
    // Nor after a restart while the authority is away.
    site.hide();
    post.stop();
    post.start();
    assert!(refusal(&post, &first).contains("Your certificate has been revoked"));
    post.imap(&second).unwrap();
    assert!(post.is_serving());
}

/// The authority's files for `openssl ocsp`, with these certificates revoked of those numbered 1 to 9.
fn book(post: &Post, outside: &Outside, revoked: &[u32]) -> PathBuf {
    let folder = post.scratch().join("book");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), outside.pem()).unwrap();
    std::fs::write(folder.join("ca.key"), outside.key_pem()).unwrap();
    write_book(&folder, revoked);
    folder
}

fn write_book(folder: &Path, revoked: &[u32]) {
    let line = |number: u32| {
        let (state, when) = if revoked.contains(&number) {
            ("R", "250101000000Z,keyCompromise")
        } else {
            ("V", "")
        };
        format!("{state}\t991231235959Z\t{when}\t0{number}\tunknown\t/CN=x{number}\n")
    };
    std::fs::write(
        folder.join("index.txt"),
        (1..=9).map(line).collect::<String>(),
    )
    .unwrap();
}

#[test]
fn a_stock_responder_is_asked_before_anybody_is_let_in() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let (mut post, outside) = believing(&[("\"off\"", "\"hard\"")]);
    let responder = Responder::start(&book(&post, &outside, &[2]));
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, table) = text.rsplit_once("ocsp = \"\"").unwrap();
    let text = format!("{before}ocsp = \"{}\"{table}", responder.url());
    std::fs::write(post.config(), text).unwrap();
    post.start();
    let good = issue(&post, &outside, "GOOD", HOLDER);
    let revoked = issue(&post, &outside, "REVOKED", OTHER);
    post.contract("Ministry", "127.0.0.2", "ministry.example");
    let octets = letter("<one@ministry.example>", &post.mailbox(HOLDER), 100);
    let to = post.mailbox(HOLDER);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &[&to], &octets)
        .unwrap();
    let mut live = post.imap(&good).unwrap();
    assert!(refusal(&post, &revoked).contains("Your certificate has been revoked"));
    what_it_leant_on_is_shown_to_strangers(&post);
    // Another connection within minutes asks nobody.
    let again = issue(&post, &outside, "AGAIN", HOLDER);
    drop(responder);
    post.imap(&good).unwrap();
    live.ok("NOOP").unwrap();
    assert!(refusal(&post, &again).contains("Your certificate cannot be checked at the moment"));
    let metrics = post.scratch().join("metrics");
    let url = format!("http://{}/metrics", post.socket(Port::Http));
    tools::must(Command::new("curl").args(["-s", "-o", path_text(&metrics), &url]));
    let metrics = std::fs::read_to_string(metrics).unwrap();
    for line in [
        "knik_ocsp_total{answer=\"good\"} 1",
        "knik_ocsp_total{answer=\"revoked\"} 1",
        "knik_certificates_refused_total{cause=\"revoked\"} 1",
        "knik_certificates_refused_total{cause=\"revocation-unknown\"} 1",
    ] {
        assert!(
            metrics.lines().any(|there| there == line),
            "{line}: {metrics}"
        );
    }
    let log = post.log();
    assert!(!log.contains(HOLDER) && !log.contains("REVOKED"), "{log}");
}

/// The certificate, its issuer and the answer of the time are in the bundle of `logged-in`, under the digests it states; a
/// bundle with another answer is refuted.
fn what_it_leant_on_is_shown_to_strangers(post: &Post) {
    let logged_in = post.evidence(&["--event", "logged-in"]);
    assert_eq!(logged_in.len(), 1);
    let id = text(&logged_in[0], "id");
    let event = &post.json(&["evidence", "show", &id, "--format", "json"])[0];
    let said = event.to_string();
    assert!(
        said.contains("\"source\":\"ocsp\"") && said.contains("\"status\":\"good\""),
        "{said}"
    );
    let bundle = post.scratch().join("bundle.zip");
    let zip = path_text(&bundle);
    post.must(&["evidence", "export", &id, "--out", zip]);
    let folder = post.scratch().join("bundle");
    let unpack = ["-m", "zipfile", "-e", zip, path_text(&folder)];
    tools::must(Command::new("python3").args(unpack));
    let listing = std::fs::read_dir(folder.join("chain")).unwrap();
    let names: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    let ending = |wanted: &str| {
        let is = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == wanted);
        names.iter().filter(is).count()
    };
    assert_eq!((ending("ocsp"), ending("crl")), (1, 0), "{names:?}");
    let issuers = event["issuers"].as_array().unwrap();
    assert_eq!(issuers.len(), 1, "{event}");
    for digest in [&event["actor"]["certificate"], &issuers[0]] {
        let file = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        let file = folder.join(format!("chain/{}.pem", &file[..16]));
        assert!(names.contains(&file), "{file:?}: {names:?}");
    }
    let said = tools::must(Command::new("sh").arg("VERIFY.txt").current_dir(&folder));
    assert!(
        said.contains("every step held") && said.contains("Cert Status: good"),
        "{said}"
    );
    let anchors = post.anchors();
    post.must(&["verify", zip, "--anchors", path_text(&anchors)]);
    let other = "import sys,zipfile,hashlib\n\
        a=zipfile.ZipFile(sys.argv[1]); b=zipfile.ZipFile(sys.argv[2],'w')\n\
        for n in a.namelist():\n  d=a.read(n)\n  if n.endswith('.ocsp'): d=d[:-1]+bytes([d[-1]^1]); \
        n='chain/'+hashlib.sha256(d).hexdigest()[:16]+'.ocsp'\n  b.writestr(n,d)\n";
    let forged = post.scratch().join("forged.zip");
    tools::must(Command::new("python3").args(["-c", other, zip, path_text(&forged)]));
    let ended = post.knik(&[
        "verify",
        path_text(&forged),
        "--anchors",
        path_text(&anchors),
    ]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("nothing in the bundle speaks of it"),
        "{ended:?}"
    );
    post.must(&["audit"]);
}

#[test]
fn an_operator_asks_what_is_thought_of_a_certificate() {
    let (post, outside) = believing(&[
        ("\"off\"", "\"soft\""),
        ("map = [", "policies = [\"1.2.3\"]\nmap = ["),
    ]);
    let stated = |name: &str, serial: &str| {
        outside.issue_with(&post.scratch().join(name), name, Some(serial), |params| {
            // SEQUENCE { SEQUENCE { 1.2.3 } }
            let content = vec![0x30, 6, 0x30, 4, 0x06, 2, 0x2a, 3];
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[2, 5, 29, 32], content)];
        })
    };
    let check = |credential: &Credential| {
        post.knik(&[
            "trust",
            "check",
            path_text(&credential.certificate),
            "--json",
        ])
    };
    let good = check(&stated("GOOD", HOLDER));
    assert_eq!(good.code, 0, "{good:?}");
    assert!(
        good.out
            .lines()
            .any(|line| line.contains("\"trust\":\"outside\"") && line.contains("\"valid\""))
    );
    let nobody = check(&stated("NOBODY", "9999999999"));
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("names no account"), "{nobody:?}");
    let other = check(&issue(&post, &outside, "OTHER", HOLDER));
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.out.contains("wrong-policy"), "{other:?}");
    let missing = post.knik(&["trust", "check", "/nowhere.pem"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("/nowhere.pem"), "{missing:?}");
}

#[test]
fn a_slow_responder_delays_nobody_and_is_heard_when_it_answers() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let (mut post, outside) = believing(&[("\"off\"", "\"soft\"")]);
    let responder = Responder::start(&book(&post, &outside, &[1]));
    let gatekeeper = Gatekeeper::before(responder.port);
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, table) = text.rsplit_once("ocsp = \"\"").unwrap();
    let url = format!("http://127.0.0.1:{}/", gatekeeper.port);
    std::fs::write(post.config(), format!("{before}ocsp = \"{url}\"{table}")).unwrap();
    post.start();
    let revoked = issue(&post, &outside, "REVOKED", HOLDER);
    let good = issue(&post, &outside, "GOOD", OTHER);
    let mut live = post.imap(&revoked).unwrap();
    live.ok("SELECT INBOX").unwrap();
    live.send("IDLE").unwrap();
    assert!(live.response().unwrap().text.starts_with('+'));
    gatekeeper.open();
    let began = Instant::now();
    assert_eq!(
        live.response().unwrap().text,
        "* BYE Your certificate has been revoked (cert-revoked)"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(refusal(&post, &revoked).contains("Your certificate has been revoked"));
    post.imap(&good).unwrap();
}

/// authorityInfoAccess with one OCSP responder.
fn naming(url: &str) -> CustomExtension {
    let short = |octets: usize| u8::try_from(octets).unwrap();
    let location = [&[0x86, short(url.len())][..], url.as_bytes()].concat();
    let method = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let one = [&method[..], &location].concat();
    let one = [&[0x30, short(one.len())][..], &one].concat();
    let all = [&[0x30, short(one.len())][..], &one].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], all)
}

#[test]
fn a_certificate_may_name_its_responder_but_not_one_of_ours() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let (mut post, outside) = believing(&[("\"off\"", "\"hard\"")]);
    let responder = Responder::start(&book(&post, &outside, &[3]));
    post.start();
    let named = |name: &str, serial: &str| {
        let folder = post.scratch().join(name);
        outside.issue_with(&folder, name, Some(serial), |params| {
            params.custom_extensions = vec![naming(&responder.url())];
        })
    };
    let (first, second, revoked) = (named("A", HOLDER), named("B", HOLDER), named("C", OTHER));
    // The responder is on this machine, where nobody told us to ask.
    assert!(refusal(&post, &first).contains("cannot be checked at the moment"));
    let host = format!("[\"127.0.0.1:{}\"]", responder.port);
    post.set("private_hosts", &host).unwrap();
    post.signal(Signal::SIGHUP);
    eventually(Duration::from_secs(10), || {
        if post.log().contains("reloaded: ") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    post.imap(&second).unwrap();
    assert!(refusal(&post, &revoked).contains("Your certificate has been revoked"));
}

#[test]
fn a_session_that_is_offered_again_is_judged_again() {
    let (mut post, outside) = believing(&[("\"off\"", "\"soft\"")]);
    let list = post.scratch().join("outside.crl");
    std::fs::write(&list, outside.revocation_list(&[])).unwrap();
    let text = std::fs::read_to_string(post.config()).unwrap();
    let (before, table) = text.rsplit_once("crl = []").unwrap();
    let text = format!("{before}crl = [\"{}\"]{table}", list.display());
    std::fs::write(post.config(), text).unwrap();
    post.start();
    let credential = issue(&post, &outside, "HOLDER", HOLDER);
    // One configuration keeps its sessions and offers them again.
    let tls = post.tls(Some(&credential));
    let connect = || -> Result<Imap, String> {
        let channel = post.connect(Ipv4Addr::LOCALHOST, Port::Imaps);
        let mut channel = channel.map_err(|e| e.to_string())?;
        let began = channel.start_tls(tls.clone(), &post.host);
        began.map_err(|e| e.to_string())?;
        let mut imap = Imap::greet(channel)?;
        imap.authenticate()?;
        Ok(imap)
    };
    for _ in 0..2 {
        connect().unwrap().ok("LOGOUT").unwrap();
    }
    std::fs::write(&list, outside.revocation_list_numbered(2, &[1])).unwrap();
    post.signal(Signal::SIGHUP);
    let refused = eventually(Duration::from_secs(10), || match connect() {
        Ok(_) => Err("let in".to_owned()),
        Err(why) => Ok(why),
    });
    assert!(
        refused.contains("Your certificate has been revoked"),
        "{refused}"
    );
}
