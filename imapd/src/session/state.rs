//! The states of RFC 3501 §3, each with what belongs to it.

use std::net::IpAddr;
use std::sync::Arc;

use mail::Address;
use store::Actor;
use store::credentials::Credential;
use store::register::AccountId;
use store::register::delegates::{DelegationId, Scope};

use super::view::View;

/// Where a session stands.
#[derive(Debug)]
pub enum State {
    /// Nobody is logged in.
    NotAuthenticated,
    /// A holder is.
    Authenticated(Holder),
    /// A holder has a mailbox open.
    Selected(Holder, Box<View>),
    /// The end.
    Logout,
}

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// Nobody is logged in.
    pub const STRANGER: Self = Self(1);
    /// No mailbox is open.
    pub const AUTHENTICATED: Self = Self(2);
    /// A mailbox is open.
    pub const SELECTED: Self = Self(4);
    /// A holder is logged in.
    pub const HOLDER: Self = Self(2 | 4);
    /// Any but the end.
    pub const ANY: Self = Self(1 | 2 | 4);

    /// Whether `state` is among them.
    #[must_use]
    pub fn has(self, state: &State) -> bool {
        let bit = match state {
            State::NotAuthenticated => 1,
            State::Authenticated(_) => 2,
            State::Selected(..) => 4,
            State::Logout => 0,
        };
        self.0 & bit != 0
    }
}

/// A logged-in holder.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Whose mailbox it is.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Its other addresses, such as an old number.
    pub aliases: Vec<Address>,
    /// Who acts, for the evidence.
    pub actor: Actor,
    /// What that leans on.
    pub credential: Arc<Credential>,
    /// By what the mailbox is open to somebody else than its holder.
    pub proxy: Option<Proxy>,
}

/// A delegate at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxy {
    /// Whom the certificate names.
    pub delegate: AccountId,
    /// By which delegation.
    pub delegation: DelegationId,
    /// What it allows.
    pub scope: Scope,
}

/// What a live session stands on, and what is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Whom the certificate must name.
    pub named: AccountId,
    /// The delegation that must be open.
    pub delegation: Option<(DelegationId, Scope)>,
}

impl Holder {
    /// Whether `name` is this mailbox's own local part or address, or another that it has.
    #[must_use]
    pub fn is_called(&self, name: &[u8]) -> bool {
        let is = |address: &Address| {
            name.eq_ignore_ascii_case(address.local().as_bytes())
                || name.eq_ignore_ascii_case(address.to_string().as_bytes())
        };
        is(&self.address) || self.aliases.iter().any(is)
    }

    /// Whether nothing in the mailbox may change.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.proxy.is_some_and(|proxy| proxy.scope == Scope::Read)
    }

    /// What the session stands on.
    #[must_use]
    pub fn seat(&self) -> Seat {
        Seat {
            named: self.proxy.map_or(self.account, |proxy| proxy.delegate),
            delegation: self.proxy.map(|proxy| (proxy.delegation, proxy.scope)),
        }
    }
}

/// Whom the connection's certificate names.
#[derive(Debug, Clone)]
pub enum Bearer {
    /// There was no certificate, or there is no TLS.
    Nobody,
    /// There was one and it names nobody: why, for the client.
    Refused(String),
    /// A holder, who has yet to log in.
    Holder(Box<Holder>),
}

/// The way a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Under TLS by now.
    pub tls: bool,
    /// The listener that greets holders with PREAUTH.
    pub preauth: bool,
    /// The socket's peer.
    pub peer: IpAddr,
}
