//! Every limit on what a peer can make us hold or wait for, with its reason.

use std::time::Duration;

/// A command line with its CRLF, in octets. RFC 5321 §4.5.3.1.4 asks for 512 and for more where extensions add
/// parameters (SIZE 26, BODY 16, later DSN 500 and RCPT's 500); 2048 holds all of them at once.
pub const LINE_BYTES_MAX: usize = 2048;

/// Octets of one over-long line that are skipped before the connection is given up: a peer that sends a megabyte
/// without a line end speaks something else.
pub const SKIPPED_BYTES_MAX: usize = 1 << 20;

/// Refused recipients kept for the evidence of one transaction (the event table allows 100).
pub const REFUSED_KEPT_MAX: usize = 100;

/// Octets of a refused recipient's address, as it was given, that are kept: the longest path of RFC 5321 §4.5.3.1.3.
pub const REFUSED_ADDRESS_BYTES_MAX: usize = 256;

/// Octets of replies that may wait before they are written: a flood of tiny commands must not grow memory.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// Octets taken from the socket at once: enough to stream a large message, little enough for a thousand sessions.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Received fields above which a message is taken to go round in circles (RFC 5321 §6.3 asks for at least 100).
pub const RECEIVED_MAX: usize = 100;

/// Message octets from which parsing is moved off the reactor: below, parsing is quicker than changing threads.
pub const EXAMINE_INLINE_BYTES_MAX: u64 = 64 * 1024;

/// Large messages examined at the same moment: each holds its octets in memory.
pub const EXAMINE_LARGE_MAX: usize = 4;

/// The limits an operator may change. [`Limits::default`] gives each with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same moment from contracted addresses.
    pub connections_max: usize,
    /// Connections of one contract at the same moment.
    pub connections_per_contract_max: usize,
    /// Connections at the same moment from addresses no contract holds.
    pub barred_connections_max: usize,
    /// TLS handshakes of one address under way at the same moment.
    pub handshakes_per_address_max: usize,
    /// Octets of one message; a contract may say less.
    pub message_bytes_max: u64,
    /// RCPT commands that are answered on their merits in one transaction.
    pub recipients_max: usize,
    /// Syntax and sequence errors, and refused MAILs, before the session ends.
    pub errors_max: u32,
    /// Commands that carry no mail (NOOP, RSET, VRFY, …) between two messages.
    pub idle_commands_max: u32,
    /// How the waiting is bounded.
    pub waits: Waits,
}

/// How long a peer is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// For a whole command line, and for a peer to take our replies.
    pub command: Duration,
    /// For the next octets of a message.
    pub data_block: Duration,
    /// For a whole message.
    pub data: Duration,
    /// How long an address without a contract is talked to at all.
    pub barred: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// At shutdown, for transactions in DATA.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Ten contracts at their full number; each session costs a descriptor and at most some 200 kB.
            connections_max: 1000,
            // The interface promises at least 100.
            connections_per_contract_max: 100,
            // They live 5 s and hold nothing; more than this at once is a flood, and is hung up on.
            barred_connections_max: 256,
            // The interface promises at least 300.
            handshakes_per_address_max: 300,
            // Scanned files of an agency pass; a message is held in memory once while it is examined.
            message_bytes_max: 50 * 1024 * 1024,
            // RFC 5321 §4.5.3.1.8 asks for at least 100.
            recipients_max: 1000,
            // A correct client makes none; a person at a keyboard makes a few.
            errors_max: 20,
            // A relay that keeps a connection warm sends a NOOP or RSET now and then.
            idle_commands_max: 100,
            waits: Waits::default(),
        }
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            // RFC 5321 §4.5.3.2.7.
            command: Duration::from_secs(5 * 60),
            // RFC 5321 §4.5.3.2.5, the sender's own limit on a block.
            data_block: Duration::from_secs(3 * 60),
            // A message of 50 MiB over 256 kbit/s.
            data: Duration::from_secs(30 * 60),
            // The interface promises at most 5 s.
            barred: Duration::from_secs(5),
            // Two round trips and slow hardware.
            handshake: Duration::from_secs(30),
            // The interface promises to drain within 10 s; a second is left for the rest of the program.
            drain: Duration::from_secs(9),
        }
    }
}
