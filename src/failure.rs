//! How a command can end badly: one line on standard error, and an exit code that says whose fault it is.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use store::StoreError;

use crate::signer::Refusal;

/// The way in which a command did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The thing asked is false: refuted, not found. Exit 1.
    False(String),
    /// It could not be done: usage, configuration, files. Exit 2.
    CouldNot(String),
    /// Who asks may not. Exit 2.
    Denied(String),
    /// The database or the object store is not there now; trying again is right. Exit 2.
    Away(String),
    /// A write could not be made durable; a supervisor should start the program again. Exit 75 (`EX_TEMPFAIL`).
    Stopped(String),
    /// Whoever read our output has had enough. Nothing is wrong and nothing is said. Exit 0.
    OutputClosed,
}

/// What every command gives back.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The thing asked is false.
    pub fn is_false(text: impl Into<String>) -> Self {
        Self::False(text.into())
    }

    /// It could not be done.
    pub fn could_not(text: impl Into<String>) -> Self {
        Self::CouldNot(text.into())
    }

    /// An error with its causes, after what was being done.
    pub fn doing(what: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        Self::CouldNot(format!("{what}: {}", chain(error)))
    }

    /// A file that could not be read, written or understood.
    pub fn file(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::doing(path.display(), error)
    }

    /// The exit code of this end.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::False(_) => 1,
            Self::CouldNot(_) | Self::Denied(_) | Self::Away(_) => 2,
            Self::Stopped(_) => 75,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::False(text)
            | Self::CouldNot(text)
            | Self::Denied(text)
            | Self::Away(text)
            | Self::Stopped(text) => f.write_str(text),
            Self::OutputClosed => Ok(()),
        }
    }
}

/// What was asked for and is not there is a false answer; all else could not be done.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::False(error.to_string()),
            StoreError::Denied(text) => Self::Denied(text),
            StoreError::Failed => Self::Stopped(error.to_string()),
            StoreError::Unavailable(_) => Self::Away(error.to_string()),
            _ => Self::CouldNot(chain(&error)),
        }
    }
}

impl From<store::log::LogError> for Failure {
    fn from(error: store::log::LogError) -> Self {
        match error {
            store::log::LogError::Beyond { .. } => Self::False(error.to_string()),
            store::log::LogError::Store(error) => error.into(),
            store::log::LogError::Signer { ref source, .. }
                if matches!(source.downcast_ref(), Some(Refusal::NotDurable(_))) =>
            {
                Self::Stopped(chain(&error))
            }
            _ => Self::CouldNot(chain(&error)),
        }
    }
}

/// An error with all its causes on one line, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = source.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_thing_is_false_and_a_taken_one_cannot_be_made() {
        let missing = Failure::from(StoreError::NotFound("contract 1".into()));
        assert!(matches!(&missing, Failure::False(text) if text == "contract 1 not found"));
        let taken = Failure::from(StoreError::Exists("account a@b".into()));
        assert!(matches!(taken, Failure::CouldNot(_)));
        let io = StoreError::Io {
            what: "reading x".into(),
            source: std::io::Error::other("broken"),
        };
        assert_eq!(Failure::from(io).to_string(), "reading x: broken");
    }
}
