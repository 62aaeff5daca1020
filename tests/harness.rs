//! The program from outside: a post of its own per test, and clients of both sides to talk to it.
//!
//! | module | what |
//! |---|---|
//! | `post` | a post in a temporary directory: init, contracts, accounts, serve, kill |
//! | `pki` | certificates that the operator did not issue, or should not have |
//! | `channel` | a connection with or without TLS, read by lines and by octets |
//! | `postgres` | a PostgreSQL of the test's own |
//! | `s3` | an S3 server of the test's own |
//! | `sites` | small servers that the post asks |
//! | `smtp` | an agency's side |
//! | `imap` | a holder's side |
//! | `letters` | messages of many sizes that are known again |
//! | `postgres` | a PostgreSQL of a test's own |
//! | `s3` | an S3 server of a test's own |
//! | `tools` | stock tools: found, run, or their absence said |

pub mod channel;
pub mod imap;
pub mod letters;
pub mod pki;
pub mod post;
#[allow(dead_code, reason = "the store's own tests use the rest")]
pub mod postgres;
#[allow(dead_code, reason = "the store's own tests use the rest")]
pub mod s3;
pub mod sites;
pub mod smtp;
pub mod tools;

pub use channel::Channel;
pub use imap::Imap;
pub use pki::Credential;
pub use post::Post;
pub use smtp::Smtp;

use std::time::{Duration, Instant};

/// Looks every 20 ms until `done` has something, at most this long; the last look's complaint otherwise.
pub fn eventually<T>(within: Duration, mut done: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + within;
    loop {
        match done() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < until, "not within {within:?}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
