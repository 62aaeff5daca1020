//! What a visitor sends to a one-time link: a form, a token, a certificate request. A request that is taken is signed by
//! its own key, and its certificate has that key.
#![no_main]

use std::sync::LazyLock;

use identity::Authority;
use identity::authority::request::Request;
use libfuzzer_sys::fuzz_target;
use mail::Timestamp;

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_305_600_000);

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::create("Post", "e-citizen.example", NOW).unwrap());

fn check(octets: &[u8]) {
    if let Ok(request) = Request::read(octets) {
        let certified = AUTHORITY.certify("a@e-citizen.example", &request, 1, NOW);
        let certificate = certified.unwrap().certificate;
        assert_eq!(certificate.spki_sha256(), request.spki_sha256());
        assert_eq!(certificate.subject_for_operator(), "CN=a@e-citizen.example");
    }
}

fuzz_target!(|octets: &[u8]| {
    check(octets);
    if let Some(fields) = webd::form::fields(octets) {
        assert!(fields.len() <= 16);
        let held: usize = fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(held <= octets.len());
        fields.iter().for_each(|(_, value)| check(value));
    }
    if let Ok(text) = std::str::from_utf8(octets)
        && webd::office::token_digest(text).is_some()
    {
        assert_eq!(text.len(), webd::office::TOKEN_CHARACTERS);
    }
});
