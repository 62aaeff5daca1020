//! The sockets: all are bound before the post says that it is ready.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Role, Roles};
use crate::config::Listen;
use crate::failure::{Failure, Outcome};

/// Connections that wait to be taken; more than this at once is a flood that the kernel slows down.
const BACKLOG: u32 = 1024;

/// A bound socket.
pub struct Bound {
    /// The socket.
    pub listener: TcpListener,
    /// What is spoken on it.
    pub spoken: Spoken,
}

/// What is spoken on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// SMTP with STARTTLS.
    Smtp,
    /// IMAP with STARTTLS.
    Imap,
    /// IMAP over TLS.
    Imaps,
    /// IMAP over TLS, greeting with PREAUTH.
    Preauth,
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// All bound sockets, with their names in the configuration and the addresses they got.
pub struct Listeners(Vec<(&'static str, SocketAddr, Bound)>);

impl Listeners {
    /// Binds what the configuration names for these roles.
    ///
    /// # Errors
    /// Names the key and the address that cannot be bound.
    pub async fn bind(listen: &Listen, roles: &Roles) -> Outcome<Self> {
        let wanted: [(&str, Role, Option<SocketAddr>, Spoken); 6] = [
            ("smtp", Role::Smtpd, listen.smtp, Spoken::Smtp),
            ("imap", Role::Imapd, listen.imap, Spoken::Imap),
            ("imaps", Role::Imapd, listen.imaps, Spoken::Imaps),
            (
                "imaps_preauth",
                Role::Imapd,
                listen.imaps_preauth,
                Spoken::Preauth,
            ),
            ("http", Role::Webd, listen.http, Spoken::Http),
            ("https", Role::Webd, listen.https, Spoken::Https),
        ];
        let mut bound = Vec::new();
        for (name, role, address, spoken) in wanted {
            let Some(address) = address.filter(|_| roles.has(role)) else {
                continue;
            };
            let fault =
                |e: std::io::Error| Failure::doing(format!("listen.{name} = \"{address}\""), &e);
            let listener = listen_on(address).map_err(fault)?;
            let address = listener.local_addr().map_err(fault)?;
            bound.push((name, address, Bound { listener, spoken }));
        }
        Ok(Self(bound))
    }

    /// Whether nothing listens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `smtp=127.0.0.1:2525 imap=…`.
    pub fn describe(&self) -> String {
        let one = |(name, address, _): &(&str, SocketAddr, Bound)| format!("{name}={address}");
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// The sockets.
    pub fn into_bound(self) -> impl Iterator<Item = Bound> {
        self.0.into_iter().map(|(_, _, bound)| bound)
    }
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    // A restart must not wait for old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
