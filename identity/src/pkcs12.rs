//! A key and its chain in one password-protected file (PKCS #12, RFC 7292), as phones, browsers and mail clients
//! import it.
//!
//! Encryption is PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 8018), integrity HMAC-SHA-256 over the RFC 7292
//! key derivation: what OpenSSL 3, NSS, Java, Apple and Android write and read today.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use der::asn1::ObjectIdentifier;

/// Iterations of both key derivations. The password carries the strength (see [`password`]); this is what importers
/// expect at least, and a phone still opens it at once.
const ITERATIONS: u32 = 10_000;

/// Characters of a password that no reader confuses: no `0 O o`, `1 I l i`.
const ALPHABET: &[u8; 54] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ2345678";

/// Characters in a password: 20 of 54 are 115 bits.
const PASSWORD_CHARACTERS: usize = 20;

/// Octets of a salt: as many as RFC 8018 §4.1 and OpenSSL use.
const SALT: usize = 16;
/// Octets of a block of SHA-256 (`v / 8` in RFC 7292 appendix B.2).
const BLOCK: usize = 64;

const DATA: &str = "1.2.840.113549.1.7.1";
const ENCRYPTED_DATA: &str = "1.2.840.113549.1.7.6";
const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
const HMAC_SHA256: &str = "1.2.840.113549.2.9";
const AES256_CBC: &str = "2.16.840.1.101.3.4.1.42";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const KEY_BAG: &str = "1.2.840.113549.1.12.10.1.2";
const CERTIFICATE_BAG: &str = "1.2.840.113549.1.12.10.1.3";
const X509_CERTIFICATE: &str = "1.2.840.113549.1.9.22.1";
const FRIENDLY_NAME: &str = "1.2.840.113549.1.9.20";
const LOCAL_KEY_ID: &str = "1.2.840.113549.1.9.21";

/// Our own failure: the random source or a cipher gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed to protect a key")]
pub struct Pkcs12Error;

/// A random password of 20 unambiguous letters and digits.
///
/// # Errors
/// [`Pkcs12Error`] if the system has no randomness.
pub fn password() -> Result<String, Pkcs12Error> {
    let mut text = String::with_capacity(PASSWORD_CHARACTERS);
    while text.len() < PASSWORD_CHARACTERS {
        let [octet] = random::<1>()?;
        // 54 * 4 = 216: octets above are thrown away, so that every character is equally likely.
        if octet < 216 {
            // Invariant: the remainder is below the alphabet's length.
            text.push(char::from(ALPHABET[usize::from(octet) % ALPHABET.len()]));
        }
    }
    Ok(text)
}

/// Wraps a key in PKCS #8 DER and its chain, the key's own certificate first, under `password` and with `name` as the
/// label that importers show.
///
/// # Errors
/// [`Pkcs12Error`] if the cryptographic library fails.
pub fn protect(
    key: &[u8],
    chain: &[&[u8]],
    name: &str,
    password: &str,
) -> Result<Vec<u8>, Pkcs12Error> {
    let leaf = chain.first().copied().unwrap_or_default();
    let key_id = digest::digest(&digest::SHA256, leaf);
    let labels = attributes(name, key_id.as_ref());

    let bags = chain.iter().enumerate().map(|(at, certificate)| {
        let value = sequence(&[oid(X509_CERTIFICATE), tagged(0, &octets(certificate))]);
        let mut bag = vec![oid(CERTIFICATE_BAG), tagged(0, &value)];
        bag.extend((at == 0).then(|| labels.clone()));
        sequence(&bag)
    });
    let (algorithm, ciphertext) = encrypt(&sequence(&bags.collect::<Vec<_>>()), password)?;
    // [0] IMPLICIT OCTET STRING (RFC 5652 §6.1): the tag is 0x80, context-specific and primitive.
    let content = sequence(&[oid(DATA), algorithm, tlv(0x80, &ciphertext)]);
    let certificates = sequence(&[
        oid(ENCRYPTED_DATA),
        tagged(0, &sequence(&[integer(0), content])),
    ]);

    let (algorithm, ciphertext) = encrypt(key, password)?;
    let shrouded = sequence(&[algorithm, octets(&ciphertext)]);
    let key_bag = sequence(&[sequence(&[oid(KEY_BAG), tagged(0, &shrouded), labels])]);
    let keys = sequence(&[oid(DATA), tagged(0, &octets(&key_bag))]);

    let safes = sequence(&[certificates, keys]);
    let salt = random::<SALT>()?;
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, &mac_key(password, &salt));
    let mac = hmac::sign(&mac_key, &safes);
    let digest_info = sequence(&[sequence(&[oid(SHA256), null()]), octets(mac.as_ref())]);
    let mac_data = sequence(&[digest_info, octets(&salt), integer(ITERATIONS)]);
    Ok(sequence(&[
        integer(3),
        sequence(&[oid(DATA), tagged(0, &octets(&safes))]),
        mac_data,
    ]))
}

/// PBES2 (RFC 8018 §6.2): the algorithm identifier and the ciphertext.
fn encrypt(plain: &[u8], password: &str) -> Result<(Vec<u8>, Vec<u8>), Pkcs12Error> {
    let salt = random::<SALT>()?;
    let mut key = [0u8; 32];
    let iterations = NonZeroU32::new(ITERATIONS).ok_or(Pkcs12Error)?;
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password.as_bytes(),
        &mut key,
    );
    let unbound = UnboundCipherKey::new(&AES_256, &key).map_err(|_| Pkcs12Error)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(unbound).map_err(|_| Pkcs12Error)?;
    let mut octets_out = plain.to_vec();
    let context = cipher.encrypt(&mut octets_out).map_err(|_| Pkcs12Error)?;
    let iv: &[u8] = (&context).try_into().map_err(|_| Pkcs12Error)?;
    let prf = sequence(&[oid(HMAC_SHA256), null()]);
    let derivation = sequence(&[
        oid(PBKDF2),
        sequence(&[octets(&salt), integer(ITERATIONS), prf]),
    ]);
    let scheme = sequence(&[oid(AES256_CBC), octets(iv)]);
    Ok((
        sequence(&[oid(PBES2), sequence(&[derivation, scheme])]),
        octets_out,
    ))
}

/// The key of the MAC by RFC 7292 appendix B.2, with its ID octet 3 and SHA-256: one round suffices, for 32 octets are
/// wanted and SHA-256 yields 32.
fn mac_key(password: &str, salt: &[u8]) -> [u8; 32] {
    // The password is a BMPString with its terminating zero (appendix B.1).
    let password: Vec<u8> = password
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_be_bytes)
        .collect();
    let mut input = vec![3u8; BLOCK];
    for part in [salt, &password] {
        let length = part.len().div_ceil(BLOCK) * BLOCK;
        input.extend(part.iter().copied().cycle().take(length));
    }
    let mut key = [0u8; 32];
    for round in 0..ITERATIONS {
        let hash = if round == 0 {
            digest::digest(&digest::SHA256, &input)
        } else {
            digest::digest(&digest::SHA256, &key)
        };
        // Invariant: SHA-256 yields 32 octets.
        key.copy_from_slice(hash.as_ref());
    }
    key
}

/// friendlyName and localKeyId (RFC 2985 §5.5), in the order of a DER SET OF.
fn attributes(name: &str, key_id: &[u8]) -> Vec<u8> {
    let bmp: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut both = [
        sequence(&[oid(FRIENDLY_NAME), tlv(0x31, &tlv(0x1e, &bmp))]),
        sequence(&[oid(LOCAL_KEY_ID), tlv(0x31, &octets(key_id))]),
    ];
    both.sort();
    tlv(0x31, &both.concat())
}

fn random<const N: usize>() -> Result<[u8; N], Pkcs12Error> {
    let mut bytes = [0u8; N];
    rand::fill(&mut bytes).map_err(|_| Pkcs12Error)?;
    Ok(bytes)
}

/// One DER element (X.690 §8.1, §10.1) with a single-octet tag.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    // Invariant: a usize has as many octets as `length`, so at most all of them are leading zeros.
    let significant = &length[content.len().leading_zeros() as usize / 8..];
    match significant {
        [] => out.push(0),
        [short @ 0..=0x7f] => out.push(*short),
        // Invariant: a length has at most eight octets.
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &elements.concat())
}

fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// An EXPLICIT context-specific tag below 31.
fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

fn null() -> Vec<u8> {
    tlv(0x05, &[])
}

fn integer(value: u32) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let zeros = (value.leading_zeros() as usize / 8).min(3);
    // Invariant: `zeros` is at most 3 of 4.
    let significant = &octets[zeros..];
    // A set top bit would read as a sign.
    let sign: &[u8] = if significant.first().is_some_and(|top| top & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    tlv(0x02, &[sign, significant].concat())
}

fn oid(text: &str) -> Vec<u8> {
    // Invariant: only the constants above come here, and each is a valid identifier.
    let oid = ObjectIdentifier::new(text).unwrap_or(ObjectIdentifier::new_unwrap(DATA));
    tlv(0x06, oid.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge;

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (a, b) = (password().unwrap(), password().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), PASSWORD_CHARACTERS);
        assert!(a.bytes().all(|octet| ALPHABET.contains(&octet)));
        assert!(ALPHABET.iter().all(|octet| !b"0Oo1Iil".contains(octet)));
    }

    #[test]
    fn integers_and_lengths_are_der() {
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(127), [2, 1, 127]);
        assert_eq!(integer(128), [2, 2, 0, 128]);
        assert_eq!(integer(10_000), [2, 2, 0x27, 0x10]);
        assert_eq!(tlv(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(tlv(5, &[]), [5, 0]);
    }

    #[test]
    fn openssl_opens_the_file_with_the_password_only() {
        let Some(openssl) = forge::openssl() else {
            return;
        };
        let issuer = forge::ca("Post CA");
        let (leaf, key) = forge::leaf_with_key(&issuer, &forge::holder());
        let chain = [leaf.der().as_ref(), issuer.der().as_ref()];
        let file = protect(
            &key.serialize_der(),
            &chain,
            "2503851234@e-post.test",
            "Secret-234",
        )
        .unwrap();
        let path = openssl.write("bundle.p12", &file);
        let shown = openssl
            .run(&[
                "pkcs12",
                "-in",
                &path,
                "-nodes",
                "-passin",
                "pass:Secret-234",
                "-info",
            ])
            .unwrap();
        assert_eq!(shown.matches("BEGIN CERTIFICATE").count(), 2, "{shown}");
        assert_eq!(shown.matches("BEGIN PRIVATE KEY").count(), 1);
        assert!(shown.contains("friendlyName: 2503851234@e-post.test"));
        let pem = shown.replace("\r\n", "\n");
        assert!(
            pem.contains(
                key.serialize_pem()
                    .replace("\r\n", "\n")
                    .lines()
                    .nth(1)
                    .unwrap()
            )
        );
        assert!(
            openssl
                .run(&[
                    "pkcs12",
                    "-in",
                    &path,
                    "-nodes",
                    "-passin",
                    "pass:Secret-235"
                ])
                .is_err()
        );
    }
}
