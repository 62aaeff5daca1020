//! What a command comes to: its completion, or work to be done before it.

use std::borrow::Cow;

use store::StoreError;

use super::Session;
use super::act::{Act, Done, Outcome};

/// Called with what the act brought.
pub type Then = Box<dyn FnOnce(&mut Session, Outcome) -> Reply + Send>;
/// Called with the line that follows a continuation request.
pub type ThenLine = Box<dyn FnOnce(&mut Session, &[u8]) -> Reply + Send>;

/// What a command comes to.
pub enum Reply {
    /// It is complete.
    Tagged(Tagged),
    /// The store has to do something first.
    Act(Box<Act>, Then),
    /// The client has to send a line first; the text stands behind `+ `.
    Ask(&'static str, ThenLine),
    /// IDLE begins.
    Idle,
    /// TLS begins behind the completion.
    StartTls,
}

/// OK, NO or BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 3501 §7.1")]
pub enum Condition {
    Ok,
    No,
    Bad,
}

/// A completion (RFC 3501 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// OK, NO or BAD.
    pub condition: Condition,
    /// A response code without its brackets; empty: none.
    pub code: Cow<'static, str>,
    /// For people.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// OK.
    pub fn ok(text: &'static str) -> Self {
        Self::ok_code("", text)
    }

    /// OK with a response code.
    pub fn ok_code(code: impl Into<Cow<'static, str>>, text: &'static str) -> Self {
        Self::tagged(Condition::Ok, code, text)
    }

    /// NO with a response code.
    pub fn no(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self::tagged(Condition::No, code, text)
    }

    /// BAD.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::tagged(Condition::Bad, "", text)
    }

    /// An act, and what follows if it went well; otherwise the command fails as [`Reply::failed`] says.
    pub fn act(act: Act, then: impl FnOnce(&mut Session, Done) -> Reply + Send + 'static) -> Self {
        Self::Act(
            Box::new(act),
            Box::new(|session, outcome| match outcome {
                Ok(done) => then(session, done),
                Err(error) => Self::failed(&error),
            }),
        )
    }

    /// What a client is told of a store's error: whose fault it is, and no detail of ours (RFC 5530).
    pub fn failed(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::no("NONEXISTENT", "There is no such mailbox"),
            StoreError::Exists(_) => Self::no("ALREADYEXISTS", "There is such a mailbox already"),
            StoreError::Invalid(_) => Self::no("CANNOT", "That is not allowed with this mailbox"),
            StoreError::Full => Self::no(
                "UNAVAILABLE",
                "There is no room at the moment, try again later",
            ),
            StoreError::Unavailable(why) => {
                tracing::warn!(%why, "an act of a session cannot be done now");
                Self::no(
                    "UNAVAILABLE",
                    "Not available at the moment, try again later",
                )
            }
            other => {
                tracing::error!(error = %chain(other), "an act of a session failed");
                Self::no("SERVERBUG", "Something is wrong here; it has been noted")
            }
        }
    }

    /// The state table lets no command through to where this is said.
    pub fn out_of_state() -> Self {
        Self::bad("not in this state")
    }

    fn tagged(
        condition: Condition,
        code: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Tagged(Tagged {
            condition,
            code: code.into(),
            text: text.into(),
        })
    }
}

/// An error with its sources, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
