//! What became of a letter, recipient by recipient, and whose fault it was.

use std::fmt;
use std::io;

use super::reply::{Garbage, PeerReply};

/// What became of a letter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has taken it and answers for it from now on.
    Sent {
        /// Its reply to the end of the content.
        reply: PeerReply,
    },
    /// Not now; [`super::schedule`] says when again.
    Deferred {
        /// Why.
        why: Trouble,
    },
    /// Never: the same letter would fail in the same way. Nobody is told by mail: a letter of ours has an empty
    /// reverse-path (RFC 5321 §4.5.5), so this only ends its row in the queue.
    Failed {
        /// Why.
        why: Trouble,
    },
}

/// What a peer was asked when it answered, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The greeting.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// RSET.
    Rset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The content, up to its final dot.
    Content,
    /// QUIT.
    Quit,
}

/// Why a letter was not taken. Its text goes to the operator and into the queue; it may hold the peer's words, so it does
/// not belong into logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The peer said no.
    #[error("{asked} was answered {reply}")]
    Refused {
        /// To what.
        asked: Asked,
        /// In these words.
        reply: PeerReply,
    },
    /// No connection: the name is not known, nobody listens, the network is down.
    #[error("no connection to {host}: {kind}")]
    Unreachable {
        /// Whom it was tried with.
        host: String,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// The connection ended or broke.
    #[error("the connection broke at {0}")]
    Broken(Asked),
    /// No answer within its time (RFC 5321 §4.5.3.2).
    #[error("no answer to {0} in time")]
    TimedOut(Asked),
    /// The peer does not speak SMTP, or lost its place.
    #[error("the answer to {asked} cannot be read: {garbage}")]
    Garbled {
        /// To what.
        asked: Asked,
        /// What it was.
        garbage: Garbage,
    },
    /// The TLS handshake failed, or the certificate is not the host's.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// TLS is wanted by configuration and the peer does not offer it.
    #[error("the host does not offer STARTTLS, which the configuration asks for")]
    TlsNotOffered,
    /// 8-bit octets and a peer without 8BITMIME (RFC 6152 §3): a letter is not rewritten, its signature would break.
    #[error("the letter has 8-bit octets and the host does not take them")]
    EightBit,
    /// Larger than the peer's SIZE (RFC 1870 §6.1).
    #[error("the letter has {size_bytes} octets, the host takes {size_bytes_max}")]
    TooLarge {
        /// The letter's octets.
        size_bytes: u64,
        /// The peer's limit.
        size_bytes_max: u64,
    },
    /// NUL, a bare CR or a bare LF in the letter.
    #[error("the letter has NUL, a bare CR or a bare LF")]
    Unclean,
}

impl Trouble {
    /// Whether the same letter would meet it again.
    ///
    /// A 5yz before MAIL speaks of this host or of us, not of the letter: it is tried again, because an operator mends
    /// such a thing while letters wait. 521 alone says that the host never takes mail (RFC 7504 §3).
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { asked, reply } => match asked {
                Asked::Mail | Asked::Data | Asked::Content => reply.is_final(),
                // RFC 5321 §4.5.3.1.10: 552 to RCPT is to be read as 452, too many recipients.
                Asked::Rcpt => reply.is_final() && reply.code != 552,
                _ => reply.code == 521,
            },
            Self::EightBit | Self::TooLarge { .. } | Self::Unclean => true,
            _ => false,
        }
    }

    /// An enhanced status code for a report (RFC 3463): the peer's own where it gave one.
    pub fn status(&self) -> String {
        let ours = match self {
            Self::Refused { reply, .. } => {
                let class = if self.is_final() { 5 } else { 4 };
                let theirs = reply
                    .status()
                    .filter(|status| status.starts_with(if class == 5 { '5' } else { '4' }));
                return theirs.map_or_else(|| format!("{class}.0.0"), str::to_owned);
            }
            Self::Unreachable { .. } => "4.4.1",
            Self::Broken(_) | Self::TimedOut(_) => "4.4.2",
            Self::Garbled { .. } => "4.5.0",
            Self::Tls(_) | Self::TlsNotOffered => "4.7.5",
            Self::EightBit => "5.6.3",
            Self::TooLarge { .. } => "5.3.4",
            Self::Unclean => "5.6.0",
        };
        ours.to_owned()
    }

    /// What it means for a recipient.
    pub fn into_outcome(self) -> Outcome {
        if self.is_final() {
            Outcome::Failed { why: self }
        } else {
            Outcome::Deferred { why: self }
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the connection",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Rset => "RSET",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the end of the letter",
            Self::Quit => "QUIT",
        })
    }
}

impl Outcome {
    /// Taken by the peer.
    pub const fn is_sent(&self) -> bool {
        matches!(self, Self::Sent { .. })
    }

    /// The enhanced status code for a report: `2.0.0` where the peer gave none to what it took.
    pub fn status(&self) -> String {
        match self {
            Self::Sent { reply } => reply.status().unwrap_or("2.0.0").to_owned(),
            Self::Deferred { why } | Self::Failed { why } => why.status(),
        }
    }
}

impl fmt::Display for Outcome {
    /// For the queue: the peer's reply, or why there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { reply } => reply.fmt(f),
            Self::Deferred { why } | Self::Failed { why } => why.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_and_how_it_is_called() {
        use Asked::{Content, Data, Ehlo, Greeting, Mail, Rcpt, Rset};
        let table = [
            (Greeting, 554, "5.7.1 no", "4.0.0"),
            (Greeting, 521, "never", "5.0.0"),
            (Greeting, 421, "4.3.2 later", "4.3.2"),
            (Ehlo, 550, "", "4.0.0"),
            (Rset, 500, "", "4.0.0"),
            (Mail, 550, "5.7.1 no", "5.7.1"),
            (Mail, 451, "", "4.0.0"),
            (Rcpt, 550, "5.1.1 no", "5.1.1"),
            (Rcpt, 552, "5.5.3 too many", "4.0.0"),
            (Rcpt, 452, "4.5.3 too many", "4.5.3"),
            (Data, 554, "", "5.0.0"),
            (Content, 552, "5.3.4 too big", "5.3.4"),
            (Content, 550, "4.1.1 confused", "5.0.0"),
        ];
        for (asked, code, text, want) in table {
            let lines = vec![text.to_owned()];
            let reply = PeerReply { code, lines };
            let trouble = Trouble::Refused { asked, reply };
            assert_eq!(trouble.status(), want, "{trouble}");
            assert_eq!(trouble.is_final(), want.starts_with('5'), "{trouble}");
        }
        assert_eq!(Trouble::EightBit.into_outcome().status(), "5.6.3");
        assert!(!Trouble::Tls(String::new()).is_final());
    }
}
