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
//! | [`refusal`] | refusals by code, explained in three languages |
//! | [`report`] | reports to a sender as mail: DSN, MDN, and the writer of their header and parts |
//! | [`structure`] | the parts of a message, ENVELOPE, BODYSTRUCTURE, sections, the stored form |
//! | `text`, `words` | header values for people: encoded words, RFC 2231 parameters, dates |
//! | `charset`, `transfer`, `rendered` | octets to text: charsets, transfer encodings, HTML as it is seen |
//! | [`fold`] | the form in which texts are compared |
//! | [`searched`] | the searched text of a letter |
//! | [`trace`] | the trace served before the original, and finding the original again |

pub mod address;
mod charset;
pub mod data;
pub mod digest;
pub mod fold;
pub mod header;
mod mime;
pub mod refusal;
mod rendered;
pub mod report;
pub mod searched;
pub mod structure;
mod text;
pub mod time;
pub mod trace;
mod transfer;
mod words;

pub use address::{Address, ReversePath};
pub use data::DataDecoder;
pub use digest::Digest;
pub use header::header_fields;
pub use structure::Structure;
pub use time::Timestamp;
pub use trace::Trace;
