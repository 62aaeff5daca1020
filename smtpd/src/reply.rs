//! Replies: a code, an enhanced status code (RFC 2034, RFC 3463, RFC 5248) and one line of text.

use std::borrow::Cow;
use std::fmt;

use mail::refusal::Code;

/// One reply of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The reply code of RFC 5321 §4.2.
    pub code: u16,
    /// The enhanced status code; empty where RFC 2034 §4 has none (greeting, HELO, EHLO, 354).
    pub status: &'static str,
    /// Printable ASCII.
    pub text: Cow<'static, str>,
    /// By which code the refusal is explained to people; stands in parentheses behind the text.
    pub help: Option<Code>,
}

impl Reply {
    /// A reply whose text is known beforehand.
    pub const fn new(code: u16, status: &'static str, text: &'static str) -> Self {
        Self {
            code,
            status,
            text: Cow::Borrowed(text),
            help: None,
        }
    }

    /// A refusal that people may meet.
    pub const fn refusing(code: u16, status: &'static str, text: &'static str, help: Code) -> Self {
        Self {
            code,
            status,
            text: Cow::Borrowed(text),
            help: Some(help),
        }
    }

    /// A reply whose text is made on the spot.
    pub fn with(code: u16, status: &'static str, text: String) -> Self {
        Self {
            code,
            status,
            text: Cow::Owned(text),
            help: None,
        }
    }

    /// The same reply as a refusal that people may meet.
    pub fn because(self, help: Code) -> Self {
        Self {
            help: Some(help),
            ..self
        }
    }

    /// Whether the client is told never to try again (5xx).
    pub fn is_final(&self) -> bool {
        self.code >= 500
    }

    /// The reply with `[<evidence id>]` at its end.
    pub fn citing(self, evidence: &impl fmt::Display) -> Self {
        Self {
            text: format!("{} [{evidence}]", self.explained()).into(),
            help: None,
            ..self
        }
    }

    /// The text, and the code behind it.
    fn explained(&self) -> Cow<'_, str> {
        match self.help {
            Some(help) => format!("{} ({help})", self.text).into(),
            None => Cow::Borrowed(&self.text),
        }
    }

    /// Appends the line with its CRLF.
    pub fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.to_string().as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Reply {
    /// The line without its CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.status.is_empty() { "" } else { " " };
        write!(
            f,
            "{}{space}{} {}",
            self.code,
            self.status,
            self.explained()
        )
    }
}

/// Appends a reply of several lines (RFC 5321 §4.2.1).
pub fn write_lines(output: &mut Vec<u8>, code: u16, lines: &[Cow<'_, str>]) {
    for (index, line) in lines.iter().enumerate() {
        let mark = if index + 1 == lines.len() { ' ' } else { '-' };
        output.extend_from_slice(format!("{code}{mark}{line}\r\n").as_bytes());
    }
}

/// Our own trouble: nothing is lost, the client tries again.
pub const TROUBLE: Reply = Reply::refusing(
    451,
    "4.3.0",
    "trouble on this side, please try again",
    Code::TryLater,
);
/// RFC 3463 X.3.1: mail system full.
pub const FULL: Reply = Reply::refusing(
    452,
    "4.3.1",
    "no room for new mail at the moment",
    Code::TryLater,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut output = Vec::new();
        Reply::new(354, "", "go on").write(&mut output);
        Reply::new(550, "5.1.1", "no")
            .citing(&"ID")
            .write(&mut output);
        Reply::refusing(550, "5.1.1", "no", Code::NoMailbox)
            .citing(&"ID")
            .write(&mut output);
        write_lines(&mut output, 250, &["a".into(), "b".into()]);
        assert_eq!(
            output,
            b"354 go on\r\n550 5.1.1 no [ID]\r\n550 5.1.1 no (no-mailbox) [ID]\r\n250-a\r\n250 b\r\n"
        );
        assert!(!TROUBLE.is_final() && !FULL.is_final());
    }
}
