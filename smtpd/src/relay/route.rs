//! Where a letter goes: the smarthost, or the host that its domain's name names.

use std::fmt;
use std::net::IpAddr;

use mail::Address;

/// RFC 5321 §4.5.4.2.
pub const SMTP_PORT: u16 = 25;

/// RFC 1035 §2.3.4.
const HOST_BYTES_MAX: usize = 255;

/// A host to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// A domain name in lower case, or an IP address without brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// How destinations are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Everything goes to one host, which knows the way.
    Smarthost(Destination),
    /// To the host whose name is the recipient's domain, by its address records: RFC 5321 §5.1's rule for a domain without
    /// MX records. MX records are not asked for, so a domain that has them is served only through a smarthost.
    Direct {
        /// The port, 25 everywhere but in tests.
        port: u16,
    },
}

/// What is wrong with a destination as an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No `:port`.
    #[error("{0:?} has no port; \"host:port\" is wanted, with an IPv6 address in brackets")]
    NoPort(String),
    /// The port is no number from 1 to 65535.
    #[error("the port of {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The host is neither a name nor an address.
    #[error("the host of {0:?} is neither a domain name nor an IP address")]
    Host(String),
}

impl Destination {
    /// Reads `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    ///
    /// # Errors
    /// A [`RouteError`] that cites the text.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| RouteError::NoPort(text.to_owned()))?;
        let port = port
            .parse()
            .ok()
            .filter(|&number: &u16| number != 0 && port.bytes().all(|octet| octet.is_ascii_digit()))
            .ok_or_else(|| RouteError::Port(text.to_owned()))?;
        let literal = host
            .strip_prefix('[')
            .map(|inside| inside.strip_suffix(']').unwrap_or_default());
        let is_good = match literal {
            Some(inside) => inside.parse::<IpAddr>().is_ok(),
            None => is_host(host),
        };
        if !is_good {
            return Err(RouteError::Host(text.to_owned()));
        }
        Ok(Self {
            host: literal.unwrap_or(host).to_ascii_lowercase(),
            port,
        })
    }
}

/// An IPv4 address, or labels of letters, digits, hyphens, and the underscores of container networks.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    host.len() <= HOST_BYTES_MAX
        && host
            .strip_suffix('.')
            .unwrap_or(host)
            .split('.')
            .all(is_label)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Route {
    /// The route a configured smarthost gives: `host:port`, or empty for direct delivery.
    ///
    /// # Errors
    /// A [`RouteError`] that cites the text.
    pub fn parse(smarthost: &str) -> Result<Self, RouteError> {
        if smarthost.is_empty() {
            return Ok(Self::Direct { port: SMTP_PORT });
        }
        Destination::parse(smarthost).map(Self::Smarthost)
    }

    /// Where a letter to this address goes.
    pub fn destination(&self, to: &Address) -> Destination {
        match self {
            Self::Smarthost(destination) => destination.clone(),
            Self::Direct { port } => Destination {
                host: to.domain().to_ascii_lowercase(),
                port: *port,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let good = [
            ("mx.example:25", "mx.example:25"),
            ("MX.Example.:2525", "mx.example.:2525"),
            ("localhost:1", "localhost:1"),
            ("mail_hub:25", "mail_hub:25"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[127.0.0.1]:25", "127.0.0.1:25"),
            ("[2001:DB8::1]:25", "[2001:db8::1]:25"),
        ];
        for (text, want) in good {
            assert_eq!(Destination::parse(text).unwrap().to_string(), want);
        }
        let bad = [
            "",
            "mx.example",
            ":25",
            "mx.example:",
            "mx.example:0",
            "mx.example:65536",
            "mx.example:+25",
            "mx.example:smtp",
            "2001:db8::1",
            "2001:db8::1:25",
            "[2001:db8::1:25",
            "[mx.example]:25",
            "mx..example:25",
            "-mx.example:25",
            "mx example:25",
            "mx.example\r\n:25",
            "user@mx.example:25",
            "[]:25",
        ];
        for text in bad {
            assert!(Destination::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn routes() {
        let to = Address::parse("office@Ministry.Example").unwrap();
        let direct = Route::parse("").unwrap();
        assert_eq!(direct.destination(&to).to_string(), "ministry.example:25");
        let smarthost = Route::parse("[::1]:2525").unwrap();
        assert_eq!(smarthost.destination(&to).to_string(), "[::1]:2525");
        let error = Route::parse("hub").unwrap_err().to_string();
        assert!(error.starts_with("\"hub\" has no port"), "{error}");
    }
}
