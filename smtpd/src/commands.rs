//! What each command does once it was read and is allowed where it stands: one file each.
//!
//! | module | command |
//! |---|---|
//! | `helo` | EHLO, HELO |
//! | `mail` | MAIL |
//! | `rcpt` | RCPT |
//! | `data` | DATA; the message itself is `session/receiving.rs` |
//! | `rset` | RSET |
//! | `noop` | NOOP |
//! | `vrfy` | VRFY |
//! | `expn` | EXPN |
//! | `help` | HELP |
//! | `quit` | QUIT |
//! | `starttls` | STARTTLS |

pub(crate) mod data;
pub(crate) mod expn;
pub(crate) mod helo;
pub(crate) mod help;
pub(crate) mod mail;
pub(crate) mod noop;
pub(crate) mod quit;
pub(crate) mod rcpt;
pub(crate) mod rset;
pub(crate) mod starttls;
pub(crate) mod vrfy;
