//! Runs a script over a [`Wire`] and says where it did not hold.

use std::fmt;
use std::time::Duration;

use super::{Act, Open, Pattern, Script, Step, Text, Variables, open_how};

/// How long a line is waited for. Generous: a busy machine must not fail a dialogue.
const LINE_WAIT: Duration = Duration::from_secs(15);
/// How long silence is listened to for `S!`.
const SILENCE: Duration = Duration::from_millis(150);

/// What came when a line was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A line without its CRLF.
    Line(Vec<u8>),
    /// The server closed, and nothing is left to read.
    Closed,
    /// Nothing within the time given.
    Nothing,
}

/// What a driver does for the runner. Errors are texts for the one who reads the failed test.
pub trait Wire {
    fn open(&mut self, connection: u32, how: &Open) -> Result<(), String>;
    fn send(&mut self, connection: u32, octets: &[u8]) -> Result<(), String>;
    fn receive_line(&mut self, connection: u32, timeout: Duration) -> Result<Received, String>;
    fn start_tls(&mut self, connection: u32, certificate: Option<&str>) -> Result<(), String>;
    fn close(&mut self, connection: u32) -> Result<(), String>;
    fn wait(&mut self, time: Duration) -> Result<(), String>;
    /// `["suspend", "ministry"]` and the like.
    fn operate(&mut self, words: &[String]) -> Result<(), String>;
    /// Events minted since the steps began: name and reason code (empty if none).
    fn evidence(&mut self) -> Result<Vec<(String, String)>, String>;
}

/// Why a dialogue did not hold, with the conversation up to there.
#[derive(Debug)]
pub struct Failure {
    pub at: String,
    pub why: String,
    pub transcript: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n--- so far:\n{}",
            self.at, self.why, self.transcript
        )
    }
}

impl Script {
    /// Runs the steps and then compares the evidence.
    pub fn run(&self, wire: &mut dyn Wire) -> Result<(), Failure> {
        let mut run = Run {
            script: self,
            wire,
            open: Vec::new(),
            pending: None,
            variables: Variables::new(),
            transcript: String::new(),
        };
        run.all_steps()?;
        run.check_evidence()
    }
}

struct Run<'a> {
    script: &'a Script,
    wire: &'a mut dyn Wire,
    open: Vec<u32>,
    /// What consecutive `C` steps have gathered for one write.
    pending: Option<(u32, Vec<u8>)>,
    variables: Variables,
    transcript: String,
}

impl Run<'_> {
    fn all_steps(&mut self) -> Result<(), Failure> {
        let steps = &self.script.steps;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let group = steps[at..]
                .iter()
                .take_while(|next| {
                    matches!(next.act, Act::ExpectUnordered(_))
                        && next.connection == step.connection
                })
                .count();
            if group > 0 {
                let patterns = steps[at..at + group]
                    .iter()
                    .flat_map(|step| std::iter::repeat_n(step, step.times));
                let patterns: Vec<&Step> = patterns.collect();
                self.unordered(step, patterns)?;
                at += group;
                continue;
            }
            for _ in 0..step.times {
                self.step(step)
                    .map_err(|why| self.failure(step.line, why))?;
            }
            at += 1;
        }
        self.flush().map_err(|why| self.failure(0, why))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let connection = step.connection;
        if !matches!(step.act, Act::Send(_)) {
            self.flush()?;
        }
        if !matches!(step.act, Act::Wait(_) | Act::Operator(_) | Act::Open(_)) {
            self.ensure_open(connection)?;
        }
        match &step.act {
            Act::Send(text) => self.gather(connection, text),
            Act::Expect(pattern) => {
                let line = self.line(connection)?;
                self.match_line(pattern, &line)
            }
            Act::ExpectSomewhere(pattern) => loop {
                let line = self.line(connection)?;
                if self.match_line(pattern, &line).is_ok() {
                    return Ok(());
                }
            },
            // Invariant: `all_steps` takes these in groups.
            Act::ExpectUnordered(_) => Ok(()),
            Act::Silence => match self.wire.receive_line(connection, SILENCE)? {
                Received::Nothing => Ok(()),
                other => Err(format!("expected silence, got {}", shown_received(&other))),
            },
            Act::Open(how) => {
                self.note(connection, '*', format!("open {how:?}").as_bytes());
                self.open.push(connection);
                self.wire.open(connection, how)
            }
            Act::StartTls(name) => self.wire.start_tls(connection, name.as_deref()),
            Act::ExpectClose => match self.wire.receive_line(connection, LINE_WAIT)? {
                Received::Closed => Ok(()),
                other => Err(format!(
                    "expected the server to close, got {}",
                    shown_received(&other)
                )),
            },
            Act::HangUp => self.wire.close(connection),
            Act::Wait(time) => self.wire.wait(*time),
            Act::Operator(words) => self.wire.operate(words),
        }
    }

    fn ensure_open(&mut self, connection: u32) -> Result<(), String> {
        if self.open.contains(&connection) {
            return Ok(());
        }
        self.open.push(connection);
        let how = open_how("", &self.script.setup.peer)?;
        self.wire.open(connection, &how)
    }

    fn gather(&mut self, connection: u32, text: &Text) -> Result<(), String> {
        if self
            .pending
            .as_ref()
            .is_some_and(|(other, _)| *other != connection)
        {
            self.flush()?;
        }
        let octets = text.fill(&self.variables)?;
        self.note(connection, 'C', &octets);
        self.pending
            .get_or_insert_with(|| (connection, Vec::new()))
            .1
            .extend(octets);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        match self.pending.take() {
            Some((connection, octets)) => self.wire.send(connection, &octets),
            None => Ok(()),
        }
    }

    fn line(&mut self, connection: u32) -> Result<Vec<u8>, String> {
        match self.wire.receive_line(connection, LINE_WAIT)? {
            Received::Line(line) => {
                self.note(connection, 'S', &line);
                Ok(line)
            }
            other => Err(format!("expected a line, got {}", shown_received(&other))),
        }
    }

    fn match_line(&mut self, pattern: &Pattern, line: &[u8]) -> Result<(), String> {
        match pattern.matches(line, &self.variables) {
            Some(variables) => {
                self.variables = variables;
                Ok(())
            }
            None => Err(format!(
                "expected `{}`\n     got `{}`",
                pattern.source,
                line.escape_ascii()
            )),
        }
    }

    fn unordered(&mut self, first: &Step, mut left: Vec<&Step>) -> Result<(), Failure> {
        self.flush()
            .and_then(|()| self.ensure_open(first.connection))
            .map_err(|why| self.failure(first.line, why))?;
        while !left.is_empty() {
            let line = self
                .line(first.connection)
                .map_err(|why| self.failure(first.line, why))?;
            let hit = left.iter().position(|step| match &step.act {
                Act::ExpectUnordered(pattern) => self.match_line(pattern, &line).is_ok(),
                _ => false,
            });
            match hit {
                Some(index) => {
                    left.remove(index);
                }
                None => {
                    let why = format!(
                        "none of the {} lines awaited here: `{}`",
                        left.len(),
                        line.escape_ascii()
                    );
                    return Err(self.failure(first.line, why));
                }
            }
        }
        Ok(())
    }

    fn check_evidence(&mut self) -> Result<(), Failure> {
        let Some(expected) = &self.script.evidence else {
            return Ok(());
        };
        let minted = self.wire.evidence().map_err(|why| self.failure(0, why))?;
        for expected in expected {
            let count = minted
                .iter()
                .filter(|(event, reason)| {
                    *event == expected.event && expected.reason.as_ref().is_none_or(|r| r == reason)
                })
                .count();
            if count != expected.count {
                let why = format!(
                    "{} × {count}, not {}; minted: {minted:?}",
                    expected.event, expected.count
                );
                return Err(self.failure(expected.line, why));
            }
        }
        let unnamed = minted.iter().find(|(event, _)| {
            let operator = event.starts_with("contract-") || event.starts_with("account-");
            !operator && !expected.iter().any(|expected| expected.event == *event)
        });
        match unnamed {
            Some((event, reason)) => {
                Err(self.failure(0, format!("evidence nobody expected: {event} {reason}")))
            }
            None => Ok(()),
        }
    }

    fn note(&mut self, connection: u32, who: char, octets: &[u8]) {
        // Long texts (limits are tested with them) would hide what went wrong.
        let shown = octets.escape_ascii().to_string();
        let shown: String = shown.chars().take(400).collect();
        self.transcript
            .push_str(&format!("{who}{connection} {shown}\n"));
    }

    fn failure(&self, line: usize, why: String) -> Failure {
        Failure {
            at: format!("{}:{line}", self.script.path.display()),
            why,
            transcript: self.transcript.clone(),
        }
    }
}

fn shown_received(received: &Received) -> String {
    match received {
        Received::Line(line) => format!("`{}`", line.escape_ascii()),
        Received::Closed => "the end of the connection".into(),
        Received::Nothing => "nothing in time".into(),
    }
}
