//! Octets and their meaning in mail: pure functions, no clock, no file, no network.
//!
//! | module | what |
//! |---|---|
//! | [`digest`] | SHA-256, the name of octets |
//! | [`time`] | instants to the millisecond in the forms of RFC 3339, RFC 5322 and IMAP |
//! | [`address`] | mailbox addresses, the paths of MAIL and RCPT |

pub mod address;
pub mod data;
pub mod digest;
pub mod time;

pub use address::{Address, ReversePath};
pub use digest::Digest;
pub use time::Timestamp;
