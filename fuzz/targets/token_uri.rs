//! Where a key on a token is: read or refused, shown without its PIN, and the same key when read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use receipts::token_uri::{Pin, TokenUri, URI_OCTETS_MAX};

fuzz_target!(|text: &str| {
    for text in [text.to_owned(), format!("pkcs11:{text}")] {
        let Ok(uri) = TokenUri::parse(&text) else {
            continue;
        };
        assert!(text.len() <= URI_OCTETS_MAX && uri.as_text() == text);
        let shown = uri.to_string();
        // The PIN is in the query, which is not shown; a token may be called "pin-value".
        assert!(!shown.contains('?'));
        assert_eq!(uri.holds_pin(), matches!(uri.pin, Pin::Value(_)));
        let module: String = uri.module.bytes().map(|octet| format!("%{octet:02x}")).collect();
        if shown.len() + module.len() < URI_OCTETS_MAX - 20 {
            let again = TokenUri::parse(&format!("{shown}?module-path={module}")).unwrap();
            assert!(again.is_same_key(&uri));
        }
    }
});
