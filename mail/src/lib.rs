//! Octets and their meaning in mail: pure functions, no clock, no file, no network.
//!
//! | module | what |
//! |---|---|
//! | [`digest`] | SHA-256, the name of octets |
//! | [`time`] | instants to the millisecond in the forms of RFC 3339, RFC 5322 and IMAP |
//! | [`address`] | mailbox addresses, the paths of MAIL and RCPT |
//! | [`data`] | the strict decoder for SMTP's DATA |
//! | [`header`] | the fields of a header as octets; HEADER.FIELDS |
//! | `mime` | MIME header fields: tokens and parameters |
//! | [`report`] | reports to a sender as mail: DSN, MDN, and the writer of their header and parts |
//! | [`structure`] | the parts of a message, ENVELOPE, BODYSTRUCTURE, sections, the stored form |
//! | [`text`] | decoded text for people and SEARCH |
//! | [`trace`] | the trace served before the original, and finding the original again |

pub mod address;
pub mod data;
pub mod digest;
pub mod header;
mod mime;
pub mod report;
pub mod structure;
pub mod text;
pub mod time;
pub mod trace;

pub use address::{Address, ReversePath};
pub use data::DataDecoder;
pub use digest::Digest;
pub use header::header_fields;
pub use structure::Structure;
pub use time::Timestamp;
pub use trace::Trace;
