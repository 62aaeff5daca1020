//! Every limit on what a peer of the relay can make us hold or wait for, with its reason.

use std::time::Duration;

/// Commands whose replies are awaited at the same moment, where the peer takes pipelines: the replies to so many fit into
/// any socket's buffer, so neither side can wait for the other for ever (RFC 2920 §3.1).
pub const PIPELINED_MAX: usize = 32;

/// Recipients of one transaction; a letter to more takes several (RFC 5321 §4.5.3.1.8 promises 100).
pub const RECIPIENTS_MAX: usize = 100;

/// Octets of content written at once; each has [`Waits::block`].
pub const BLOCK_BYTES_MAX: usize = 32 * 1024;

/// Octets read at once: replies are short.
pub const READ_BYTES_MAX: usize = 4 * 1024;

/// Letters over one connection, so that a peer's own limits, and a change of its address, are not run into.
pub const LETTERS_PER_CONNECTION_MAX: u32 = 100;

/// How long an idle connection is kept for the next letter. RFC 5321 §4.5.4.1 wants the peer's resources given back soon.
pub const IDLE_MAX: Duration = Duration::from_secs(30);

/// Idle connections to one destination: as many senders at once are served without waiting.
pub const IDLE_PER_DESTINATION_MAX: usize = 4;

/// Idle connections to all destinations: a descriptor and some ten kB each.
pub const IDLE_CONNECTIONS_MAX: usize = 64;

/// How long a peer is waited for: RFC 5321 §4.5.3.2's minimum times where it names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// For the greeting.
    pub greeting: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the replies to EHLO, HELO, STARTTLS, MAIL and RCPT.
    pub command: Duration,
    /// For the reply to DATA.
    pub data: Duration,
    /// For the peer to take a block of the content.
    pub block: Duration,
    /// For the reply to the content's end.
    pub end: Duration,
    /// For an idle connection to show that it is alive.
    pub probe: Duration,
    /// For the reply to QUIT, and for last words after a connection broke.
    pub quit: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            // Several addresses, each with a few SYNs.
            connect: Duration::from_secs(60),
            // RFC 5321 §4.5.3.2.1.
            greeting: Duration::from_secs(5 * 60),
            // Two round trips and slow hardware.
            handshake: Duration::from_secs(30),
            // RFC 5321 §4.5.3.2.2, §4.5.3.2.3.
            command: Duration::from_secs(5 * 60),
            // RFC 5321 §4.5.3.2.4.
            data: Duration::from_secs(2 * 60),
            // RFC 5321 §4.5.3.2.5.
            block: Duration::from_secs(3 * 60),
            // RFC 5321 §4.5.3.2.6.
            end: Duration::from_secs(10 * 60),
            // A live peer answers RSET at once; a new connection costs less than waiting.
            probe: Duration::from_secs(10),
            // Nothing depends on it.
            quit: Duration::from_secs(2),
        }
    }
}
