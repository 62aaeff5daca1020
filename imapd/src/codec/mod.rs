//! IMAP4rev1's grammar, both ways (RFC 3501 §9): octets to a borrowed command, values to response octets.
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | where one command ends in a stream of octets, and which literals it asks for |
//! | [`cursor`] | the terminals: atoms, strings, numbers |
//! | [`command`] | one command |
//! | [`fetch`] | FETCH's data items |
//! | [`search`] | SEARCH's keys |
//! | [`set`] | sequence sets |
//! | [`flags`] | flags and keywords |
//! | [`utf7`] | modified UTF-7 of mailbox names |
//! | [`output`] | responses |

pub mod command;
pub mod cursor;
pub mod fetch;
pub mod flags;
pub mod frame;
pub mod output;
pub mod search;
pub mod set;
pub mod utf7;

pub use command::{Bad, Body, Command, parse};
pub use frame::{Frame, Framer, Literal};
pub use output::Output;
