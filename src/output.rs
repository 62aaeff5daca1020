//! What commands print: aligned text for people, JSON for programs. One document is one JSON document; a list is JSON
//! Lines.

use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Octets of an answer that is kept in memory, at most: a page of a list has some hundred kilobytes, all contracts of a
/// country some megabytes.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is printed, in the form that was asked for.
pub struct Output {
    json: bool,
    out: Sink,
}

/// Where it goes.
enum Sink {
    Standard(BufWriter<Stdout>),
    Memory(Vec<u8>),
}

/// A column of a text table: its heading and the characters it is given. What is longer pushes the rest aside, so that
/// a list of any length is printed as it is read.
pub struct Column(pub &'static str, pub usize);

impl Output {
    /// Output as JSON, or as text.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            out: Sink::Standard(BufWriter::new(io::stdout())),
        }
    }

    /// Output as JSON, kept for who answers with it.
    pub fn kept() -> Self {
        Self {
            json: true,
            out: Sink::Memory(Vec::new()),
        }
    }

    /// What was kept; nothing of what went to standard output.
    pub fn into_kept(self) -> Vec<u8> {
        match self.out {
            Sink::Standard(_) => Vec::new(),
            Sink::Memory(octets) => octets,
        }
    }

    /// Whether JSON was asked for.
    pub fn json(&self) -> bool {
        self.json
    }

    /// One document: `value` as JSON, or the text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn document(&mut self, value: &Value, text: impl FnOnce() -> String) -> Outcome {
        if self.json {
            return self.json_line(value);
        }
        self.text(&text())
    }

    /// The headings of a list; JSON has none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn headings(&mut self, columns: &[Column]) -> Outcome {
        if self.json {
            return Ok(());
        }
        let headings: Vec<&str> = columns.iter().map(|column| column.0).collect();
        self.line(columns, &headings)
    }

    /// One row of a list: `value` as a JSON line, or the cells in their columns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, columns: &[Column], value: &Value, cells: &[&str]) -> Outcome {
        if self.json {
            self.json_line(value)
        } else {
            self.line(columns, cells)
        }
    }

    /// Text as it is, whatever form was asked for; a missing newline is added.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, text: &str) -> Outcome {
        self.octets(text.as_bytes())?;
        if text.ends_with('\n') {
            Ok(())
        } else {
            self.octets(b"\n")
        }
    }

    /// Octets as they are.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn octets(&mut self, octets: &[u8]) -> Outcome {
        match &mut self.out {
            Sink::Standard(out) => out.write_all(octets).map_err(failed),
            Sink::Memory(kept) if kept.len() + octets.len() > KEPT_BYTES_MAX => {
                Err(Failure::could_not(format!(
                    "the answer is longer than {KEPT_BYTES_MAX} octets: ask for less"
                )))
            }
            Sink::Memory(kept) => {
                kept.extend_from_slice(octets);
                Ok(())
            }
        }
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Outcome {
        match &mut self.out {
            Sink::Standard(out) => out.flush().map_err(failed),
            Sink::Memory(_) => Ok(()),
        }
    }

    fn json_line(&mut self, value: &Value) -> Outcome {
        self.octets(value.to_string().as_bytes())?;
        self.octets(b"\n")
    }

    fn line(&mut self, columns: &[Column], cells: &[&str]) -> Outcome {
        self.text(&aligned(columns, cells))
    }
}

fn failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::doing("standard output", &error),
    }
}

fn aligned(columns: &[Column], cells: &[&str]) -> String {
    let mut line = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        let cell = printable(if cell.is_empty() { "-" } else { cell });
        line.push_str(&format!("{cell:<width$}  ", width = column.1));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Names and addresses come from outside: nothing in them may steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// `name  value` lines, the names padded to the longest; lines without a value are left out.
pub fn properties(lines: &[(&str, Option<String>)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = lines.iter().filter_map(|(name, value)| {
        value
            .as_ref()
            .map(|value| format!("{name:<width$}  {}\n", printable(value)))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_cannot_steer_a_terminal() {
        let columns = [Column("ID", 4), Column("NAME", 6), Column("", 3)];
        assert_eq!(aligned(&columns, &["1", "", "x"]), "1     -       x");
        assert_eq!(
            aligned(&columns, &["12345", "\x1b[2J", ""]),
            "12345  \u{fffd}[2J    -"
        );
        let text = properties(&[
            ("id", Some("7".into())),
            ("reason", None),
            ("name", Some("a\nb".into())),
        ]);
        assert_eq!(text, "id      7\nname    a\u{fffd}b\n");
    }
}
