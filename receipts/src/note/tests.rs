use super::*;
use proptest::prelude::*;

/// The example key of the first implementation of signed notes (golang.org/x/mod/sumdb/note).
const KNOWN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const KNOWN_SEED: &str = "YEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const KNOWN_TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const KNOWN_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

#[test]
fn the_known_note_verifies_and_is_signed_alike() {
    let verifier = VerifierKey::parse(KNOWN_KEY).unwrap();
    assert_eq!(verifier.to_string(), KNOWN_KEY);
    let text = format!("{KNOWN_TEXT}\n{KNOWN_LINE}\n");
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.text(), KNOWN_TEXT);
    assert_eq!(note.to_string(), text);
    assert_eq!(
        note.verify(std::slice::from_ref(&verifier)).unwrap(),
        [&verifier]
    );
    // The private key's text is base64 of its type and seed, after "A" (type 1) has been split off it.
    let typed = BASE64.decode(format!("A{KNOWN_SEED}")).unwrap();
    let seed = typed[1..].try_into().unwrap();
    let signed = SigningKey::from_seed("PeterNeumann", seed)
        .unwrap()
        .sign_note(KNOWN_TEXT)
        .unwrap();
    assert_eq!(signed, note);
}

#[test]
fn private_keys_round_trip() {
    let original = key("log.example/1", 7);
    let again = SigningKey::from_pkcs8("log.example/1", &original.to_pkcs8().unwrap()).unwrap();
    assert_eq!(again.verifier(), original.verifier());
    assert_eq!(again.sign("a\n").unwrap(), original.sign("a\n").unwrap());
    assert!(matches!(
        SigningKey::from_pkcs8("a", b"no key"),
        Err(NoteError::PrivateKey)
    ));
    assert!(matches!(
        SigningKey::from_pkcs8("a b", &original.to_pkcs8().unwrap()),
        Err(NoteError::Name)
    ));
    assert!(!format!("{original:?}").contains("pair"));
}

#[test]
fn who_signed_and_who_did_not() {
    let (log, witness, stranger) = (key("log", 1), key("witness", 2), key("log", 3));
    let text = "text\n\nwith a blank line\n";
    let sign = |keys: &[&SigningKey]| {
        Note::new(
            text,
            keys.iter().map(|key| key.sign(text).unwrap()).collect(),
        )
        .unwrap()
    };
    let known = [log.verifier().clone(), witness.verifier().clone()];
    let note = sign(&[&stranger, &witness, &log, &log]);
    assert_eq!(Note::parse(note.to_string().as_bytes()).unwrap(), note);
    assert_eq!(note.verify(&known).unwrap(), [&known[1], &known[0]]);
    assert_eq!(note.verify(&known[..1]).unwrap(), [&known[0]]);
    assert_eq!(note.verify(&[]), Err(NoteError::NoKnownKey));
    assert_eq!(
        sign(&[&stranger]).verify(&known),
        Err(NoteError::NoKnownKey)
    );
    let altered = note.to_string().replacen("text", "test", 1);
    let altered = Note::parse(altered.as_bytes()).unwrap();
    assert_eq!(
        altered.verify(&known),
        Err(NoteError::FalseSignature("witness".to_owned()))
    );
    // A true signature does not outweigh a false one of another known key.
    let mut mixed = sign(&[&log, &witness]);
    mixed.signatures[1].bytes[0] ^= 1;
    assert_eq!(
        mixed.verify(&known),
        Err(NoteError::FalseSignature("witness".to_owned()))
    );
    mixed.signatures[1].bytes.pop();
    assert_eq!(
        mixed.verify(&known),
        Err(NoteError::FalseSignature("witness".to_owned()))
    );
}

#[test]
fn malformed_notes_are_refused() {
    let line = KNOWN_LINE;
    let table: [(String, NoteError); 14] = [
        (String::new(), NoteError::NoSignatures),
        ("text\n".to_owned(), NoteError::NoSignatures),
        (format!("text\n{line}\n"), NoteError::NoSignatures),
        (format!("text\n\n{line}"), NoteError::NoSignatures),
        ("text\n\n".to_owned(), NoteError::NoSignatures),
        (format!("text\n\n{line}\n\n"), NoteError::NoSignatures),
        (format!("te\txt\n\n{line}\n"), NoteError::NotText),
        (format!("te\rxt\n\n{line}\n"), NoteError::NotText),
        (format!("text\n\n{line}\nmore\n"), NoteError::SignatureLine),
        (
            format!("text\n\n{}\n", line.replace('—', "-")),
            NoteError::SignatureLine,
        ),
        (format!("text\n\n{line} \n"), NoteError::SignatureLine),
        (
            "text\n\n— a+b x08go/ZJ\n".to_owned(),
            NoteError::SignatureLine,
        ),
        (
            "text\n\n— a x08gow==\n".to_owned(),
            NoteError::SignatureLine,
        ),
        (
            format!("text\n\n{}", format!("{line}\n").repeat(SIGNATURES_MAX + 1)),
            NoteError::TooManySignatures,
        ),
    ];
    for (text, error) in table {
        assert_eq!(Note::parse(text.as_bytes()), Err(error), "{text}");
    }
    assert_eq!(Note::parse(&[0xff]), Err(NoteError::NotText));
    assert_eq!(
        Note::parse(&vec![b'a'; NOTE_BYTES_MAX + 1]),
        Err(NoteError::TooLong)
    );
    assert!(Note::parse(format!("text\n\n{}", format!("{line}\n").repeat(16)).as_bytes()).is_ok());
    assert_eq!(key("a", 1).sign("text"), Err(NoteError::Unended));
    assert_eq!(key("a", 1).sign("te\0xt\n"), Err(NoteError::NotText));
}

#[test]
fn malformed_keys_are_refused() {
    let long = format!("{}+c74f20a3+AR", "a".repeat(NAME_BYTES_MAX + 1));
    let table = [
        ("", NoteError::Key),
        ("a+b", NoteError::Key),
        ("+c74f20a3+AR", NoteError::Name),
        ("a b+c74f20a3+AR", NoteError::Name),
        ("a\u{2003}b+c74f20a3+AR", NoteError::Name),
        ("a\u{7f}+c74f20a3+AR", NoteError::Name),
        (long.as_str(), NoteError::Name),
        ("PeterNeumann+c74f20a3+", NoteError::Key),
        ("PeterNeumann+c74f20a3+A", NoteError::Key),
        ("PeterNeumann+c74f20a3+AQ==", NoteError::Key),
        (
            "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            NoteError::KeyKind(4),
        ),
        (
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            NoteError::KeyHash,
        ),
        (
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            NoteError::KeyHash,
        ),
        (
            "PeterNewman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            NoteError::KeyHash,
        ),
    ];
    for (text, error) in table {
        assert_eq!(VerifierKey::parse(text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn notes_round_trip(text in "[^\\x00-\\x1f]{0,20}(\n[^\\x00-\\x1f]{0,20}){0,4}\n", seeds in prop::collection::vec(any::<u8>(), 1..5)) {
        let keys: Vec<_> = seeds.iter().map(|seed| key(&format!("k/{seed}"), *seed)).collect();
        let note = Note::new(&text, keys.iter().map(|key| key.sign(&text).unwrap()).collect()).unwrap();
        prop_assert_eq!(&Note::parse(note.to_string().as_bytes()).unwrap(), &note);
        let known: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
        prop_assert!(note.verify(&known).is_ok());
    }

    #[test]
    fn verifier_texts_round_trip(public: [u8; 32], name in "[a-z./]{1,30}", text in "[a-z+0-9=/]{0,60}") {
        let key = VerifierKey::new(&name, public).unwrap();
        prop_assert_eq!(VerifierKey::parse(&key.to_string()).unwrap(), key);
        prop_assert!(VerifierKey::parse(&text).is_err());
    }

    #[test]
    fn any_octets_are_read_or_refused(octets: Vec<u8>, lines in "(a|\n|— |k |AAAAAAAA|=){0,20}") {
        for octets in [octets, lines.into_bytes()] {
            if let Ok(note) = Note::parse(&octets) {
                prop_assert_eq!(note.to_string().into_bytes(), octets);
            }
        }
    }
}
