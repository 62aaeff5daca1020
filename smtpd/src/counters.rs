//! What happens at the gate and is counted, never evidence: syntax errors, temporary failures, strangers.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Operational counts since the start. They only grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counters {
            /// Every count with its name, for metrics.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Connections taken.
    connections;
    /// Connections from addresses no active contract holds.
    barred;
    /// Connections turned away because there were too many.
    crowded;
    /// TLS handshakes that ended well.
    tls_handshakes;
    /// TLS handshakes that failed.
    tls_failures;
    /// Plain text that stood behind STARTTLS.
    tls_injections;
    /// Command lines that could not be read.
    syntax_errors;
    /// Commands at the wrong moment.
    sequence_errors;
    /// Recipients answered with 5xx.
    recipients_refused;
    /// Messages accepted (also those accepted before).
    accepted;
    /// Submissions refused with evidence.
    rejected;
    /// Answers 4xx: ours to heal.
    temporary_failures;
    /// Messages with octets above 127 that were not announced by BODY=8BITMIME: taken as they are.
    unannounced_8bit;
    /// Connections that ended in the middle of a message.
    aborted;
    /// Connections given up after waiting.
    timeouts;
    /// Connections ended because of too many errors or idle commands.
    cut_off;
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
