//! Mail in: the gate for senders under contract, and the SMTP sessions behind it (RFC 5321). Mail out: the relay.
//!
//! A session is a state machine without I/O: octets and the time go in, replies and questions come out. The questions
//! (who holds this address, stage these octets, deposit this) are answered from the store by a [`serve::desk::Desk`];
//! sockets and TLS are in [`serve`] alone. What may pass is decided in [`policy`], which writes no reply and asks nobody.
//!
//! | module | what |
//! |---|---|
//! | [`command`] | one command line read: the verb table, paths and parameters |
//! | [`parameters`] | what MAIL and RCPT are told besides an address |
//! | [`commands`] | what each command does, one file each |
//! | [`reply`] | replies with their enhanced status codes |
//! | [`policy`] | verdicts: at connect, MAIL, RCPT and the end of data |
//! | [`input`] | octets that wait to be read as lines or as data |
//! | [`transaction`] | one mail transaction: what MAIL and RCPT have gathered |
//! | [`session`] | the state machine |
//! | [`session::exchange`] | what session and driver say to each other |
//! | [`session::receiving`] | the same while a message streams in |
//! | [`limits`] | every limit, with its reason |
//! | [`counters`] | what is counted and never becomes evidence |
//! | [`serve`] | the driver: sockets, TLS, time, shutdown |
//! | [`serve::connection`] | one connection |
//! | [`serve::desk`] | the session's questions, answered from the store |
//! | [`serve::admission`] | how many connections there may be, of whom |
//! | [`serve::client_certificate`] | client certificates: any, with proof of its key |
//! | [`relay`] | mail out: letters handed to other hosts |

pub mod command;
pub mod commands;
pub mod counters;
pub mod input;
pub mod limits;
pub mod parameters;
pub mod policy;
pub mod relay;
pub mod reply;
pub mod serve;
pub mod session;
pub mod transaction;

pub use counters::{Counters, RelayCounters};
pub use limits::Limits;
pub use relay::Relay;
pub use serve::Smtpd;
pub use session::{Session, Settings};
