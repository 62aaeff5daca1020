//! Why nobody is logged in, besides what a certificate's verdict says ([`identity::Cause`]).

use mail::refusal::Code;

/// A refusal of this house's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Without TLS there is no certificate.
    TlsFirst,
    /// The name given is not the certificate's holder's.
    OtherMailbox,
    /// The holder's account is closed.
    Closed,
    /// The first day of the holder's account is to come.
    Pending,
    /// The delegation has ended or changed.
    DelegationEnded,
    /// The delegation does not allow what was asked.
    DelegationScope,
    /// Too many connections of one address on which nobody is logged in.
    Crowded,
}

impl Refusal {
    /// By which code it is explained to holders.
    pub const fn code(self) -> Code {
        match self {
            Self::TlsFirst => Code::TlsFirst,
            Self::OtherMailbox => Code::OtherMailbox,
            Self::Closed => Code::AccountClosed,
            Self::Pending => Code::AccountPending,
            Self::DelegationEnded => Code::DelegationEnded,
            Self::DelegationScope => Code::DelegationScope,
            Self::Crowded => Code::Crowded,
        }
    }

    /// A short English sentence with its code: ASCII, since nothing else may stand in a response before the client has
    /// enabled it (RFC 9051 §9, `text`).
    pub fn text(self) -> String {
        let sentence = match self {
            Self::TlsFirst => "Begin TLS first, with a client certificate",
            Self::OtherMailbox => "Your certificate names another mailbox",
            Self::Closed => "Your mailbox is closed",
            Self::Pending => "Your mailbox is not open yet",
            Self::DelegationEnded => "Your delegation has ended or changed",
            Self::DelegationScope => "Your delegation does not allow that",
            Self::Crowded => "too many connections from your address are not logged in",
        };
        format!("{sentence} ({})", self.code())
    }
}
