//! An IMAP session over a real store. The first octet: 1 the PREAUTH listener, 2 no certificate, 4 no TLS yet.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use imapd::session::state::{Bearer, Door, Holder};
use imapd::{House, Next, Session, perform};
use knik_fuzz::{DOMAIN, pieces, seed_of};
use libfuzzer_sys::fuzz_target;
use store::credentials::Credential;
use store::register::Kind;
use store::{Actor, ActorKind};

#[allow(dead_code, reason = "certificates are not looked at here")]
#[path = "../../imapd/tests/it/post.rs"]
mod post;
#[path = "../../tests/dialogues/script.rs"]
mod script;

/// A store that many runs have changed is thrown away: a finding depends on few of them.
const RUNS_PER_STORE: u32 = 200;
/// So is one in which COPY after COPY has made many letters.
const OUTPUT_OCTETS_MAX: usize = 64 << 20;

const LETTERS: [&[u8]; 4] = [
    b"From: a@sender.example\r\nSubject: plain\r\nMessage-ID: <1@a>\r\n\r\nA letter.\r\n",
    b"From: \"a (b\" <a@sender.example>, =?utf-8?Q?=D5=80?= <b@c>\r\nTo: x:a@b,c;\r\nSubject: \xd5\x80 {3}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntwo\r\n--b--\r\n",
    b"Subject: empty\r\n\r\n",
    b"X: no empty line\r\n",
];

struct World {
    post: post::Post,
    house: Arc<House>,
    holder: Holder,
    runs: u32,
}

impl World {
    fn new() -> Self {
        let post = post::Post::new(DOMAIN, "mx.e-citizen.example").unwrap();
        let account = post.add_account("2503851234", Kind::Person).unwrap();
        for letter in LETTERS {
            post.deposit(&["2503851234"], letter).unwrap();
        }
        let holder = Holder {
            account: account.id,
            address: account.address,
            aliases: Vec::new(),
            actor: Actor::new(ActorKind::Holder),
            credential: Arc::new(Credential {
                path: Vec::new(),
                statements: Vec::new(),
            }),
            proxy: None,
        };
        Self {
            house: Arc::new(House::new("mx.e-citizen.example", DOMAIN)),
            holder,
            post,
            runs: 0,
        }
    }

    fn talk(&self, control: u8, octets: &[u8]) -> Vec<u8> {
        let tls = control & 4 == 0;
        let holder = || Bearer::Holder(Box::new(self.holder.clone()));
        let bearer = match (tls, control & 2 == 0) {
            (true, true) => holder(),
            _ => Bearer::Nobody,
        };
        let door = Door {
            tls,
            preauth: tls && control & 1 != 0,
            peer: [127, 0, 0, 2].into(),
        };
        let mut session = Session::new(Arc::clone(&self.house), door, bearer);
        let stirred = session.stirred();
        let mut output = Vec::new();
        for piece in std::iter::once(&b""[..]).chain(pieces(octets, seed_of(octets))) {
            session.feed(piece, true);
            stirred.store(true, Ordering::Release);
            loop {
                match session.advance() {
                    Next::Act(act) => session.done(perform(*act, &self.post.store)),
                    Next::Write => {
                        output.extend(session.output().to_vec());
                        session.written();
                        assert!(output.len() <= OUTPUT_OCTETS_MAX, "answers without end");
                    }
                    Next::Pause(_) => {}
                    Next::Acknowledge => session.acknowledged(),
                    Next::StartTls => session.tls_begun(holder()),
                    Next::Close if session.awaits_acknowledgement() => session.acknowledged(),
                    Next::Close => return output,
                    Next::Read => break,
                }
            }
        }
        output
    }
}

/// One response (RFC 3501 §7): lines with literals between them, in brackets that close. Answers what follows it, and
/// its first word.
fn response(output: &[u8]) -> (&[u8], &[u8]) {
    let word = output.split(|octet| *octet == b' ').next().unwrap();
    let rest = &output[word.len()..];
    let is_text = [&b" OK "[..], b" NO ", b" BAD ", b" BYE ", b" PREAUTH "]
        .iter()
        .any(|condition| rest.starts_with(condition));
    let (mut at, mut depth, mut quoted) = (word.len(), 0usize, false);
    loop {
        let octet = output[at];
        match octet {
            b'\r' => {
                assert_eq!(output.get(at + 1), Some(&b'\n'));
                assert!((depth, quoted) == (0, false), "{:?}", shown(output));
                return (&output[at + 2..], word);
            }
            b' '..=b'~' => {}
            _ => panic!("octet {octet} in {:?}", shown(output)),
        }
        at += 1;
        match octet {
            _ if is_text || word == b"+" => {}
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).expect("a bracket that was opened"),
            b'{' => {
                let end = output[at..]
                    .iter()
                    .position(|octet| *octet == b'}')
                    .unwrap();
                let size = std::str::from_utf8(&output[at..at + end]).unwrap();
                assert_eq!(&output[at + end..at + end + 3], b"}\r\n");
                at += end + 3 + size.parse::<usize>().unwrap();
            }
            _ => {}
        }
    }
}

fn shown(output: &[u8]) -> String {
    String::from_utf8_lossy(&output[..output.len().min(300)]).into_owned()
}

fn check(mut output: &[u8], octets: &[u8]) {
    let mut completed = 0;
    while !output.is_empty() {
        let (rest, word) = response(output);
        output = rest;
        if word != b"*" && word != b"+" {
            assert!(
                octets.windows(word.len()).any(|one| one == word),
                "a tag of its own"
            );
            completed += 1;
        }
    }
    let lines = octets.iter().filter(|octet| **octet == b'\n').count();
    assert!(
        completed <= lines,
        "{completed} completions of {lines} lines"
    );
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some((control, octets)) = input.split_first() else {
        return;
    };
    WORLD.with_borrow_mut(|kept| {
        let world = kept.get_or_insert_with(World::new);
        let output = world.talk(*control, octets);
        check(&output, octets);
        world.runs += 1;
        if world.runs >= RUNS_PER_STORE || output.len() > OUTPUT_OCTETS_MAX / 64 {
            *kept = None;
        }
    });
});
