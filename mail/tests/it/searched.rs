//! What is searched of a letter, in three languages, whatever a sender's program made of it.

use mail::Structure;
use mail::fold::Needle;
use mail::searched::{Searched, searched_text};

fn searched(message: &[u8]) -> Searched {
    searched_text(
        b"Received: from mx by us\r\n",
        message,
        &Structure::examine(message),
    )
}

/// A part of the type, encoded as said, in a letter of several parts.
fn with_part(header: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{header}\r\n\r\n"
    );
    [head.as_bytes(), body, b"\r\n--b--\r\n"].concat()
}

#[test]
fn bodies() {
    let vectors: Vec<(&str, &[u8], &str, bool)> = vec![
        ("Content-Type: text/plain; charset=utf-8", "Հարգելի քաղաքացի".as_bytes(), "ՀԱՐԳԵԼԻ", true),
        ("Content-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: quoted-printable", b"=CF=F0=E8=E2=E5=F2", "привет", true),
        ("Content-Type: text/plain; charset=KOI8-R", b"\xf0\xd2\xc9\xd7\xc5\xd4", "ПРИВЕТ", true),
        ("Content-Type: text/plain; charset=ARMSCII-8\r\nContent-Transfer-Encoding: base64", b"0LPb", "ՀԱՅ", true),
        ("Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64", b"/v8FQAVhBXU=", "հայ", true),
        ("Content-Type: text/plain", b"\xcf\xf0\xe8\xe2\xe5\xf2", "привет", true),
        // Lines are wrapped anywhere, softly or not.
        ("Content-Type: text/plain", b"the phrase is\r\n  broken", "phrase is broken", true),
        ("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", b"=D5=80=\r\n=D5=A1=D5=\r\n=B5", "հայ", true),
        ("Content-Type: text/plain; format=flowed; delsp=yes", b"unbro \r\nken", "unbroken", true),
        ("Content-Type: text/plain; format=flowed", b"un \r\nbroken", "un broken", true),
        // HTML as it is seen.
        ("Content-Type: text/html; charset=utf-8", "<p>Վճ<b>ար</b>ել <i>մինչև</i>&nbsp;15</p>".as_bytes(), "ՎՃԱՐԵԼ ՄԻՆՉԵՎ 15", true),
        ("Content-Type: text/html", b"<script>secret</script><style>secret</style><!-- secret -->x", "secret", false),
        ("Content-Type: text/html", b"<td>one</td><td>two</td>", "one two", true),
        ("Content-Type: text/html", b"<td>one</td><td>two</td>", "onetwo", false),
        ("Content-Type: text/html", b"<b class=seen>x</b>", "class", false),
        ("Content-Type: text/html", b"<meta charset=\"koi8-r\">\xf0\xd2\xc9", "при", true),
        // Attachments of text.
        ("Content-Type: text/csv; charset=utf-8\r\nContent-Disposition: attachment; filename=a.csv", "անուն;сумма\r\n".as_bytes(), "СУММА", true),
        ("Content-Type: text/calendar; charset=utf-8", b"SUMMARY:Tax hear\r\n ing\\, room 5\r\nX:1", "hearing, room 5", true),
        ("Content-Type: text/calendar; charset=utf-8", b"SUMMARY:one\r\nX:two", "one x:two", true),
        ("Content-Type: text/vcard; charset=utf-8", b"FN:\xd5\x80\xd5\r\n \xa1\xd5\xb5\r\nEND", "հայ end", true),
        // Names and descriptions of any.
        ("Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*0*=utf-8''%D5%80%D5; filename*1*=%A1.pdf", b"%PDF", "ՀԱ.PDF", true),
        ("Content-Type: application/pdf; name=\"=?utf-8?B?1YDVoQ==?=.pdf\"", b"%PDF", "հա.pdf", true),
        ("Content-Type: application/pdf\r\nContent-Description: =?koi8-r?Q?=F0?= x", b"%PDF", "п x", true),
        ("Content-Type: application/pdf", b"inside", "inside", false),
        ("Content-Type: application/pdf", b"inside", "application", false),
        // Messages within.
        ("Content-Type: message/rfc822", "Subject: =?utf-8?Q?=D5=80=D5=A1?=\r\n =?utf-8?Q?=D5=B5?=\r\n\r\nnested".as_bytes(), "subject: հայ", true),
        ("Content-Type: message/rfc822", b"Subject: a\r\n\r\nnested text", "NESTED", true),
        ("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64", b"U3ViamVjdDogaGlkZGVuCg==", "hidden", true),
        ("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64", b"U3ViamVjdDogYQoKYg==\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nbehind it\r\n--c--", "behind it", true),
        // Nothing is found across a border.
        ("Content-Type: text/plain\r\nContent-Description: one", b"two", "one two", false),
    ];
    for (header, body, needle, want) in vectors {
        let searched = searched(&with_part(header, body));
        let needle = Needle::new(needle);
        assert_eq!(
            searched.body_has(&needle),
            want,
            "{needle:?} in {searched:?} of {header}"
        );
        assert_eq!(searched.has(&needle), want, "{header}");
    }
}

#[test]
fn headers() {
    let message = "From: =?utf-8?B?1YDVodW11aHVvdW/1aHVtg==?= <tax@sender.example>\r\nTo: \"=?utf-8?Q?=D4=B1=D5=B6=D5=\r\n =?utf-8?Q?=B6?=\" <a@b>\r\n\
        Subject: =?windows-1251?Q?=CF=F0=E8?= =?koi8-r?Q?=D7=C5=D4?=\r\n , =?utf-8?Q?broken\r\nX-Note: folded\r\n\t value\r\nX-Note: second\r\n\
        X-Empty:\r\nContent-Type: text/plain; charset=utf-8; name*=utf-8''%D5%80%D5%A1.txt\r\nnot a field\r\n\r\nbody words\r\n";
    let searched = searched(message.as_bytes());
    let vectors = [
        ("FROM", "հայաստան", true),
        ("from", "TAX@SENDER", true),
        ("from", "sender: tax", false),
        ("subject", "ПРИВЕТ", true),
        ("subject", "broken", true),
        ("x-note", "folded value", true),
        ("x-note", "SECOND", true),
        ("x-note", "value second", false),
        ("x-empty", "", true),
        ("x-empty", "x", false),
        ("x-absent", "", false),
        ("received", "by us", true),
        ("content-type", "ՀԱ.TXT", true),
        ("x-not", "", false),
    ];
    for (name, needle, want) in vectors {
        assert_eq!(
            searched.field_has(name, &Needle::new(needle)),
            want,
            "{needle} in {name} of {searched:?}"
        );
    }
    for (needle, header, body) in [
        ("not a field", true, false),
        ("subject: при", true, false),
        ("BODY WORDS", false, true),
        ("field body", false, false),
    ] {
        let needle = Needle::new(needle);
        assert_eq!(searched.body_has(&needle), body, "{needle:?}");
        assert_eq!(searched.has(&needle), header || body, "{needle:?}");
    }
}

#[test]
fn a_letter_without_anything() {
    assert_eq!(
        searched(b""),
        Searched {
            header: "received: from mx by us\n".into(),
            body: "\n".into()
        }
    );
    let deep = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    assert!(!searched(deep.as_bytes()).has(&Needle::new("anything")));
}
