//! What is counted and never evidence: at the gate syntax errors, temporary failures, strangers; on the way out attempts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($(#[$about:meta])* $struct:ident { $($(#[$doc:meta])* $name:ident;)* }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub struct $struct {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl $struct {
            /// Every count with its name, for metrics.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Operational counts of mail in since the start. They only grow.
    Counters {
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
}

counters! {
    /// Operational counts of mail out since the start. They only grow.
    RelayCounters {
        /// Connections opened and greeted.
        connections;
        /// Idle connections used for another letter.
        reused;
        /// Connections under TLS.
        secured;
        /// TLS handshakes that failed, after which the letter went in plain text.
        tls_failures;
        /// Attempts that got no usable connection.
        unreachable;
        /// Recipients for whom a letter was taken by its destination.
        sent;
        /// Recipients for whom it was not, for now.
        deferred;
        /// Recipients for whom it was refused for good.
        failed;
    }
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
