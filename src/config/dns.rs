//! The `[dns]` table: who is asked about names.

use std::net::{IpAddr, SocketAddr};

use super::file::{DnsTable, Place};

/// The port of DNS (RFC 1035 §4.2).
const PORT: u16 = 53;

/// Checks the table: the servers, in the order in which they are asked; none: the system's.
///
/// # Errors
/// Names line and key at fault.
pub(super) fn read(place: &Place<'_>, table: &DnsTable) -> Result<Vec<SocketAddr>, String> {
    let one = |text: &str| -> Option<SocketAddr> {
        let bare = || text.parse::<IpAddr>().ok().map(|ip| (ip, PORT).into());
        text.parse().ok().or_else(bare)
    };
    let mut servers = Vec::with_capacity(table.servers.len());
    for given in &table.servers {
        let text = given.get_ref();
        servers.push(one(text).ok_or_else(|| {
            let what = format!("\"{text}\" is no address, such as 192.0.2.53 or [2001:db8::53]:53");
            place.fault(&given.span(), "dns.servers", what)
        })?);
    }
    Ok(servers)
}
