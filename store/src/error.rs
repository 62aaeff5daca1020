use std::io;

/// Why the store could not do what it was asked.
///
/// Sorted by whose fault it is: [`Invalid`](Self::Invalid), [`Denied`](Self::Denied), [`NotFound`](Self::NotFound) and [`Exists`](Self::Exists)
/// are the caller's; the rest are ours.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The request is not allowed; the text names what is wrong and is fit for an operator.
    #[error("{0}")]
    Invalid(String),
    /// Who asks may not; the text says who they are, or are not.
    #[error("{0}")]
    Denied(String),
    /// What was asked for is not there; the text names it.
    #[error("{0} not found")]
    NotFound(String),
    /// What was to be made is there already; the text names it.
    #[error("{0} already exists")]
    Exists(String),
    /// The disk is full: nothing was changed, and the store heals by itself when there is room again.
    #[error("no space left for new data")]
    Full,
    /// A sync failed, so nothing after it can be trusted: the process must end (exit 75) and recover from the disk.
    #[error("a write could not be made durable; the store has stopped")]
    Failed,
    /// The database or the object store cannot be reached now, or was lost in the middle: nothing may be believed of what
    /// was under way, and trying again is right (answer 451). Heals by itself.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// Stored octets do not match their digest or their form; the text names what is damaged.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Reading or writing a file failed.
    #[error("{what}")]
    Io {
        /// What was being done, with the file's name.
        what: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The SQL engine refused or failed.
    #[error("the SQL engine failed: {0}")]
    Sql(String),
}

impl StoreError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full;
        }
        Self::Io {
            what: what.into(),
            source,
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

/// An error with all its causes in one line, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
