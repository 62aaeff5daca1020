//! One-time links: a page that changes nothing when it is looked at, and one certificate for whoever uses it first.

use std::path::PathBuf;
use std::process::Command;

use super::{Answer, HOLDER, curl};
use crate::harness::post::{Ended, Port, path_text, text};
use crate::harness::{Credential, Post, tools};

/// The path of a new link.
fn link(post: &Post, local: &str) -> String {
    let made = post.json(&["account", "enrol", &post.mailbox(local), "--link"]);
    let url = text(&made[0], "link");
    let base = format!("https://{}:{}", post.host, post.socket(Port::Https).port());
    url.strip_prefix(&base)
        .unwrap_or_else(|| panic!("{url}"))
        .to_owned()
}

fn post_with_account() -> Post {
    let (post, _) = Post::serving(&[]);
    post.account(HOLDER);
    post
}

fn enrolled(post: &Post) -> Vec<serde_json::Value> {
    post.evidence(&["--event", "account-enrolled"])
}

/// What stands between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before}: {text}"));
    rest.split_once(after).unwrap().0
}

fn assert_page(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    let policy = answer.field("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    assert!(!answer.text().contains("<script"), "{}", answer.text());
}

#[test]
fn a_link_is_looked_at_often_and_used_once() {
    if !tools::have(&["curl", "openssl", "python3"]) {
        return;
    }
    let mut post = post_with_account();
    let path = link(&post, HOLDER);
    for (query, word) in [
        ("", "Վկայական"),
        ("?lang=ru", "Сертификат"),
        ("?lang=en", "A certificate"),
    ] {
        let looked = curl(&post, Port::Https, &format!("{path}{query}"), &[]);
        assert_page(&looked, 200);
        assert!(looked.text().contains(word), "{}", looked.text());
        assert!(looked.text().contains(&post.mailbox(HOLDER)));
    }
    assert_eq!(
        curl(&post, Port::Https, "/enrol.css", &[]).field("content-type"),
        Some("text/css; charset=utf-8")
    );
    // Nothing over plain HTTP, nothing without the whole token, nothing to a form that is none of ours.
    assert_eq!(curl(&post, Port::Http, &path, &[]).status, 403);
    assert_eq!(
        curl(&post, Port::Http, &path, &["-d", "do=key"]).status,
        403
    );
    assert_page(
        &curl(
            &post,
            Port::Https,
            &path[..path.len() - 1],
            &["-d", "do=key"],
        ),
        404,
    );
    let other = path.replace(&path[path.len() - 3..], "AAA");
    assert_page(&curl(&post, Port::Https, &other, &["-d", "do=key"]), 404);
    assert_eq!(
        curl(&post, Port::Https, &path, &["-d", "do=what"]).status,
        400
    );
    assert_eq!(enrolled(&post).len(), 0);
    // The token itself is in no file of the post.
    let token = path.rsplit('/').next().unwrap();
    let found = Ended::of(Command::new("grep").arg("-raF").arg(token).arg(post.root()));
    assert_eq!(found.code, 1, "{found:?}");
    post.stop();
    post.start();

    let made = curl(
        &post,
        Port::Https,
        &format!("{path}?lang=en"),
        &["-d", "do=key"],
    );
    assert_page(&made, 200);
    let password = between(&made.text(), "<code>", "</code>").to_owned();
    let again = curl(
        &post,
        Port::Https,
        &format!("{path}?lang=en"),
        &["-d", "do=key"],
    );
    assert_page(&again, 410);
    assert!(!again.text().contains(&password));
    let told = enrolled(&post);
    assert_eq!(told.len(), 1);
    let event = post
        .json(&["evidence", "show", &text(&told[0], "id")])
        .remove(0);
    let event = event.to_string();
    for part in [
        "\"how\":\"link-key\"",
        "\"auth\":[\"tls\",\"link\"]",
        "\"kind\":\"holder\"",
    ] {
        assert!(event.contains(part), "{part}: {event}");
    }
    // The file opens with the password, in openssl and inside the profile; the device opens the mailbox.
    let bundle = fetched(&post, &path, "bundle.p12", "application/x-pkcs12");
    let device = opened(&post, &bundle, &password);
    post.imap(&device).unwrap();
    let profile = fetched(
        &post,
        &path,
        "post.mobileconfig",
        "application/x-apple-aspen-config",
    );
    assert_profile(&post, &profile, &bundle);
    // That the files are there yet is said, the password is not.
    let later = curl(&post, Port::Https, &format!("{path}?lang=en"), &[]);
    assert_page(&later, 200);
    assert!(!later.text().contains(&password) && later.text().contains("bundle.p12"));
}

fn fetched(post: &Post, path: &str, name: &str, kind: &str) -> PathBuf {
    let answer = curl(post, Port::Https, &format!("{path}/{name}"), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some(kind));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(
        answer.field("content-disposition"),
        Some(format!("attachment; filename=\"{name}\"").as_str())
    );
    let file = post.scratch().join(name);
    std::fs::write(&file, &answer.body).unwrap();
    file
}

/// Certificate and key of a PKCS #12 file, by openssl.
fn opened(post: &Post, bundle: &std::path::Path, password: &str) -> Credential {
    let password = format!("pass:{password}");
    let part = |options: &[&str]| {
        tools::must(
            Command::new("openssl")
                .args(["pkcs12", "-nodes", "-passin", &password, "-in"])
                .arg(bundle)
                .args(options),
        )
    };
    assert!(part(&["-info", "-noout"]).contains("AES-256-CBC"));
    Credential::write(
        &post.scratch().join("from-link"),
        &part(&["-clcerts", "-nokeys"]),
        &part(&["-nocerts"]),
    )
}

fn assert_profile(post: &Post, profile: &std::path::Path, bundle: &std::path::Path) {
    let script = "\
import plistlib, sys
plist = plistlib.load(open(sys.argv[1], 'rb'))
assert plist['PayloadType'] == 'Configuration', plist
parts = {part['PayloadType']: part for part in plist['PayloadContent']}
assert parts['com.apple.security.pkcs12']['PayloadContent'] == open(sys.argv[2], 'rb').read()
assert 'Password' not in parts['com.apple.security.pkcs12']
assert parts['com.apple.security.root']['PayloadContent'][:1] == b'0'
mail = parts['com.apple.mail.managed']
assert mail['EmailAccountType'] == 'EmailTypeIMAP' and mail['IncomingMailServerUseSSL'] is True
print(mail['EmailAddress'], mail['IncomingMailServerHostName'], mail['IncomingMailServerPortNumber'])
assert len({part['PayloadUUID'] for part in [plist, *parts.values()]}) == 4
";
    let printed = tools::must(
        Command::new("python3")
            .args(["-c", script])
            .arg(profile)
            .arg(bundle),
    );
    let expected = format!(
        "{} {} {}",
        post.mailbox(HOLDER),
        post.host,
        Port::Imaps as u16
    );
    assert_eq!(printed.trim(), expected);
}

#[test]
fn of_many_who_use_a_link_at_once_one_is_served() {
    if !tools::have(&["curl"]) {
        return;
    }
    let post = post_with_account();
    let path = link(&post, HOLDER);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = || curl(&post, Port::Https, &path, &["-d", "do=key"]).status;
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(served, 1, "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 410].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(enrolled(&post).len(), 1);
}

#[test]
fn a_key_that_stays_with_its_holder_is_certified() {
    if !tools::have(&["curl", "openssl"]) {
        return;
    }
    let post = post_with_account();
    let folder = post.scratch().join("own");
    std::fs::create_dir(&folder).unwrap();
    let request = |kind: &[&str], name: &str| {
        let (key, file) = (folder.join(format!("{name}.key")), folder.join(name));
        tools::must(
            Command::new("openssl")
                .args([
                    "req",
                    "-new",
                    "-nodes",
                    "-subj",
                    "/CN=somebody else",
                    "-newkey",
                ])
                .args(kind)
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&file),
        );
        (key, file)
    };
    // By a program: the request as the body, in PEM or DER.
    let path = link(&post, HOLDER);
    let (key, file) = request(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "ec");
    let by_program = |path: &str, file: &std::path::Path| {
        let data = format!("@{}", file.display());
        curl(
            &post,
            Port::Https,
            path,
            &[
                "--data-binary",
                &data,
                "-H",
                "Content-Type: application/pkcs10",
            ],
        )
    };
    let (_, weak) = request(&["rsa:1024"], "weak");
    let refused = by_program(&path, &weak);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text().contains("P-256"), "{refused:?}");
    let certified = by_program(&path, &file);
    assert_eq!(certified.status, 200, "{}", certified.text());
    assert_eq!(
        certified.field("content-type"),
        Some("application/pem-certificate-chain")
    );
    let device = Credential::write(
        &folder.join("device"),
        &certified.text(),
        &std::fs::read_to_string(key).unwrap(),
    );
    post.imap(&device).unwrap();
    let subject = tools::must(
        Command::new("openssl")
            .args(["x509", "-noout", "-subject", "-in"])
            .arg(&device.certificate),
    );
    assert!(
        subject.contains(&post.mailbox(HOLDER)) && !subject.contains("somebody"),
        "{subject}"
    );
    // By the form of the page; the same key is not taken twice, and a link bears ten such requests.
    let path = link(&post, HOLDER);
    let by_form = |file: &std::path::Path| {
        let data = format!("request@{}", file.display());
        curl(
            &post,
            Port::Https,
            &format!("{path}?lang=en"),
            &["-d", "do=request", "--data-urlencode", &data],
        )
    };
    let twice = by_form(&file);
    assert_eq!(twice.status, 422, "{}", twice.text());
    assert!(twice.text().contains("this key has a certificate already"));
    let (_, rsa) = request(&["rsa:2048"], "rsa");
    let taken = by_form(&rsa);
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(taken.text().matches("BEGIN CERTIFICATE").count(), 2);
    let path = link(&post, HOLDER);
    for _ in 0..10 {
        assert_eq!(by_program(&path, &weak).status, 422);
    }
    assert_eq!(by_program(&path, &rsa).status, 410);
    assert_eq!(enrolled(&post).len(), 2);
    let event = post.json(&["evidence", "show", &text(&enrolled(&post)[0], "id")]);
    assert_eq!(event[0]["details"]["how"], "link-request", "{event:?}");
}

#[test]
fn what_the_command_hands_out_is_whole() {
    if !tools::have(&["openssl", "python3"]) {
        return;
    }
    let post = post_with_account();
    let folder = post.scratch().join("device");
    let made = post.json(&[
        "account",
        "enrol",
        &post.mailbox(HOLDER),
        "--out",
        path_text(&folder),
    ]);
    let bundle = folder.join("bundle.p12");
    assert_profile(&post, &folder.join("post.mobileconfig"), &bundle);
    post.imap(&opened(&post, &bundle, &text(&made[0], "password")))
        .unwrap();
    for (arguments, wanted) in [
        (&["--link", "--out", "x"][..], "--out"),
        (&["--link", "--hours", "0"], "--hours"),
        (&["--hours", "5", "--out", "x"], "--hours"),
        (&[][..], "--out"),
    ] {
        let address = post.mailbox(HOLDER);
        let refused = post.knik(&[&["account", "enrol", &address], arguments].concat());
        assert_eq!(refused.code, 2, "{arguments:?}: {refused:?}");
        assert!(refused.err.contains(wanted), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn mail_programs_are_told_where_the_mail_is() {
    if !tools::have(&["curl", "python3"]) {
        return;
    }
    let post = post_with_account();
    let read = "\
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == 'clientConfig' and root.get('version') == '1.1'
assert root.find('.//outgoingServer') is None
for server in root.iter('incomingServer'):
    print(server.get('type'), *(server.find(name).text for name in ('hostname', 'port', 'socketType', 'username', 'authentication')))
print(root.find('.//domain').text)
";
    let expected = format!(
        "imap {host} 1993 SSL %EMAILLOCALPART% TLS-client-cert\nimap {host} 1143 STARTTLS %EMAILLOCALPART% TLS-client-cert\n{}",
        post.domain,
        host = post.host
    );
    for port in [Port::Http, Port::Https] {
        for path in [
            "/.well-known/autoconfig/mail/config-v1.1.xml".to_owned(),
            format!(
                "/mail/config-v1.1.xml?emailaddress={}",
                post.mailbox("nobody")
            ),
        ] {
            let answer = curl(&post, port, &path, &[]);
            assert_eq!(answer.status, 200, "{path}");
            let file = post.scratch().join("config.xml");
            std::fs::write(&file, &answer.body).unwrap();
            let printed = tools::must(Command::new("python3").args(["-c", read]).arg(&file));
            assert_eq!(printed.trim(), expected);
        }
    }
}
