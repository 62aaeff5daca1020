//! Messages and what must be found in them.

use mail::Structure;
use mail::structure::{Encoding, Kind, Note, SectionText};

use super::examine;

/// `number type/subtype lines "body"` for each part, a line each; the root's number is 0.
fn outline(original: &[u8], structure: &Structure) -> String {
    let mut lines = String::new();
    for part in &structure.parts {
        let number: Vec<String> = part.section.iter().map(u32::to_string).collect();
        let number = if number.is_empty() {
            "0".to_owned()
        } else {
            number.join(".")
        };
        let body = &original[part.body.start as usize..part.body.end as usize];
        let (media_type, media_subtype) = (&part.media_type, &part.media_subtype);
        let count = if part.kind == Kind::Multipart {
            String::new()
        } else {
            format!(" {}", part.lines)
        };
        lines += &format!(
            "{number} {media_type}/{media_subtype}{count} {}\n",
            body.escape_ascii()
        );
    }
    lines
}

fn octets<'a>(
    original: &'a [u8],
    structure: &Structure,
    numbers: &[u32],
    text: SectionText,
) -> Option<&'a str> {
    let range = structure.section(numbers, text)?;
    Some(std::str::from_utf8(&original[range.start as usize..range.end as usize]).unwrap())
}

/// Messages and the outlines of their parts.
const OUTLINES: [(&str, &str); 17] = [
    // No header at all, no body, no final line end.
    ("", "0 text/plain 0 \n"),
    ("\r\nbody", "0 text/plain 0 body\n"),
    ("Subject: x\r\n\r\na\r\nb", "0 text/plain 1 a\\r\\nb\n"),
    ("Subject: x", "0 text/plain 0 \n"),
    ("a: b\n\nc\nd\n", "0 text/plain 2 c\\nd\\n\n"),
    // Preamble and epilogue belong to no part.
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n\r\n--b--\r\npost\r\n--b\r\nno part\r\n",
        "0 multipart/mixed pre\\r\\n--b\\r\\n\\r\\none\\r\\n--b\\r\\nContent-Type: text/html\\r\\n\\r\\ntwo\\r\\n\\r\\n--b--\\r\\npost\\r\\n--b\\r\\nno part\\r\\n\n\
             1 text/plain 0 one\n2 text/html 1 two\\r\\n\n",
    ),
    // A boundary that is the beginning of another; white space after a delimiter.
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b \r\nContent-Type: multipart/alternative; boundary=\"bb\"\r\n\r\n--bb\r\n\r\nx\r\n--bbb\r\n--bb--\t\r\n--b\r\n\r\ny\r\n--b--",
        "0 multipart/mixed --b \\r\\nContent-Type: multipart/alternative; boundary=\\\"bb\\\"\\r\\n\\r\\n--bb\\r\\n\\r\\nx\\r\\n--bbb\\r\\n--bb--\\t\\r\\n--b\\r\\n\\r\\ny\\r\\n--b--\n\
             1 multipart/alternative --bb\\r\\n\\r\\nx\\r\\n--bbb\\r\\n--bb--\\t\n1.1 text/plain 1 x\\r\\n--bbb\n2 text/plain 0 y\n",
    ),
    // Parts without header, without body, without either.
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\nContent-Type: a/b\r\n--b\r\nContent-Type: c/d\r\n\r\n--b\r\n\r\n\r\n--b--\r\n",
        "0 multipart/mixed --b\\r\\n--b\\r\\nContent-Type: a/b\\r\\n--b\\r\\nContent-Type: c/d\\r\\n\\r\\n--b\\r\\n\\r\\n\\r\\n--b--\\r\\n\n\
             1 text/plain 0 \n2 a/b 0 \n3 c/d 0 \n4 text/plain 0 \n",
    ),
    // The inner final boundary is missing; the outer one ends both.
    (
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--o--\r\n",
        "0 multipart/mixed --o\\r\\nContent-Type: multipart/mixed; boundary=i\\r\\n\\r\\n--i\\r\\n\\r\\nx\\r\\n--o--\\r\\n\n1 multipart/mixed --i\\r\\n\\r\\nx\n1.1 text/plain 0 x\n",
    ),
    // No boundary ends anything.
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n",
        "0 multipart/mixed --b\\r\\n\\r\\nx\\r\\n\n1 text/plain 1 x\\r\\n\n",
    ),
    // A multipart without parts has its body as its one part.
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n",
        "0 multipart/mixed nothing\\r\\n\n1 text/plain 1 nothing\\r\\n\n",
    ),
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--",
        "0 multipart/mixed --b--\n1 text/plain 0 --b--\n",
    ),
    (
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "0 multipart/mixed \n1 text/plain 0 \n",
    ),
    // Without a boundary it is text.
    (
        "Content-Type: multipart/mixed\r\n\r\n--x\r\n",
        "0 text/plain 1 --x\\r\\n\n",
    ),
    // A message in a mixed one, and a message in a digest without saying so.
    (
        "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: i\r\n\r\nin\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nd\r\n--c--\r\n--b--\r\n",
        "0 multipart/digest --b\\r\\n\\r\\nSubject: i\\r\\n\\r\\nin\\r\\n--b\\r\\nContent-Type: message/rfc822\\r\\n\\r\\nContent-Type: multipart/mixed; boundary=c\\r\\n\\r\\n--c\\r\\n\\r\\nd\\r\\n--c--\\r\\n--b--\\r\\n\n\
             1 message/rfc822 2 Subject: i\\r\\n\\r\\nin\n1 text/plain 0 in\n\
             2 message/rfc822 5 Content-Type: multipart/mixed; boundary=c\\r\\n\\r\\n--c\\r\\n\\r\\nd\\r\\n--c--\n2 multipart/mixed --c\\r\\n\\r\\nd\\r\\n--c--\n2.1 text/plain 0 d\n",
    ),
    // A message that is all of a message, and has nothing in it.
    (
        "Content-Type: message/rfc822\r\n\r\n",
        "0 message/rfc822 0 \n1 text/plain 0 \n",
    ),
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n--b--\r\n",
        "0 multipart/mixed --b\\r\\nContent-Type: message/rfc822\\r\\n--b--\\r\\n\n1 message/rfc822 0 \n1 text/plain 0 \n",
    ),
];

#[test]
fn outlines() {
    for (message, want) in OUTLINES {
        let structure = examine(message.as_bytes());
        assert_eq!(outline(message.as_bytes(), &structure), want, "{message}");
    }
}

/// The example of RFC 9051 §6.4.5 made into a message.
const NESTED: &str = "Subject: top\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n--A\r\nContent-Type: text/plain\r\n\r\none\r\n--A\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
    --A\r\nContent-Type: message/rfc822\r\n\r\nSubject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nthree.one\r\n--B\r\n\r\nthree.two\r\n--B--\r\n\
    --A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\nContent-Type: image/gif\r\n\r\nfour.one\r\n--C\r\nContent-Type: message/rfc822\r\n\r\nSubject: four.two\r\n\
    Content-Type: multipart/mixed; boundary=D\r\n\r\n--D\r\n\r\nfour.two.one\r\n--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n--E\r\n\r\nfour.two.two.one\r\n--E\r\n\
    Content-Type: text/richtext\r\n\r\nfour.two.two.two\r\n--E--\r\n--D--\r\n--C--\r\n--A--\r\n";

#[test]
fn sections_of_rfc_9051() {
    use SectionText::{Header, Mime, Text, Whole};
    let structure = examine(NESTED.as_bytes());
    let vectors: [(&[u32], SectionText, Option<&str>); 25] = [
        (&[], Whole, Some(NESTED)),
        (
            &[],
            Header,
            Some("Subject: top\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"),
        ),
        (&[], Mime, None),
        (&[1], Whole, Some("one")),
        (&[1], Mime, Some("Content-Type: text/plain\r\n\r\n")),
        (&[1], Header, None),
        (&[1], Text, None),
        (&[1, 1], Whole, None),
        (&[2], Whole, Some("two")),
        (&[3], Mime, Some("Content-Type: message/rfc822\r\n\r\n")),
        (
            &[3],
            Header,
            Some("Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"),
        ),
        (
            &[3],
            Text,
            Some("--B\r\n\r\nthree.one\r\n--B\r\n\r\nthree.two\r\n--B--"),
        ),
        (&[3, 1], Whole, Some("three.one")),
        (&[3, 2], Whole, Some("three.two")),
        (&[3, 2], Mime, Some("\r\n")),
        (&[3, 3], Whole, None),
        (&[4], Header, None),
        (&[4, 1], Mime, Some("Content-Type: image/gif\r\n\r\n")),
        (
            &[4, 2],
            Header,
            Some("Subject: four.two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n"),
        ),
        (&[4, 2, 1], Whole, Some("four.two.one")),
        (
            &[4, 2, 2],
            Mime,
            Some("Content-Type: multipart/alternative; boundary=E\r\n\r\n"),
        ),
        (&[4, 2, 2, 2], Whole, Some("four.two.two.two")),
        (&[4, 2, 2, 3], Whole, None),
        (&[5], Whole, None),
        (&[0], Whole, None),
    ];
    for (numbers, text, want) in vectors {
        assert_eq!(
            octets(NESTED.as_bytes(), &structure, numbers, text),
            want,
            "{numbers:?} {text:?}"
        );
    }
    let text = octets(NESTED.as_bytes(), &structure, &[], Text).unwrap();
    assert!(text.starts_with("--A\r\n") && text.ends_with("--A--\r\n"));
}

#[test]
fn leaves_are_not_looked_into() {
    let structure = examine(NESTED.as_bytes());
    let leaves: Vec<&str> = structure
        .leaves()
        .map(|leaf| &NESTED[leaf.start as usize..leaf.end as usize])
        .collect();
    assert_eq!(leaves.len(), 5);
    assert_eq!(
        (leaves[0], leaves[1], leaves[3]),
        ("one", "two", "four.one")
    );
    assert!(leaves[2].starts_with("Subject: three") && leaves[2].ends_with("--B--"));
    assert!(leaves[4].starts_with("Subject: four.two") && leaves[4].ends_with("--D--"));
}

#[test]
fn part_one_of_a_message_that_is_no_multipart() {
    use SectionText::{Mime, Whole};
    let plain = "Subject: a\r\n\r\nbody\r\n";
    let structure = examine(plain.as_bytes());
    assert_eq!(
        octets(plain.as_bytes(), &structure, &[1], Whole),
        Some("body\r\n")
    );
    assert_eq!(
        octets(plain.as_bytes(), &structure, &[1], Mime),
        Some("Subject: a\r\n\r\n")
    );
    assert_eq!(octets(plain.as_bytes(), &structure, &[2], Whole), None);
    assert_eq!(octets(plain.as_bytes(), &structure, &[1, 1], Whole), None);
    let message = "Content-Type: message/rfc822\r\n\r\nSubject: i\r\n\r\nin";
    let structure = examine(message.as_bytes());
    assert_eq!(
        octets(message.as_bytes(), &structure, &[1], Whole),
        Some("Subject: i\r\n\r\nin")
    );
    assert_eq!(
        octets(message.as_bytes(), &structure, &[1], SectionText::Header),
        Some("Subject: i\r\n\r\n")
    );
    assert_eq!(
        octets(message.as_bytes(), &structure, &[1, 1], Whole),
        Some("in")
    );
    assert_eq!(structure.leaves().count(), 1);
}

#[test]
fn envelopes() {
    let vectors = [
        ("", r#"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        (
            "Subject:\r\nTo:\r\nMessage-ID:  \r\n\r\n",
            r#"(NIL "" NIL NIL NIL NIL NIL NIL NIL "")"#,
        ),
        (
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\nSubject: IMAP4rev2 WG mtg\r\n  summary\r\nTo: imap@cac.washington.edu\r\n\
             cc: minutes@CNRI.Reston.VA.US,\r\n\tJohn Klensin <KLENSIN@MIT.EDU>\r\nCC: x@y\r\nMessage-Id: <B27397-0100000@cac.washington.edu>\r\nIn-Reply-To: <a@b>\r\n\r\n",
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg  summary\" ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")(NIL NIL \"x\" \"y\")) NIL \"<a@b>\" \"<B27397-0100000@cac.washington.edu>\")",
        ),
        // Sender and Reply-To of their own; the first of what may stand once.
        (
            "From: a@b\r\nFrom: c@d\r\nSender: s@t\r\nReply-To: \r\nSubject: 1\r\nSubject: 2\r\n\r\nTo: not@header\r\n",
            r#"(NIL "1" ((NIL NIL "a" "b")) ((NIL NIL "s" "t")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)"#,
        ),
        // Encoded words stay as they are; raw 8-bit text is a literal.
        (
            "Subject: =?utf-8?B?1YDVodW1?=\r\n =?utf-8?Q?x?=\r\nFrom: Հայ <a@b>\r\nTo: undisclosed:;\r\n\r\n",
            "(NIL \"=?utf-8?B?1YDVodW1?= =?utf-8?Q?x?=\" (({6}\r\nՀայ NIL \"a\" \"b\")) (({6}\r\nՀայ NIL \"a\" \"b\")) (({6}\r\nՀայ NIL \"a\" \"b\")) \
             ((NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)",
        ),
        (
            "Subject: say \"hi\\\"\r\n\r\n",
            r#"(NIL "say \"hi\\\"" NIL NIL NIL NIL NIL NIL NIL NIL)"#,
        ),
        (
            "Subject: a\rb\0c\r\n\r\n",
            "(NIL {4}\r\na\rbc NIL NIL NIL NIL NIL NIL NIL NIL)",
        ),
    ];
    for (message, want) in vectors {
        let structure = examine(message.as_bytes());
        assert_eq!(
            String::from_utf8_lossy(&structure.envelope),
            want,
            "{message}"
        );
    }
}

#[test]
fn body_structures() {
    let vectors = [
        (
            "\r\na\r\nb\r\n",
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 2 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: nonsense\r\n\r\n",
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: TEXT/Html\r\n\r\n",
            r#"("TEXT" "Html" NIL NIL NIL "7bit" 0 0 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: application/pdf; name*0*=utf-8''%D5%80; name*1=\"b.pdf\"\r\nContent-Transfer-Encoding: BASE64\r\nContent-ID: <i@d>\r\nContent-Description: a\r\n b\r\nContent-MD5: Q2hlY2s=\r\n\
             Content-Disposition: attachment;\r\n\tfilename=\"a \\\"b\\\".pdf\"; size=3\r\nContent-Language: hy, ru\r\nContent-Location: http://a/b\r\n\r\nAAAA\r\n",
            r#"("application" "pdf" ("name*0*" "utf-8''%D5%80" "name*1" "b.pdf") "<i@d>" "a b" "BASE64" 6 "Q2hlY2s=" ("attachment" ("filename" "a \"b\".pdf" "size" "3")) ("hy" "ru") "http://a/b")"#,
        ),
        (
            "Content-Disposition: inline\r\nContent-Language: hy\r\n\r\n",
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL ("inline" NIL) "hy" NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b; x=y\r\nContent-Language: hy\r\n\r\n--b\r\n\r\na\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\nin\r\n\r\n--b--\r\n",
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 \
             (NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\" \"x\" \"y\") NIL \"hy\" NIL)",
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)"#,
        ),
    ];
    for (message, want) in vectors {
        let structure = examine(message.as_bytes());
        assert_eq!(
            String::from_utf8_lossy(&structure.body_structure),
            want,
            "{message}"
        );
    }
    let structure = examine(b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: hy\r\n\r\n--b\r\nContent-Type: a/b\r\nContent-MD5: x\r\n\r\n--b--\r\n");
    assert_eq!(
        String::from_utf8_lossy(&structure.body),
        r#"(("a" "b" NIL NIL NIL "7bit" 0) "mixed")"#
    );
}

#[test]
fn header_values_and_notes() {
    let message = "Message-ID:\r\n  <one@gov.example> \r\nDate: Sun, 22 Nov 2026 13:00:00 +0400\r\nFrom: =?utf-8?B?1YDVodW1?= <a@b>\r\n\
        Subject: =?utf-8?B?1L7VodW21bjWgtaB1bjWgtW0?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n";
    let structure = examine(message.as_bytes());
    assert_eq!(structure.message_id.as_deref(), Some("<one@gov.example>"));
    assert_eq!(
        structure.date.map(|date| date.to_string()).as_deref(),
        Some("2026-11-22T09:00:00.000Z")
    );
    assert_eq!(structure.from_text.as_deref(), Some("Հայ <a@b>"));
    assert_eq!(structure.subject_text.as_deref(), Some("Ծանուցում"));
    assert_eq!(structure.notes, []);
    assert_eq!(structure.parts[0].encoding, Encoding::EightBit);
    assert_eq!(structure.parts[0].charset.as_deref(), Some("utf-8"));
    let long = format!(
        "Date: soon\r\nDate: now\r\nMessage-ID: \r\n\r\n{}\0\u{580}\r\n",
        "x".repeat(999)
    );
    let vectors: [(&str, &[Note]); 5] = [
        (
            "",
            &[
                Note::MissingDate,
                Note::MissingMessageId,
                Note::MissingFrom,
                Note::NoEmptyLine,
            ],
        ),
        (
            &long,
            &[
                Note::UnreadableDate,
                Note::MissingMessageId,
                Note::MissingFrom,
                Note::EightBitBody,
                Note::LongLine,
                Note::Nul,
                Note::RepeatedField,
            ],
        ),
        (
            "From: Հ\r\nContent-Type: multipart/a\r\n\r\n",
            &[
                Note::MissingDate,
                Note::MissingMessageId,
                Note::EightBitHeader,
                Note::MissingBoundary,
            ],
        ),
        (
            "Content-Type: multipart/a; boundary=b\r\n\r\n",
            &[
                Note::MissingDate,
                Note::MissingMessageId,
                Note::MissingFrom,
                Note::EmptyMultipart,
                Note::UnclosedMultipart,
            ],
        ),
        (
            "\r\n",
            &[Note::MissingDate, Note::MissingMessageId, Note::MissingFrom],
        ),
    ];
    for (message, want) in vectors {
        assert_eq!(examine(message.as_bytes()).notes, want, "{message}");
    }
}
