//! Who did it and how they were recognised.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use mail::digest::Digest;
use serde_json::{Map, Value};

use crate::event::EventError;
use crate::event::fields::{Fields, put, put_text};
use crate::id::ContractId;

/// Octets of a client's own description kept in evidence, at most: enough for name and version in an IMAP ID
/// (RFC 2971), too little to carry a message in.
pub const CLIENT_BYTES_MAX: usize = 256;

/// Ways of recognition named in one actor, at most: each way once, with room for ways to come.
const AUTH_MAX: usize = 16;

/// In what part somebody acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// A sending body under contract.
    Sender,
    /// The holder of an account.
    Holder,
    /// Somebody else who may act in a holder's place; named by their own account.
    Delegate,
    /// A person who runs this system, or an auditor of it.
    Operator,
    /// This system itself: a rule, a chore, a clock.
    System,
}

impl ActorKind {
    const ALL: [Self; 5] = [
        Self::Sender,
        Self::Holder,
        Self::Delegate,
        Self::Operator,
        Self::System,
    ];

    /// The value as it stands in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Holder => "holder",
            Self::Delegate => "delegate",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// In which role a listed person acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Runs the post: everything but what two persons must do together.
    Operator,
    /// Looks after contracts: neither mail nor erasure.
    Clerk,
    /// Reads evidence, contracts and log; changes nothing, and every query is recorded.
    Auditor,
}

/// Why a text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role: operator, clerk or auditor")]
pub struct RoleError;

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Clerk, Self::Auditor];

    /// The word by which it is stored, shown and given.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Clerk => "clerk",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(RoleError)
    }
}

/// One way in which somebody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Auth {
    /// By the address of the socket's peer.
    Ip,
    /// The connection was under TLS (no proof of identity by itself).
    Tls,
    /// By a client certificate that the contract names, in the TLS handshake.
    Mtls,
    /// By a client certificate that names the account, in the TLS handshake.
    Certificate,
    /// By the operating system's user id, on this host.
    LocalUid,
    /// By a one-time link that the operator made for the account.
    Link,
}

impl Auth {
    const ALL: [Self; 6] = [
        Self::Ip,
        Self::Tls,
        Self::Mtls,
        Self::Certificate,
        Self::LocalUid,
        Self::Link,
    ];

    /// The value as it stands in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Tls => "tls",
            Self::Mtls => "mtls",
            Self::Certificate => "certificate",
            Self::LocalUid => "local-uid",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who did it and how they were recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In what part.
    pub kind: ActorKind,
    /// A sender's contract.
    pub contract: Option<ContractId>,
    /// A holder's account, by address; a delegate's own.
    pub account: Option<String>,
    /// How they were recognised; empty for the system itself.
    pub auth: Vec<Auth>,
    /// The address of the socket's peer; an IPv4-mapped IPv6 address is written as IPv4.
    pub peer: Option<IpAddr>,
    /// SHA-256 of the client certificate's DER.
    pub certificate: Option<Digest>,
    /// What the client called itself: only its claim. Written as [`client_text`] cuts it.
    pub client: Option<String>,
    /// An operator's name.
    pub name: Option<String>,
    /// An operator's user id on this host.
    pub uid: Option<u32>,
    /// The role of a listed operator; none before anybody is listed, and for a superuser who is not.
    pub role: Option<Role>,
}

impl Actor {
    /// An actor of whom no more than the kind is known.
    #[must_use]
    pub const fn new(kind: ActorKind) -> Self {
        Self {
            kind,
            contract: None,
            account: None,
            auth: Vec::new(),
            peer: None,
            certificate: None,
            client: None,
            name: None,
            uid: None,
            role: None,
        }
    }

    /// This system itself.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(ActorKind::System)
    }

    /// The actor as JSON: what is absent has no member.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        put(&mut members, "kind", Some(self.kind.as_str()));
        put_text(&mut members, "contract", self.contract);
        put(&mut members, "account", self.account.as_deref());
        let auth: Vec<_> = self.auth.iter().map(|auth| auth.as_str()).collect();
        put(
            &mut members,
            "auth",
            Some(auth).filter(|auth| !auth.is_empty()),
        );
        put_text(
            &mut members,
            "peer",
            self.peer.map(|peer| peer.to_canonical()),
        );
        put(
            &mut members,
            "certificate",
            self.certificate.map(|digest| digest.tagged()),
        );
        put(
            &mut members,
            "client",
            self.client.as_deref().map(client_text),
        );
        put(&mut members, "name", self.name.as_deref());
        put(&mut members, "uid", self.uid);
        put(&mut members, "role", self.role.map(Role::as_str));
        Value::Object(members)
    }

    /// Reads what [`Actor::to_json`] writes.
    ///
    /// # Errors
    /// A member that is missing, unknown or of the wrong form.
    pub fn from_json(value: Value) -> Result<Self, EventError> {
        Self::from_fields(Fields::of(value, "actor")?)
    }

    pub(crate) fn from_fields(mut fields: Fields) -> Result<Self, EventError> {
        let actor = Self {
            kind: fields
                .text_as("kind", |text| {
                    ActorKind::ALL
                        .into_iter()
                        .find(|kind| kind.as_str() == text)
                })?
                .ok_or(EventError::Missing("actor.kind"))?,
            contract: fields.parsed("contract")?,
            account: fields.text("account")?,
            auth: read_auth(fields.texts("auth")?)?,
            peer: fields.parsed("peer")?,
            certificate: fields.text_as("certificate", |text| Digest::parse_tagged(text).ok())?,
            client: fields.text_as("client", |text| {
                (client_text(text) == text).then(|| text.to_owned())
            })?,
            name: fields.text("name")?,
            uid: fields.number_u32("uid")?,
            role: fields.text_as("role", |text| text.parse().ok())?,
        };
        fields.nothing_left("actor")?;
        Ok(actor)
    }
}

/// What of a client's own description enters evidence: without control characters, at most [`CLIENT_BYTES_MAX`]
/// octets, cut between characters.
#[must_use]
pub fn client_text(claimed: &str) -> String {
    let mut text = String::new();
    for character in claimed.chars().filter(|character| !character.is_control()) {
        if text.len() + character.len_utf8() > CLIENT_BYTES_MAX {
            break;
        }
        text.push(character);
    }
    text
}

fn read_auth(texts: Vec<String>) -> Result<Vec<Auth>, EventError> {
    if texts.len() > AUTH_MAX {
        return Err(EventError::Invalid("auth"));
    }
    let one = |text: &String| Auth::ALL.into_iter().find(|auth| auth.as_str() == text);
    texts
        .iter()
        .map(|text| one(text).ok_or(EventError::Invalid("auth")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_parts_have_no_member() {
        assert_eq!(Actor::system().to_json(), json!({"kind": "system"}));
        assert_eq!(
            Actor::from_json(json!({"kind": "system"})).unwrap(),
            Actor::system()
        );
    }

    #[test]
    fn every_part_comes_back() {
        let actor = Actor {
            kind: ActorKind::Operator,
            contract: Some("01JD9YV0000000000000000001".parse().unwrap()),
            account: Some("2503851234@e-citizen.example".to_owned()),
            auth: Auth::ALL.to_vec(),
            peer: Some("2001:db8::1".parse().unwrap()),
            certificate: Some(Digest::of(b"der")),
            client: Some("Գրիչ 1.0".to_owned()),
            name: Some("Ani".to_owned()),
            uid: Some(1000),
            role: Some(Role::Clerk),
        };
        assert_eq!(Actor::from_json(actor.to_json()).unwrap(), actor);
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        let actor = Actor {
            peer: Some("::ffff:127.0.0.2".parse().unwrap()),
            ..Actor::new(ActorKind::Sender)
        };
        assert_eq!(
            actor.to_json(),
            json!({"kind": "sender", "peer": "127.0.0.2"})
        );
    }

    #[test]
    fn a_clients_claim_is_cut() {
        let claim = format!("a\r\n\0{}", "ա".repeat(CLIENT_BYTES_MAX));
        let cut = client_text(&claim);
        assert_eq!(cut.len(), CLIENT_BYTES_MAX - 1);
        assert!(cut.starts_with("aաա"));
        assert_eq!(client_text(&cut), cut);
        let actor = Actor {
            client: Some(claim),
            ..Actor::new(ActorKind::Holder)
        };
        assert_eq!(Actor::from_json(actor.to_json()).unwrap().client, Some(cut));
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            json!({}),
            json!([]),
            json!({"kind": "judge"}),
            json!({"kind": "system", "more": 1}),
            json!({"kind": "sender", "auth": "ip"}),
            json!({"kind": "sender", "auth": ["ip", "password"]}),
            json!({"kind": "sender", "auth": vec!["ip"; AUTH_MAX + 1]}),
            json!({"kind": "sender", "peer": "127.0.0.999"}),
            json!({"kind": "holder", "certificate": "2c26"}),
            json!({"kind": "holder", "client": "a\u{0}"}),
            json!({"kind": "operator", "uid": -1}),
            json!({"kind": "operator", "role": "king"}),
            json!({"kind": "operator", "uid": 4_294_967_296_u64}),
        ] {
            assert!(Actor::from_json(bad.clone()).is_err(), "{bad}");
        }
    }
}
