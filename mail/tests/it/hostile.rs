//! Shapes that cost careless programs their stack, their memory or their afternoon. The time limits are generous, for an
//! unoptimised build on a busy machine; quadratic work on these sizes would take minutes.

use std::time::{Duration, Instant};

use mail::Structure;
use mail::structure::Note;

use super::examine;

fn in_time(what: &str, message: &[u8]) -> Structure {
    let start = Instant::now();
    let structure = Structure::examine(message);
    let text = mail::searched::searched_text(b"", message, &structure);
    let taken = start.elapsed();
    assert!(
        taken < Duration::from_secs(3),
        "{what}: {} octets took {taken:?}",
        message.len()
    );
    assert!(
        text.header.len() + text.body.len() <= message.len() * 20 + 1024,
        "{what}"
    );
    let stored = structure.to_bytes().len();
    assert!(
        stored <= message.len() * 12 + 600_000,
        "{what}: {stored} octets stored for {}",
        message.len()
    );
    examine(message)
}

fn nested(depth: usize, inner: &str) -> String {
    let mut message = String::new();
    for level in 0..depth {
        message +=
            &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    message + inner
}

#[test]
fn five_thousand_levels_of_multipart() {
    let structure = in_time("multiparts", nested(5000, "\r\ndeep\r\n").as_bytes());
    assert!(structure.notes.contains(&Note::TooDeep));
    assert_eq!(structure.parts.len(), 51);
    let leaf = structure.parts.last().unwrap();
    assert_eq!(
        (leaf.media_type.as_str(), leaf.section.len(), leaf.body.end),
        ("application", 50, structure.size)
    );
    // One boundary for all levels.
    let same = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(20_000);
    in_time("one boundary", same.as_bytes());
}

#[test]
fn five_thousand_messages_in_messages() {
    let message = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
    let structure = in_time("messages", message.as_bytes());
    assert!(structure.notes.contains(&Note::TooDeep));
    assert_eq!(
        structure.leaves().collect::<Vec<_>>(),
        [structure.content()]
    );
}

#[test]
fn twenty_thousand_parts() {
    let mut message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    message += &"--b\r\n\r\nx\r\n".repeat(20_000);
    message += "--b--\r\n";
    let structure = in_time("parts", message.as_bytes());
    assert!(structure.notes.contains(&Note::TooManyParts));
    assert_eq!(structure.parts.len(), 1001);
    // The rest is one leaf, up to the final boundary: nothing is out of reach.
    let rest = structure.parts.last().unwrap();
    assert_eq!(
        (rest.section.as_slice(), rest.media_subtype.as_str()),
        (&[1000][..], "octet-stream")
    );
    assert_eq!(rest.body.end, structure.size - "\r\n--b--\r\n".len() as u64);
    in_time(
        "empty parts",
        format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
            "--b\r\n".repeat(200_000)
        )
        .as_bytes(),
    );
    in_time(
        "empty messages",
        format!(
            "Content-Type: multipart/digest; boundary=b\r\n\r\n{}",
            "--b\r\n".repeat(200_000)
        )
        .as_bytes(),
    );
}

#[test]
fn lines_that_look_like_boundaries() {
    let depth = 50;
    in_time(
        "dashes",
        (nested(depth, "\r\n") + &"--\r\n".repeat(200_000)).as_bytes(),
    );
    in_time(
        "almost",
        (nested(depth, "\r\n") + &"--b49x\r\n".repeat(100_000)).as_bytes(),
    );
    let long = format!(
        "Content-Type: multipart/mixed; boundary={}\r\n\r\n",
        "b".repeat(100_000)
    );
    assert!(
        in_time("long boundary", long.as_bytes())
            .notes
            .contains(&Note::MissingBoundary)
    );
}

#[test]
fn headers_without_end() {
    in_time("fields", &b"X-Field: value\r\n".repeat(20_000));
    in_time("no names", &b"\xff\0\r\n".repeat(200_000));
    in_time(
        "content fields",
        &b"Content-Type: text/plain; charset=utf-8\r\n".repeat(20_000),
    );
    in_time("to fields", &b"To: a@b\r\n".repeat(50_000));
    in_time(
        "folds",
        &[
            b"Subject: x\r\n".to_vec(),
            b" \r\n".repeat(200_000),
            b"\r\n".to_vec(),
        ]
        .concat(),
    );
    let from = in_time(
        "late from",
        &[
            b"X-Field: value\r\n".repeat(50_000),
            b"From: a@b\r\n\r\n".to_vec(),
        ]
        .concat(),
    );
    assert_eq!(from.from_text.as_deref(), Some("a@b"));
}

#[test]
fn fields_without_end() {
    let field =
        |name: &str, piece: &str, times: usize| format!("{name}: {}\r\n\r\n", piece.repeat(times));
    let addresses = in_time(
        "addresses",
        field("To", "user@domain.example, ", 50_000).as_bytes(),
    );
    assert!(addresses.envelope.len() < 200_000);
    for name in [
        "To",
        "From",
        "Content-Type",
        "Content-Disposition",
        "Content-Language",
        "Subject",
        "Date",
        "Message-ID",
    ] {
        for piece in [
            "(",
            "\\",
            "\"",
            "<",
            "@",
            ";",
            ",",
            ":",
            "[",
            "a;",
            "=",
            ";a=b",
            "=?",
            "=?utf-8?Q?=",
            "=?utf-8?B?1YA=?= ",
            "\u{580}",
            "<a@b>",
            "g:",
            "a/b;",
        ] {
            in_time(
                &format!("{name} {piece}"),
                field(name, piece, 100_000 / piece.len()).as_bytes(),
            );
            in_time(
                &format!("{name} a/b {piece}"),
                field(name, piece, 0)
                    .replace(": ", &format!(": a/b; {}", piece.repeat(20_000)))
                    .as_bytes(),
            );
        }
    }
}
