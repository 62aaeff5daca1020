//! SEARCH by scan, by index, and half by each: always the same, and always what a look at the plain texts says.

use std::fmt::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use store::Store;
use store::register::Kind;
use store::search::fill::{Indexer, Step};

use crate::hostile::{LOCAL, Reader};
use crate::post::Post;

/// Numbers from a seed (xorshift64): the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Words of few letters, so that pieces of one letter stand in others too.
    fn text(&mut self, words: usize) -> String {
        let alphabet: Vec<char> = self
            .of(&["աբգդեզու", "абвгдейё", "abcdef gh", "ԱԲԳդեզՈւ", "АБвгдЕйё"])
            .chars()
            .collect();
        let mut text = String::new();
        for _ in 0..words {
            for _ in 0..=self.below(6) {
                text.push(*self.of(&alphabet));
            }
            text.push(' ');
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A letter with this subject and text, written in one of many ways.
    fn letter(&mut self, subject: &str, text: &str) -> Vec<u8> {
        let encoded = BASE64_STANDARD.encode(subject);
        let head = format!("From: a@sender.example\r\nSubject: =?utf-8?B?{encoded}?=\r\n");
        let wrapped = text.replacen(' ', "\r\n", 2);
        let typed = |subtype: &str, encoding: &str, body: String| {
            format!(
                "{head}Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n"
            )
        };
        let letter = match self.below(5) {
            0 => typed("plain", "8bit", wrapped),
            1 => typed("plain", "base64", BASE64_STANDARD.encode(wrapped)),
            2 => {
                let mut body = String::new();
                for (at, octet) in wrapped.bytes().enumerate() {
                    let _ = write!(
                        body,
                        "={octet:02X}{}",
                        if at % 24 == 23 { "=\r\n" } else { "" }
                    );
                }
                typed("plain", "quoted-printable", body)
            }
            3 => {
                let middle = text.floor_char_boundary(text.len() / 2);
                let (one, other) = text.split_at(middle);
                typed(
                    "html",
                    "8bit",
                    format!("<p>{one}<b class=aba>{other}</b></p>"),
                )
            }
            _ => format!(
                "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/csv; charset=utf-8\r\n\r\n\
                 {text}\r\n--b\r\nContent-Type: application/pdf\r\n\r\nabab\r\n--b--\r\n"
            ),
        };
        letter.into_bytes()
    }
}

/// Whether a subject and a text have it.
type Holds = Box<dyn Fn(&str, &str) -> bool>;

/// What is looked for: an IMAP key, and what has it.
struct Asked {
    key: String,
    holds: Holds,
}

impl Asked {
    fn any(chance: &mut Chance, letters: &[(String, String)], depth: usize) -> Self {
        let literal = |text: &str| format!("{{{}+}}\r\n{text}", text.len());
        let (subject, text) = chance.of(letters);
        let source = if chance.below(3) == 0 { subject } else { text };
        let characters: Vec<char> = source.chars().collect();
        let from = chance.below(characters.len());
        let length = 1 + chance.below(10);
        let piece: String = characters[from..].iter().take(length).collect();
        // Where a line begins and ends is not the plain text's to say.
        let piece = match piece.trim() {
            "" => "ab".to_owned(),
            piece => piece.to_owned(),
        };
        let lower = piece.to_lowercase();
        let has = move |text: &str| text.to_lowercase().contains(&lower);
        match chance.below(if depth == 0 { 3 } else { 6 }) {
            0 => Self {
                key: format!("SUBJECT {}", literal(&piece)),
                holds: Box::new(move |subject, _| has(subject)),
            },
            1 => Self {
                key: format!("BODY {}", literal(&piece.to_uppercase())),
                holds: Box::new(move |_, text| has(text)),
            },
            2 => Self {
                key: format!("HEADER SUBJECT {}", literal(&piece.to_lowercase())),
                holds: Box::new(move |subject, _| has(subject)),
            },
            3 => {
                let inner = Self::any(chance, letters, depth - 1);
                Self {
                    key: format!("NOT {}", inner.key),
                    holds: Box::new(move |subject, text| !(inner.holds)(subject, text)),
                }
            }
            kind => {
                let one = Self::any(chance, letters, depth - 1);
                let other = Self::any(chance, letters, depth - 1);
                let both = kind == 4;
                let word = if both { "" } else { "OR " };
                Self {
                    key: format!("({word}({}) ({}))", one.key, other.key),
                    holds: Box::new(move |subject, text| {
                        let (one, other) =
                            ((one.holds)(subject, text), (other.holds)(subject, text));
                        if both { one && other } else { one || other }
                    }),
                }
            }
        }
    }
}

fn search(reader: &mut Reader, key: &str) -> Vec<usize> {
    let answer = reader.ask(&format!("s SEARCH CHARSET UTF-8 {key}\r\n"));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("s OK"), "{answer} to {key}");
    let line = answer.lines().find(|line| line.starts_with("* SEARCH"));
    line.unwrap_or_else(|| panic!("{answer}"))
        .split(' ')
        .skip(2)
        .map(|number| number.parse().unwrap())
        .collect()
}

fn index_all(store: &Store) -> usize {
    let mut indexer = Indexer::new(store).settled_after(Duration::ZERO);
    let (mut count, mut nothing) = (0, 0);
    // After the first time, what is settled moves on.
    while nothing < 2 {
        match indexer.step().unwrap() {
            Step::Indexed(more) => (count, nothing) = (count + more, 0),
            Step::Nothing => nothing += 1,
        }
    }
    count
}

#[test]
fn index_and_scan_agree_with_the_plain_texts() {
    let mut post = Post::new("e-citizen.example", "localhost").unwrap();
    post.add_account(LOCAL, Kind::Person).unwrap();
    let mut chance = Chance(20_261_122);
    let mut letters = Vec::new();
    for _ in 0..100 {
        let (subject, text) = (chance.text(3), chance.text(12));
        let letter = chance.letter(&subject, &text);
        post.deposit(&[LOCAL], &letter).unwrap();
        letters.push((subject, text));
    }
    let mut reader = Reader::new(&mut post);
    let asked: Vec<Asked> = (0..150)
        .map(|_| Asked::any(&mut chance, &letters, 3))
        .collect();
    let compare = |reader: &mut Reader, letters: &[(String, String)], when: &str| {
        let mut some = 0;
        for one in &asked {
            let want: Vec<usize> = (1..)
                .zip(letters)
                .filter(|(_, (subject, text))| (one.holds)(subject, text))
                .map(|(number, _)| number)
                .collect();
            some += usize::from(!want.is_empty() && want.len() < letters.len());
            assert_eq!(search(reader, &one.key), want, "{when}: {}", one.key);
        }
        assert!(
            some > asked.len() / 3,
            "only {some} queries tell letters apart"
        );
    };
    compare(&mut reader, &letters, "by scan");
    let mut indexer = Indexer::new(&post.store);
    assert_eq!(indexer.step().unwrap(), Step::Indexed(32));
    assert_eq!(post.store.search_backlog().unwrap(), 68);
    compare(&mut reader, &letters, "half and half");
    assert_eq!(index_all(&post.store), 68);
    assert_eq!(post.store.search_backlog().unwrap(), 0);
    compare(&mut reader, &letters, "by index");
    // Letters that go and come: what is gone is not found, what is new is scanned.
    reader.ask("d STORE 1:50 +FLAGS.SILENT (\\Deleted)\r\n");
    reader.ask("e EXPUNGE\r\n");
    letters.drain(..50);
    let (subject, text) = (chance.text(3), chance.text(12));
    post.deposit(&[LOCAL], &chance.letter(&subject, &text))
        .unwrap();
    letters.push((subject, text));
    reader.ask("n NOOP\r\n");
    compare(&mut reader, &letters, "after an expunge");
    // Nobody else's letters are in anybody's answer.
    post.add_account("1104911235", Kind::Person).unwrap();
    let (subject, text) = letters[0].clone();
    post.deposit(&["1104911235"], &chance.letter(&subject, &text))
        .unwrap();
    index_all(&post.store);
    compare(&mut reader, &letters, "beside another holder's");
}

/// `cargo test --release -p imapd -- --ignored --nocapture search_of_ten_thousand`
#[test]
#[ignore = "measures; half a minute"]
fn search_of_ten_thousand() {
    let mut post = Post::new("e-citizen.example", "localhost").unwrap();
    post.add_account(LOCAL, Kind::Person).unwrap();
    let mut chance = Chance(7);
    let vocabulary: Vec<Vec<String>> = [
        "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցփքօֆ",
        "абвгдежзийклмнопрстуфхцчшщыэюя",
        "abcdefghijklmnopqrstuvwxyz",
    ]
    .iter()
    .map(|letters| {
        let letters: Vec<char> = letters.chars().collect();
        let word = |chance: &mut Chance| {
            (0..3 + chance.below(8))
                .map(|_| *chance.of(&letters))
                .collect()
        };
        (0..15_000).map(|_| word(&mut chance)).collect()
    })
    .collect();
    let (mut octets, total) = (0, 10_000);
    for number in 0..total {
        let words = chance.of(&vocabulary).clone();
        let mut text = format!("number{number} ");
        for at in 1..=400 {
            // A few words are in every letter, most are rare.
            let word = chance.below(words.len()) / (1 + chance.below(50));
            text += &words[word];
            text.push_str(if at % 10 == 0 { "\r\n" } else { " " });
        }
        let letter = format!(
            "From: a@sender.example\r\nSubject: notice {number}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        );
        octets += letter.len();
        post.deposit(&[LOCAL], letter.as_bytes()).unwrap();
    }
    println!("{total} letters of {} octets", octets / total);
    let mut reader = Reader::new(&mut post);
    let rare = vocabulary[0][14_000].clone();
    let common = vocabulary[1][0].clone();
    let keys = [
        format!("TEXT {{{}+}}\r\n{rare}", rare.len()),
        format!("TEXT {{{}+}}\r\n{common}", common.len()),
        "TEXT number7777".to_owned(),
        "SUBJECT \"notice 42\"".to_owned(),
        "BODY \"no such phrase\"".to_owned(),
        "BODY ab".to_owned(),
        "UNSEEN".to_owned(),
    ];
    for when in ["by scan", "by index"] {
        for key in &keys {
            for _ in 0..2 {
                let began = Instant::now();
                let found = search(&mut reader, key).len();
                println!(
                    "{when}: {found:>6} found in {:>8.1} ms: {}",
                    began.elapsed().as_secs_f64() * 1e3,
                    key.replace("\r\n", " ")
                );
            }
        }
        let began = Instant::now();
        let count = index_all(&post.store);
        println!("{count} indexed in {:.2} s", began.elapsed().as_secs_f64());
    }
}
