//! Where an object store answers.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// `https://host[:port]`, or `http://host[:port]` on this very machine: letters do not cross a network in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; 443 or 80 unless it was given.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("\"{text}\" is no address such as https://objects.example:9000");
        let uri: Uri = text.parse().map_err(|_| form())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') || uri.query().is_some() || uri.path() != "/" {
            return Err(form());
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(form());
        }
        if !tls && !is_loopback(host) {
            return Err(format!(
                "\"{text}\" would carry letters in the clear: http is for a loopback address only; use https"
            ));
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether every object's name may begin so: characters that no server and no signature writes otherwise, and no empty
/// or relative step between slashes.
pub fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let (steps, last) = text
        .rsplit_once('/')
        .map_or((None, text), |(a, b)| (Some(a), b));
    let is_step = |step: &str| !matches!(step, "" | "." | "..");
    text.chars().all(plain)
        && !matches!(last, "." | "..")
        && steps.is_none_or(|steps| steps.split('/').all(is_step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_this_machine_only() {
        let one: Endpoint = "https://objects.example".parse().unwrap();
        assert_eq!((one.tls, one.port), (true, 443));
        let one: Endpoint = "http://[::1]:9000/".parse().unwrap();
        assert_eq!((one.host.as_str(), one.port), ("::1", 9000));
        for good in [
            "http://127.0.0.2:1",
            "http://localhost",
            "https://10.0.0.1:9000",
        ] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://objects.example",
        ] {
            let refused = bad.parse::<Endpoint>().unwrap_err();
            assert!(refused.contains("in the clear"), "{refused}");
        }
        for bad in [
            "",
            "objects.example",
            "ftp://objects.example",
            "https://",
            "https://key:secret@objects.example",
            "https://objects.example/path",
            "https://objects.example?x=1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_plain() {
        for good in ["", "knik/", "a/b.c/", "knik-", "a/b"] {
            assert!(is_prefix(good), "{good}");
        }
        for bad in ["/", "/a", "a//", "a b", "../", "a/./", "..", "ա/", "a%2f"] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }
}
