//! Addresses that others chose: a certificate says where it can be asked about, and whoever wrote it decides whom this server
//! speaks to. So only hosts on public addresses are asked, and those that the operator names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Which hosts may be asked.
#[derive(Debug)]
pub enum Hosts {
    /// All: the operator wrote the URL.
    Any,
    /// Those on public addresses, and these names, `host` or `host:port`, wherever they are.
    Public(Vec<String>),
}

impl Resolver for Hosts {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let Self::Public(named) = self else {
            return Ok(found);
        };
        if is_named(uri, named) {
            return Ok(found);
        }
        // What is connected to is what was looked at: a name that changes its address in between gains nothing.
        let mut public = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            public.push(*address);
        }
        if public.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(public)
    }
}

fn is_named(uri: &Uri, named: &[String]) -> bool {
    let Some(authority) = uri.authority() else {
        return false;
    };
    let host = authority.host();
    let with_port = format!("{host}:{}", authority.port_u16().unwrap_or(80));
    let same =
        |name: &String| name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(&with_port);
    named.iter().any(same)
}

/// Whether an address is one of the open Internet (the special-purpose registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_for_protocols = a == 192 && b == 0 && c == 0;
    let is_for_benchmarks = a == 198 && (18..20).contains(&b);
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation();
    !(is_special || is_shared || is_for_protocols || is_for_benchmarks || a == 0 || a >= 224)
}

/// Global unicast is 2000::/3; what carries an IPv4 address in it is as public as that one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let inner = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // 6to4, and translation by the well-known prefix.
        [0x2002, high, low, ..] => inner(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        // Teredo, documentation, benchmarks, ORCHID.
        [0x2001, second, ..] => second != 0x0db8 && second >= 0x200,
        [first, ..] => first & 0xe000 == 0x2000 && first != 0x3fff,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::fetch::{Client, FetchError, News, Validators};

    #[test]
    fn public_addresses() {
        for public in [
            "9.9.9.9".to_owned(),
            "100.63.0.1".into(),
            "172.32.0.1".into(),
            "2a00:1450::1".into(),
            "::ffff:9.9.9.9".into(),
            "64:ff9b::909:909".into(),
            "2002:909:909::1".into(),
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2001:db8::1",
            "2001::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn a_host_on_a_private_address_is_asked_when_it_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            for answer in [
                "200 OK\r\nETag: \"1\"\r\nContent-Length: 3\r\n\r\none",
                "304 Not Modified\r\n\r\n",
                "302 Found\r\nLocation: http://9.9.9.9/\r\nContent-Length: 0\r\n\r\n",
            ] {
                let mut socket = listener.accept().unwrap().0;
                let mut heard = vec![0; 4096];
                let size = socket.read(&mut heard).unwrap();
                let heard = String::from_utf8_lossy(&heard[..size]).into_owned();
                let conditional = heard.to_ascii_lowercase().contains("if-none-match: \"1\"");
                assert_eq!(conditional, answer.starts_with("304"), "{heard}");
                let answer = format!("HTTP/1.1 {answer}");
                socket.write_all(answer.as_bytes()).unwrap();
            }
        });
        let patience = Duration::from_secs(10);
        let url = format!("http://127.0.0.1:{port}/x.crl");
        let new = Validators::default();
        for refused in [vec![], vec![format!("127.0.0.1:{}", port ^ 1)]] {
            let client = Client::outside(Hosts::Public(refused), patience);
            assert!(matches!(
                client.news(&url, &new, 3),
                Err(FetchError::Failed { .. })
            ));
        }
        let named = vec![format!("127.0.0.1:{port}")];
        // No connection is kept: the server answers once on each.
        let fresh = || Client::outside(Hosts::Public(named.clone()), patience);
        let News::Octets(octets, known) = fresh().news(&url, &new, 3).unwrap() else {
            panic!("there was something");
        };
        assert_eq!(
            (octets.as_slice(), known.etag.as_deref()),
            (&b"one"[..], Some("\"1\""))
        );
        assert_eq!(fresh().news(&url, &known, 3).unwrap(), News::Nothing);
        let elsewhere = fresh().news(&url, &new, 3);
        assert!(
            matches!(elsewhere, Err(FetchError::Status { status: 302, .. })),
            "{elsewhere:?}"
        );
        server.join().unwrap();
    }
}
