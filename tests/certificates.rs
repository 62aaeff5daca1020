//! Each class of certificate that must not open a mailbox, shown by `openssl s_client` to the running server, over TLS 1.2
//! and over TLS 1.3; and those that must.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::string::{BmpString, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose as Purpose, IsCa, KeyUsagePurpose,
};

use crate::harness::pki::{self, Outside};
use crate::harness::post::{Port, path_text};
use crate::harness::{Credential, Post, tools};

const HOLDER: &str = "2503851234";
const OTHER: &str = "2503851235";

/// What a row expects: let in, or a part of what is said to the client.
const IN: &str = "a OK ";
const NO_NAME: &str = "a NO [AUTHENTICATIONFAILED] Your certificate names no mailbox";
const NOT_HERE: &str = "a NO [AUTHENTICATIONFAILED] Your certificate is not accepted here";
const NOT_A_HOLDERS: &str = "a NO [AUTHENTICATIONFAILED] Your certificate is not a holder's";
const WRONG_PURPOSE: &str =
    "a NO [AUTHENTICATIONFAILED] Your certificate is not meant for logging in";
/// No session at all: the handshake itself is refused.
const NO_SESSION: &str = "alert";

/// What the server says to who shows a certificate and asks for its mailbox.
fn answer(post: &Post, credential: &Credential, version: &str) -> String {
    // What else is in the file is sent beside the holder's own, which then goes twice: a large one would be too large.
    let beside = match credential.chain().len() {
        1 => vec![],
        _ => vec!["-cert_chain", path_text(&credential.certificate)],
    };
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            version,
            "-cipher",
            "DEFAULT@SECLEVEL=0",
        ])
        .args(["-connect", &post.socket(Port::Imaps).to_string()])
        .args(["-CAfile", path_text(&post.ca())])
        .args(["-cert", path_text(&credential.certificate)])
        .args(beside)
        .args(["-key", path_text(&credential.key)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A server that has refused the handshake reads no more.
    let mut asked = client.stdin.take().unwrap();
    let _ = asked.write_all(b"a AUTHENTICATE EXTERNAL =\r\nb LOGOUT\r\n");
    let output = client.wait_with_output().unwrap();
    drop(asked);
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn serial(params: &mut CertificateParams, value: impl Into<DnValue>) {
    let kind = DnType::from_oid(&[2, 5, 4, 5]);
    params.distinguished_name.push(kind, value);
}

fn extension(critical: bool, octets: usize) -> CustomExtension {
    let oid = [1, 3, 6, 1, 4, 1, 99999, 1];
    let mut extension = CustomExtension::from_oid_content(&oid, vec![5; octets]);
    extension.set_criticality(critical);
    extension
}

type Change = fn(&mut CertificateParams);

#[rustfmt::skip]
const ISSUED: [(&str, Change, &str); 30] = [
    ("valid", |_| {}, IN),
    ("60 kB", |p| p.custom_extensions = vec![extension(false, 60_000)], IN),
    ("BMPString", |p| serial(p, DnValue::BmpString(BmpString::try_from(HOLDER).unwrap())), IN),
    ("PrintableString", |p| serial(p, DnValue::PrintableString(PrintableString::try_from(HOLDER).unwrap())), IN),
    ("the name at the end of CN alone", |p| {
        p.distinguished_name = DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, "ԱԶԳԱՆՈՒՆ ԱՆՈՒՆ 2503851234");
    }, IN),
    ("expired", |p| pki::valid(p, -30, -1), "Your certificate has expired"),
    ("not valid yet", |p| pki::valid(p, 1, 30), "Your certificate is not valid yet"),
    ("no purpose", |p| p.extended_key_usages.clear(), WRONG_PURPOSE),
    ("for servers", |p| p.extended_key_usages = vec![Purpose::ServerAuth], WRONG_PURPOSE),
    ("for anything", |p| p.extended_key_usages = vec![Purpose::Any], WRONG_PURPOSE),
    ("a key for commitments", |p| p.key_usages = vec![KeyUsagePurpose::ContentCommitment], WRONG_PURPOSE),
    ("an authority's", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), NOT_A_HOLDERS),
    ("unknown critical extension", |p| p.custom_extensions = vec![extension(true, 2)], NO_SESSION),
    ("no name", |p| {
        p.distinguished_name = DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, "NOBODY");
    }, NO_NAME),
    ("CN against serialNumber", |p| p.distinguished_name.push(DnType::CommonName, format!("N {OTHER}")), NO_NAME),
    ("a number without an account", |p| serial(p, "9999999999"), NO_NAME),
    ("leading zero", |p| serial(p, "02503851234"), NO_NAME),
    ("DN injection", |p| serial(p, "1/serialNumber=2503851234"), NO_NAME),
    ("DN injection with a comma", |p| serial(p, "1, serialNumber=2503851234"), NO_NAME),
    ("NUL", |p| serial(p, "2503851234\0"), NO_NAME),
    ("NUL and another", |p| serial(p, "2503851234\0.evil"), NO_NAME),
    ("space before", |p| serial(p, " 2503851234"), NO_NAME),
    ("space after", |p| serial(p, "2503851234 "), NO_NAME),
    ("full-width digits", |p| serial(p, "２５０３８５１２３４"), NO_NAME),
    ("Armenian numerals", |p| serial(p, "ԲՉԼԳ"), NO_NAME),
    ("wildcard", |p| serial(p, "*"), NO_NAME),
    ("traversal", |p| serial(p, "../2503851234"), NO_NAME),
    ("CR LF", |p| serial(p, "2503851234\r\n"), NO_NAME),
    ("a command", |p| serial(p, "2503851234\r\na OK in"), NO_NAME),
    ("empty", |p| serial(p, ""), NO_NAME),
];

/// Rows that need the `openssl` command: digest, key, subject.
#[rustfmt::skip]
const DISHONEST: [(&str, &str, &str, &str, &str); 7] = [
    ("honest", "sha256", "rsa:2048", "/CN=X/serialNumber=2503851234", IN),
    ("two serialNumbers", "sha256", "rsa:2048", "/CN=X/serialNumber=2503851234/serialNumber=2503851235", NO_NAME),
    ("the same twice", "sha256", "rsa:2048", "/CN=X/serialNumber=2503851234/serialNumber=2503851234", NO_NAME),
    ("two in one RDN", "sha256", "rsa:2048", "/CN=X/serialNumber=2503851234+serialNumber=2503851235", NO_NAME),
    ("two CNs", "sha256", "rsa:2048", "/CN=A 2503851234/CN=B 2503851235", NO_NAME),
    ("SHA-1", "sha1", "rsa:2048", "/CN=X/serialNumber=2503851234", "The signature of your certificate is too weak"),
    ("RSA 1024", "sha256", "rsa:1024", "/CN=X/serialNumber=2503851234", NO_SESSION),
];

/// A certificate from the `openssl` command, signed by the authority.
fn dishonest(
    folder: &Path,
    outside: &Outside,
    (digest, key, subject): (&str, &str, &str),
) -> Credential {
    std::fs::create_dir_all(folder).unwrap();
    for (name, content) in [
        ("ca.pem", outside.pem()),
        ("ca.key", outside.key_pem()),
        (
            "ext",
            "basicConstraints=CA:false\nextendedKeyUsage=clientAuth\n".to_owned(),
        ),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let openssl = |arguments: &[&str]| {
        tools::must(Command::new("openssl").args(arguments).current_dir(folder));
    };
    openssl(&[
        "req", "-newkey", key, "-nodes", "-keyout", "key.pem", "-out", "r", "-subj", subject,
    ]);
    let sign = format!(
        "x509 -req -in r -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -extfile ext -out cert.pem -{digest}"
    );
    openssl(&sign.split(' ').collect::<Vec<_>>());
    Credential {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    }
}

#[test]
fn only_the_holders_own_certificate_opens_a_mailbox() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let mut post = Post::new();
    post.account(HOLDER);
    post.account(OTHER);
    let outside = post.trust_outside("outside", "subject.serialNumber\", \"subject.cn-tail");
    post.start();
    let scratch = post.scratch().to_owned();
    let mut rows: Vec<(&str, Credential, &str)> = Vec::new();
    for (at, (row, change, expected)) in ISSUED.into_iter().enumerate() {
        let folder = scratch.join(format!("issued{at}"));
        rows.push((
            row,
            outside.issue_with(&folder, "X", Some(HOLDER), change),
            expected,
        ));
    }
    for (at, (row, digest, key, subject, expected)) in DISHONEST.into_iter().enumerate() {
        let folder = scratch.join(format!("made{at}"));
        rows.push((
            row,
            dishonest(&folder, &outside, (digest, key, subject)),
            expected,
        ));
    }
    let one = |name: &str| scratch.join(name);
    let (other, same) = (Outside::new("other CA"), Outside::new("outside CA"));
    rows.extend([
        (
            "another authority",
            other.issue(&one("other"), "X", Some(HOLDER), 30),
            NOT_HERE,
        ),
        (
            "an authority of the same name",
            same.issue(&one("same"), "X", Some(HOLDER), 30),
            NOT_HERE,
        ),
        (
            "self-signed",
            pki::self_signed(&one("self"), "X", Some(HOLDER), 30),
            NOT_HERE,
        ),
        (
            "issued by a holder",
            outside.issue_below_a_holder(&one("below"), HOLDER),
            NOT_A_HOLDERS,
        ),
    ]);
    for (row, credential, expected) in &rows {
        for version in ["-tls1_2", "-tls1_3"] {
            let said = answer(&post, credential, version);
            assert!(said.contains(expected), "{row}, {version}: {said}");
            assert_eq!(
                said.contains(IN),
                *expected == IN,
                "{row}, {version}: {said}"
            );
        }
    }
    assert!(post.is_serving());
}
