//! A log's public key as a PEM file, so that stock OpenSSL can check a checkpoint's signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::note::VerifierKey;
use crate::seal::pem;

/// `SubjectPublicKeyInfo` of an Ed25519 key up to the key itself (RFC 8410 §4).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// An Ed25519 public key as `SubjectPublicKeyInfo` in PEM.
#[must_use]
pub fn to_pem(public: &[u8; 32]) -> String {
    pem("PUBLIC KEY", &[SPKI.as_slice(), public].concat())
}

/// A public key as `SubjectPublicKeyInfo` in PEM: an Ed25519 key by its 32 octets, else a point on P-256 by its 65
/// (RFC 5480 §2).
#[must_use]
pub fn public_pem(public: &[u8]) -> String {
    const P256: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    match <&[u8; 32]>::try_from(public) {
        Ok(key) => to_pem(key),
        Err(_) => pem("PUBLIC KEY", &[P256.as_slice(), public].concat()),
    }
}

/// Reads exactly what [`to_pem`] writes.
#[must_use]
pub fn from_pem(text: &[u8]) -> Option<[u8; 32]> {
    let base64 = std::str::from_utf8(text)
        .ok()?
        .strip_prefix("-----BEGIN PUBLIC KEY-----\n")?
        .lines()
        .next()?;
    let der = STANDARD.decode(base64).ok()?;
    let public = der.strip_prefix(&SPKI)?.try_into().ok()?;
    (to_pem(&public).as_bytes() == text).then_some(public)
}

/// `chain/log-HASH.pem`; HASH is the key's id (C2SP signed-note) in 8 hexadecimal digits.
#[must_use]
pub fn file_name(key: &VerifierKey) -> String {
    format!("chain/log-{:08x}.pem", u32::from_be_bytes(key.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_what_it_writes() {
        let text = to_pem(&[7; 32]);
        assert_eq!(from_pem(text.as_bytes()), Some([7; 32]));
        for bad in [
            text.trim_end(),
            &text.replace('B', "C"),
            "",
            &format!("{text}\n"),
        ] {
            assert_eq!(from_pem(bad.as_bytes()), None, "{bad}");
        }
    }
}
