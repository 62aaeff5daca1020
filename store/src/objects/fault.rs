//! What went wrong with a request, and how long it is tried again.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, Instant};

use object_store::Error;

use super::number::random;

/// How long a write is begun anew. A sender waits ten minutes for its 250 (RFC 5321 §4.5.3.2.6), and an object store
/// that fails over is back well within this time.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a read is begun anew: a person waits for it.
pub(super) const READ_PATIENCE: Duration = Duration::from_secs(10);

/// One attempt's time before a single octet is counted; its share for the octets comes on top.
const ATTEMPT_TIME: Duration = Duration::from_secs(10);

/// Below this pace an attempt is given up: an object store in the same building is a hundred times as fast.
const PACE_BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// The first pause between two attempts, doubled up to [`PAUSE_MAX`]; chance takes up to half of it away, so that
/// nodes that failed together do not come back together.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A server's own word for a fault is shown up to this length.
const CODE_CHARS_MAX: usize = 64;

/// How a request failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The object is not there.
    Missing,
    /// It is there already, or is another than was expected.
    Taken,
    /// It ends before what was asked for.
    Short,
    /// Trying again may help. The outcome of a write is unknown.
    Passing(String),
    /// Trying again does not help before somebody changes something.
    Lasting(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Taken => f.write_str("its number is taken"),
            Self::Short => f.write_str("it ends too early"),
            Self::Passing(what) | Self::Lasting(what) => f.write_str(what),
        }
    }
}

impl From<Error> for Fault {
    /// Nothing of what the server wrote is passed on but its code: the rest may repeat what was signed.
    fn from(error: Error) -> Self {
        let text = innermost(&error);
        let code = code(&text);
        let said = |what: &str| code.map_or(what.to_owned(), |code| format!("{what} ({code})"));
        match (&error, code) {
            (Error::NotFound { .. }, Some("NoSuchBucket")) => {
                Self::Lasting("there is no such bucket".into())
            }
            (Error::NotFound { .. }, _) => Self::Missing,
            (Error::AlreadyExists { .. } | Error::Precondition { .. }, _) => Self::Taken,
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
                Self::Lasting(said("access is denied"))
            }
            _ => match status(&text) {
                Some("416") => Self::Short,
                Some("501") => Self::Lasting(said("the server cannot do this")),
                Some(status) => Self::Passing(said(&format!("the server answered {status}"))),
                // Another certificate will not come by itself.
                None if text.contains("invalid peer certificate") => Self::Lasting(text),
                None => Self::Passing(text),
            },
        }
    }
}

/// The cause that all others report, which names neither address nor object.
fn innermost(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = source.to_string();
        cause = source.source();
    }
    text
}

/// `<Code>` of the server's answer.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = code.len() <= CODE_CHARS_MAX && code.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then_some(code)
}

/// The three digits of the answer, as the client's error text has them.
fn status(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("status code: ")?;
    let digits = rest.get(..3)?;
    digits.chars().all(|c| c.is_ascii_digit()).then_some(digits)
}

/// One attempt, given up when it takes too long for `len` octets.
pub(super) async fn attempt<T>(
    len: u64,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Fault> {
    let time = ATTEMPT_TIME + Duration::from_secs(len / PACE_BYTES_PER_SECOND_MIN);
    match tokio::time::timeout(time, request).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Passing(format!("no answer in {time:?}"))),
    }
}

/// Time left for further attempts.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        Self {
            until: Instant::now() + time,
            pause: PAUSE,
        }
    }

    /// Waits for the next attempt; `false` when there is to be none.
    pub(super) async fn again(&mut self, fault: &Fault) -> bool {
        if !matches!(fault, Fault::Passing(_)) {
            return false;
        }
        self.pause().await
    }

    /// Waits for the next attempt, whatever went wrong; `false` when there is to be none.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        let less = self.pause / 2 * (random() % 1000) as u32 / 1000;
        tokio::time::sleep(self.pause - less).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_code_of_the_servers_answer_is_repeated() {
        let text = "Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code><x>AKIA</x>";
        assert_eq!((status(text), code(text)), (Some("503"), Some("SlowDown")));
        assert_eq!(code("<Code>AKIA 7/+</Code>"), None);
        assert_eq!(code(&format!("<Code>{}</Code>", "a".repeat(65))), None);
        assert_eq!(status("status code: none"), None);
    }
}
