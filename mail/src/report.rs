//! What is told to a sender as mail: delivery status notifications (RFC 3464) and message disposition notifications
//! (RFC 8098), each a top-level `multipart/report` (RFC 6522); and the header and MIME writer they share with sealed
//! receipts.
//!
//! | module | what |
//! |---|---|
//! | [`delivery`] | the DSN: what became of a submission, recipient by recipient |
//! | [`disposition`] | the MDN: the holder's program marked a letter as read |
//! | [`heading`] | the header every such mail begins with |
//! | [`field`] | header fields written so that no value can begin another one |
//! | [`msg_id`] | `msg-id` (RFC 5322 §3.6.4): ours, stable; and the sender's, if it is one |
//! | [`part`] | MIME parts and multiparts with exact octets |
//! | [`xtext`] | the coding of ENVID and ORCPT (RFC 3461 §4) |
//!
//! Everything is a function of its arguments: built twice, a report has the same octets twice. Lines end with CRLF,
//! octets are 7-bit except where [`delivery::DeliveryReport::takes_8bit`] says the way to the sender bears more.

pub mod delivery;
pub mod disposition;
pub mod field;
pub mod heading;
pub mod msg_id;
pub mod part;
pub mod xtext;

pub use delivery::{Action, DeliveryReport, Diagnostic, RecipientReport, Ret};
pub use disposition::{ActionMode, DispositionReport};
pub use heading::{AutoSubmitted, Heading, Mailbox};
pub use msg_id::MsgId;
pub use part::Part;

/// Why a report cannot be written. All are our own faults or those of stored values: a peer's text is neutralised or
/// left out, and only what must stand exactly as it is and cannot is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A field that must stand as it is holds a control character or one outside ASCII.
    #[error("{0} holds a character that no header field may hold")]
    Character(String),
    /// A field's line would have more than 998 octets (RFC 5322 §2.1.1).
    #[error("{0} does not fit on a line of 998 octets")]
    TooLong(String),
    /// A field's name is not one.
    #[error("{0:?} is not the name of a header field")]
    Name(String),
    /// An enhanced status code is malformed, or of another class than the action (RFC 3464 §2.3.4).
    #[error("{0:?} is no status code for this action")]
    Status(String),
    /// A delivery report names no recipient (RFC 3464 §2.1).
    #[error("a delivery report is about at least one recipient")]
    NoRecipient,
}

/// One text in several languages, for the part people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HumanText {
    /// The languages in it, in their order, as Content-Language lists them (RFC 3282): `hy, ru, en`.
    pub languages: String,
    /// The text itself; any line ends.
    pub text: String,
}
