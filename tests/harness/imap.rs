//! A holder's side of IMAP: just what the tests need.

use std::time::Duration;

use super::Channel;
use super::channel::Line;

/// How long a line is waited for. Generous: a busy machine must not fail a test.
const WAIT: Duration = Duration::from_secs(30);

/// A session.
pub struct Imap {
    pub channel: Channel,
    tag: u32,
}

/// One response with its literals taken out; where they stood the text has `{N}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub text: String,
    pub literals: Vec<Vec<u8>>,
}

/// What a command was answered: its untagged responses, and the tagged one without its tag.
#[derive(Debug, Clone)]
pub struct Answer {
    pub untagged: Vec<Response>,
    pub tagged: String,
}

/// A letter as a FETCH gives it.
#[derive(Debug, Clone)]
pub struct Letter {
    pub octets: Vec<u8>,
}

impl Imap {
    /// Reads the greeting, which must be OK.
    pub fn greet(channel: Channel) -> Result<Self, String> {
        let mut imap = Self { channel, tag: 0 };
        let greeting = imap.response()?;
        if greeting.text.starts_with("* OK") {
            Ok(imap)
        } else {
            Err(greeting.text)
        }
    }

    /// AUTHENTICATE EXTERNAL without an identity, which must succeed.
    pub fn authenticate(&mut self) -> Result<(), String> {
        self.ok("AUTHENTICATE EXTERNAL =").map(|_| ())
    }

    /// One response, untagged, tagged or a continuation.
    pub fn response(&mut self) -> Result<Response, String> {
        let mut response = Response {
            text: String::new(),
            literals: Vec::new(),
        };
        loop {
            let line = match self.channel.line(WAIT).map_err(|e| e.to_string())? {
                Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                Line::Closed => return Err(format!("closed after {:?}", response.text)),
                Line::Nothing => return Err(format!("silent after {:?}", response.text)),
            };
            response.text.push_str(&line);
            let Some(count) = literal_octets(&line) else {
                return Ok(response);
            };
            response.literals.push(
                self.channel
                    .octets(count, WAIT)
                    .map_err(|e| e.to_string())?,
            );
        }
    }

    /// Sends a command and gives back its tag.
    pub fn send(&mut self, command: &str) -> Result<String, String> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.channel
            .write(format!("{tag} {command}\r\n").as_bytes())
            .map_err(|e| e.to_string())?;
        Ok(tag)
    }

    /// Reads until the tagged response.
    pub fn finish(&mut self, tag: &str) -> Result<Answer, String> {
        let mut untagged = Vec::new();
        loop {
            let response = self.response()?;
            if let Some(tagged) = response
                .text
                .strip_prefix(tag)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                return Ok(Answer {
                    tagged: tagged.to_owned(),
                    untagged,
                });
            }
            untagged.push(response);
        }
    }

    /// A command with all it is answered.
    pub fn command(&mut self, command: &str) -> Result<Answer, String> {
        let tag = self.send(command)?;
        self.finish(&tag)
    }

    /// The same, and the answer must be OK.
    pub fn ok(&mut self, command: &str) -> Result<Answer, String> {
        let answer = self.command(command)?;
        if answer.tagged.starts_with("OK") {
            Ok(answer)
        } else {
            Err(format!("{command}: {}", answer.tagged))
        }
    }

    /// Every letter of the selected mailbox, whole, without setting a flag.
    pub fn letters(&mut self) -> Result<Vec<Letter>, String> {
        let answer = self.ok("UID FETCH 1:* (UID BODY.PEEK[])")?;
        Ok(answer
            .untagged
            .into_iter()
            .filter_map(Response::into_letter)
            .collect())
    }
}

impl Response {
    fn into_letter(mut self) -> Option<Letter> {
        let is_fetch = self.text.contains(" FETCH (");
        self.literals
            .pop()
            .filter(|_| is_fetch)
            .map(|octets| Letter { octets })
    }
}

impl Letter {
    /// The accepted octets: the last N, as the last trace field says (evidence.md, law 6). Their digest is checked.
    pub fn original(&self) -> &[u8] {
        let text = String::from_utf8_lossy(&self.octets);
        let field = text
            .lines()
            .find_map(|line| line.strip_prefix("Knik-Original: sha256="));
        let (digest, count) = field
            .and_then(|field| field.split_once("; octets="))
            .expect("a Knik-Original field");
        let count: usize = count.trim().parse().expect("octets in Knik-Original");
        let original = &self.octets[self.octets.len() - count..];
        let actual = sha256(original);
        assert_eq!(
            digest, actual,
            "the octets served are not those their trace field names"
        );
        original
    }
}

fn sha256(octets: &[u8]) -> String {
    mail::Digest::of(octets)
        .to_string()
        .trim_start_matches("sha256:")
        .to_owned()
}

/// `{N}` at the end of a line.
fn literal_octets(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
