//! What holds for any octets.

use mail::Structure;
use mail::searched::searched_text;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::examine;

/// Pieces from which random messages come near to real ones.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"--",
        b"--a",
        b"--b",
        b"--a--",
        b"--b--",
        b"\r\n--a\r\n",
        b"\r\n--b\r\n",
        b"\r\n--a--\r\n",
        b"\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=\"b\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: ",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"From: ",
        b"To: ",
        b"Subject: ",
        b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\n",
        b"Message-ID: <a@b>\r\n",
        b"Content-Disposition: attachment; filename=",
        b"Content-Language: hy, ru\r\n",
        b"a@b",
        b"<",
        b">",
        b",",
        b":",
        b";",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"@",
        b".",
        b"[",
        b"]",
        b" ",
        b"\t",
        b"=",
        b"text",
        b"\xd5\x80",
        b"\0",
        b"=?utf-8?Q?=D5=80?=",
        b"=D5=80=",
        b"1YDVodW1",
    ];
    vec(select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_octets_are_examined(octets in vec(any::<u8>(), 0..300)) {
        examine(&octets);
        searched_text(b"", &octets, &mail::Structure::examine(&octets));
        let _ = mail::trace::locate(&octets);
    }

    #[test]
    fn any_near_message_is_examined(octets in message()) {
        let structure = examine(&octets);
        let searched = searched_text(b"Received: us\r\n", &octets, &structure);
        let length = searched.header.len() + searched.body.len();
        prop_assert!(length <= octets.len() * 20 + 1024);
    }

    #[test]
    fn header_fields_and_not_share_out_every_field(octets in message(), names in vec(select(vec!["from", "to", "content-type", "x"]), 0..3)) {
        let header = &octets[..mail::header::end(&octets)];
        let some = mail::header_fields(header, &names, false);
        let others = mail::header_fields(header, &names, true);
        let all: usize = mail::header::fields(header).map(|field| field.octets.len()).sum();
        let end = if header.ends_with(b"\n") { 0 } else { 2 };
        prop_assert!((all + 4..=all + 4 + end).contains(&(some.len() + others.len())));
        prop_assert!(some.ends_with(b"\r\n") && others.ends_with(b"\r\n"));
    }

    #[test]
    fn no_octets_upset_the_stored_form(octets in message(), garbage in vec(any::<u8>(), 0..100), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bits in 1u8..) {
        let _ = Structure::from_bytes(&garbage);
        let _ = Structure::from_bytes(&[&[1][..], &garbage].concat());
        let mut stored = Structure::examine(&octets).to_bytes();
        prop_assert!(Structure::from_bytes(&stored[..cut.index(stored.len())]).is_err());
        let at = at.index(stored.len());
        stored[at] ^= bits;
        if let Ok(structure) = Structure::from_bytes(&stored) {
            super::nested(&structure);
            super::numbered(&structure);
        }
    }
}
