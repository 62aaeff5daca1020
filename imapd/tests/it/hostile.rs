//! Whatever an agency may lawfully send is served: octet for octet, with the exact size, in well-formed responses.

use std::sync::Arc;

use imapd::identify::{Known, identify};
use imapd::session::state::{Bearer, Door};
use imapd::{House, Next, Session, perform};
use store::register::Kind;

use crate::post::Post;
use crate::script::CertificateSetup;

/// The reader.
pub const LOCAL: &str = "2503851234";

fn letters() -> Vec<(&'static str, Vec<u8>)> {
    let head =
        |more: &str, body: &str| format!("From: a@sender.example\r\n{more}\r\n{body}").into_bytes();
    let deep: String = (0..5000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect();
    let parts = format!(
        "--b{}\r\n--b--\r\n",
        "\r\nContent-Type: text/plain\r\n\r\nx\r\n--b".repeat(20_000)
    );
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(3000);
    vec![
        ("empty", b"\r\n".to_vec()),
        ("no header", b"\r\nonly text\r\n".to_vec()),
        ("no empty line", b"Subject: x\r\n".to_vec()),
        ("5000-deep multiparts", head("", "").into_iter().take(24).chain(deep.bytes()).collect()),
        ("3000 nested messages", head("", "").into_iter().take(24).chain(nested.bytes()).collect()),
        ("20 000 parts", head("Content-Type: multipart/mixed; boundary=b\r\n", &parts)),
        ("20 000 fields", head(&"X-A: b\r\n".repeat(20_000), "text\r\n")),
        ("50 000 addresses", head(&format!("To: {}z@d.example\r\n", "a@b.example,\r\n ".repeat(50_000)), "text\r\n")),
        ("nested comments", head(&format!("Cc: {}x@y.example\r\n", "(".repeat(10_000)), "text\r\n")),
        ("quotes", head("Subject: \"\\\"\\\\ {5}\r\nTo: \"\\\"(\" <\"a\\\"b\"@c.example>\r\n", "text\r\n")),
        ("octets", [b"Subject: \xff\xfe\x80\r\nContent-Type: text/plain; charset=\"\xe2\x98\x83\"\r\n\r\n".to_vec(), (1..=255).filter(|o| !b"\r\n".contains(o)).collect(), b"\r\n".to_vec()].concat()),
        ("broken words", head("Subject: =?x?Q?=ZZ?= =?utf-8?B?!!!?= =?utf-8?Q?\r\n", "text\r\n")),
        ("responses inside", head("Subject: x)\r\n", "* 1 EXPUNGE\r\na OK done\r\n{3}\r\n)\r\n")),
    ]
}

/// One response line with its literals taken apart: the parentheses must balance and the strings must end.
fn well_formed(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut literals = Vec::new();
    let (mut at, mut depth, mut quoted) = (0, 0_i64, false);
    while at < octets.len() {
        match octets[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            octet if quoted && !(32..=126).contains(&octet) => {
                return Err(format!("octet {octet} in a quoted string"));
            }
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b'{' if !quoted => {
                let end = at
                    + octets[at..]
                        .iter()
                        .position(|&octet| octet == b'}')
                        .ok_or("{ without }")?;
                let size: usize = std::str::from_utf8(&octets[at + 1..end])
                    .unwrap()
                    .parse()
                    .map_err(|_| "not a literal")?;
                let begin = end + 3;
                literals.push(
                    octets
                        .get(begin..begin + size)
                        .ok_or("a literal is too long")?
                        .to_vec(),
                );
                at = begin + size;
                continue;
            }
            b'\n' if depth != 0 => return Err("a line ends within parentheses".into()),
            _ => {}
        }
        at += 1;
    }
    if depth == 0 && !quoted {
        Ok(literals)
    } else {
        Err("something is not closed".into())
    }
}

/// A client that waits for its answers.
pub struct Reader {
    session: Session,
    store: store::Store,
}

impl Reader {
    /// Logged in, with INBOX selected.
    pub fn new(post: &mut Post) -> Self {
        let keys = [("enrol".to_owned(), LOCAL.to_owned())].into();
        let certificate = CertificateSetup {
            name: "ann".to_owned(),
            keys,
        };
        post.add_certificate(&certificate).unwrap();
        let (peer, shown) = ([127, 0, 0, 1].into(), post.shown("ann").unwrap());
        let known = Known {
            trusts: &post.trusts,
            answers: &(),
            domain: "e-citizen.example",
        };
        let look = identify(&post.store, &shown.certificates, known, peer).unwrap();
        let bearer = look.bearer;
        assert!(matches!(bearer, Bearer::Holder(_)));
        let door = Door {
            tls: true,
            preauth: false,
            peer,
        };
        let house = Arc::new(House::new("localhost", "e-citizen.example"));
        let mut reader = Self {
            session: Session::new(house, door, bearer),
            store: post.store.clone(),
        };
        reader.ask("a AUTHENTICATE EXTERNAL =\r\n");
        reader.ask("b SELECT INBOX\r\n");
        reader
    }

    /// What a command is answered.
    pub fn ask(&mut self, command: &str) -> Vec<u8> {
        self.session.feed(command.as_bytes(), true);
        let mut answer = Vec::new();
        loop {
            match self.session.advance() {
                Next::Act(act) => self.session.done(perform(*act, &self.store)),
                Next::Write => {
                    answer.extend(self.session.output().to_vec());
                    self.session.written();
                }
                Next::Acknowledge => self.session.acknowledged(),
                Next::Read => return answer,
                Next::Pause(_) | Next::StartTls | Next::Close => panic!("the session ends"),
            }
        }
    }
}

#[test]
fn hostile_letters_are_served_whole() {
    let mut post = Post::new("e-citizen.example", "localhost").unwrap();
    post.add_account(LOCAL, Kind::Person).unwrap();
    let letters = letters();
    for (_, letter) in &letters {
        post.deposit(&[LOCAL], letter).unwrap();
    }
    let mut reader = Reader::new(&mut post);
    for (number, (name, letter)) in (1..).zip(&letters) {
        for items in [
            "ENVELOPE",
            "BODY",
            "BODYSTRUCTURE",
            "BODY.PEEK[HEADER]",
            "BODY.PEEK[1.MIME]",
            "BODY.PEEK[1.1.1]",
        ] {
            let answer = reader.ask(&format!("c FETCH {number} ({items})\r\n"));
            well_formed(&answer).unwrap_or_else(|why| panic!("{name}, {items}: {why}"));
            assert!(
                answer.ends_with(b"c OK FETCH completed\r\n"),
                "{name}, {items}"
            );
        }
        let answer = reader.ask(&format!("d FETCH {number} (RFC822.SIZE BODY.PEEK[])\r\n"));
        let literals = well_formed(&answer).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(literals[0].ends_with(letter), "{name}");
        let size = format!("* {number} FETCH (RFC822.SIZE {} ", literals[0].len());
        assert!(answer.starts_with(size.as_bytes()), "{name}");
        // The same in pieces.
        let mut pieces = Vec::new();
        while pieces.len() < literals[0].len() {
            let answer = reader.ask(&format!(
                "e FETCH {number} BODY.PEEK[]<{}.65536>\r\n",
                pieces.len()
            ));
            pieces.extend(well_formed(&answer).unwrap().remove(0));
        }
        assert_eq!(pieces, literals[0], "{name}");
    }
    let answer = reader.ask("f SEARCH TEXT text\r\n");
    assert!(
        answer.starts_with(b"* SEARCH 2 "),
        "{}",
        answer.escape_ascii()
    );
}
