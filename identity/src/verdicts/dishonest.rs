//! Certificates that no honest library makes, from the `openssl` command.

use rustls_pki_types::pem::PemObject;

use super::*;
use crate::certificate::Certificate;
use crate::forge::OpenSsl;

/// One row: digest, key, subject, extensions ("" makes a v1 certificate), rules and the verdict.
type Row<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a [MapRule],
    Verdict,
);

/// Makes a self-signed authority; its certificate, PEM.
fn authority(openssl: &OpenSsl, key: &str) -> String {
    let arguments = format!(
        "req -x509 -newkey {key} -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=CA -addext keyUsage=critical,keyCertSign"
    );
    openssl
        .run(&arguments.split(' ').collect::<Vec<_>>())
        .unwrap();
    String::from_utf8(openssl.read("ca.pem")).unwrap()
}

/// Lets the authority issue to `subject`; the certificate and an hour within its validity.
fn issue(
    openssl: &OpenSsl,
    digest: &str,
    key: &str,
    subject: &str,
    extensions: &str,
) -> (CertificateDer<'static>, Timestamp) {
    let request = format!("req -newkey {key} -nodes -keyout k -out r -subj");
    let request: Vec<&str> = request.split(' ').chain([subject]).collect();
    openssl.run(&request).unwrap();
    openssl.write("ext", extensions.as_bytes());
    let sign = format!(
        "x509 -req -in r -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out c -{digest}"
    );
    let with = if extensions.is_empty() {
        &[][..]
    } else {
        &["-extfile", "ext"]
    };
    openssl
        .run(
            &sign
                .split(' ')
                .chain(with.iter().copied())
                .collect::<Vec<_>>(),
        )
        .unwrap();
    let der = CertificateDer::from_pem_slice(&openssl.read("c")).unwrap();
    let begin = Certificate::from_der(&der).unwrap().not_before();
    (der, Timestamp::from_millis(begin.as_millis() + 3_600_000))
}

#[test]
fn certificates_no_honest_library_makes() {
    let Some(openssl) = forge::openssl() else {
        return;
    };
    let ec = "ec -pkeyopt ec_paramgen_curve:P-256";
    let client = "basicConstraints=CA:false\nextendedKeyUsage=clientAuth\n";
    let single = "/C=AM/CN=SURNAME GIVENNAME 2503851234/serialNumber=2503851234";
    let ambiguous = || Err(Cause::Ambiguous);
    #[rustfmt::skip]
    let rows: Vec<Row<'_>> = vec![
        ("plain", "sha256", ec, single, client, &[Serial, Tail], names(&[PSN])),
        ("RSA 2048", "sha256", "rsa:2048", single, client, &[Serial], names(&[PSN])),
        ("RSA 1024", "sha256", "rsa:1024", single, client, &[Serial], Err(Cause::WeakKey)),
        ("RSA 2047", "sha256", "rsa:2047", single, client, &[Serial], Err(Cause::WeakKey)),
        ("P-384", "sha384", "ec -pkeyopt ec_paramgen_curve:P-384", single, client, &[Serial], names(&[PSN])),
        ("P-521", "sha512", "ec -pkeyopt ec_paramgen_curve:P-521", single, client, &[Serial], names(&[PSN])),
        ("P-224", "sha256", "ec -pkeyopt ec_paramgen_curve:P-224", single, client, &[Serial], Err(Cause::WeakKey)),
        ("secp256k1", "sha256", "ec -pkeyopt ec_paramgen_curve:secp256k1", single, client, &[Serial], Err(Cause::WeakKey)),
        ("Ed25519", "sha256", "ed25519", single, client, &[Serial], names(&[PSN])),
        ("SHA-1", "sha1", ec, single, client, &[Serial], Err(Cause::WeakSignature)),
        ("version 1", "sha256", ec, single, "", &[Serial], Err(Cause::WrongPurpose)),
        ("two serialNumbers", "sha256", ec, "/CN=X/serialNumber=2503851234/serialNumber=1111111111", client, &[Serial], ambiguous()),
        ("twice the same", "sha256", ec, "/serialNumber=2503851234/CN=X/serialNumber=2503851234", client, &[Serial], ambiguous()),
        ("two in one RDN", "sha256", ec, "/CN=X/serialNumber=2503851234+serialNumber=1111111111", client, &[Serial], ambiguous()),
        ("two under the PNO rule", "sha256", ec, "/serialNumber=PNOAM-1111111111/serialNumber=PNOAM-2503851234", client, &[Pno], ambiguous()),
        ("one in a shared RDN", "sha256", ec, "/CN=X+serialNumber=2503851234", client, &[Serial], names(&[PSN])),
        ("two CNs", "sha256", ec, "/CN=A 1111111111/CN=B 2503851234", client, &[Tail], ambiguous()),
        ("slash inside CN", "sha256", ec, "/CN=X\\/serialNumber=2503851234", client, &[Serial], Err(Cause::NoName)),
        ("a second rule refuses all", "sha256", ec, "/CN=A/CN=B/serialNumber=2503851234", client, &[Serial, Tail], ambiguous()),
    ];
    let anchors = authority(&openssl, "rsa:2048");
    for (row, digest, key, subject, extensions, map, expected) in rows {
        let (der, now) = issue(&openssl, digest, key, subject, extensions);
        let trust = Trust::new("outside", &anchors, map.to_vec()).unwrap();
        assert_eq!(verdict(&[der], &[trust], now), expected, "{row}");
    }
}

#[test]
fn weak_authorities_sign_nothing() {
    let Some(openssl) = forge::openssl() else {
        return;
    };
    for (key, expected) in [
        ("rsa:2048", names(&["1"])),
        ("rsa:1024", Err(Cause::UnknownIssuer)),
    ] {
        let anchors = authority(&openssl, key);
        let (der, now) = issue(
            &openssl,
            "sha256",
            "rsa:2048",
            "/serialNumber=1",
            "extendedKeyUsage=clientAuth\n",
        );
        let trust = Trust::new("outside", &anchors, vec![Serial]).unwrap();
        assert_eq!(verdict(&[der], &[trust], now), expected, "{key}");
    }
}
