//! IMAP4rev1 (RFC 3501) for holders whom a client certificate names, and for nobody else.
//!
//! | module | what |
//! |---|---|
//! | [`codec`] | the grammar, both ways |
//! | [`session`] | one session without input and output: states, view, what may be said when |
//! | [`commands`] | the commands, one file each |
//! | [`fetch`] | one window of a FETCH: reading acts and responses |
//! | [`search`] | one window of a SEARCH |
//! | [`mod@perform`] | does what a session asks of the store |
//! | [`identify`] | a certificate's verdict to the one account it names |
//! | [`refusal`] | why nobody is logged in |
//! | [`responders`] | who asks OCSP responders, as far as this room knows |
//! | [`serve`] | the driver over sockets |
//! | [`house`] | what all sessions of one daemon share |
//! | [`names`] | mailbox names between the wire and the store |
//! | [`limits`] | what a peer may make this server hold or do |
//! | [`acknowledged`] | whether the peer's TCP has acknowledged all we sent |

#![forbid(unsafe_code)]

pub mod acknowledged;
pub mod codec;
pub mod commands;
pub mod fetch;
pub mod house;
pub mod identify;
pub mod limits;
pub mod names;
pub mod perform;
pub mod refusal;
pub mod responders;
pub mod search;
pub mod serve;
pub mod session;

pub use house::{House, Limits};
pub use perform::perform;
pub use serve::{Counters, Imapd};
pub use session::{Next, Session};
