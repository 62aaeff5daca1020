//! The `[listen]` table.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::Spanned;

use super::Listen;
use super::file::{ListenTable, Place, Text, text_or};
use super::template::port;

/// Reads the table.
///
/// # Errors
/// `file:line: key: what is wrong`.
pub(super) fn read(place: &Place<'_>, table: &ListenTable) -> Result<Listen, String> {
    let address = |key: &str, value: &Text, default: &str| {
        let given = text_or(value, default);
        if given.is_empty() {
            return Ok::<_, String>(None);
        }
        let address: SocketAddr = given.parse().map_err(|_| {
            place.fault_at(value, key, format!("\"{given}\" is not an IP address with a port, such as 127.0.0.1:2525 or [::1]:2525"))
        })?;
        Ok(Some(address))
    };
    Ok(Listen {
        smtp: address("listen.smtp", &table.smtp, port::SMTP)?,
        imap: address("listen.imap", &table.imap, port::IMAP)?,
        imaps: address("listen.imaps", &table.imaps, port::IMAPS)?,
        imaps_preauth: address("listen.imaps_preauth", &table.imaps_preauth, "")?,
        http: address("listen.http", &table.http, port::HTTP)?,
        https: address("listen.https", &table.https, port::HTTPS)?,
        balancers: balancers(place, &table.balancers)?,
    })
}

/// Networks whose word about others is believed: never all there are.
fn balancers(place: &Place<'_>, list: &[Spanned<String>]) -> Result<Vec<IpNet>, String> {
    let one = |given: &Spanned<String>| {
        let text = given.get_ref();
        let fault = |what: &str| {
            let what = format!("\"{text}\" {what}");
            place.fault(&given.span(), "listen.balancers", what)
        };
        let network: IpNet = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                fault("is not an address or network, such as 192.0.2.1 or 192.0.2.0/24")
            })?;
        if network.prefix_len() == 0 {
            return Err(fault("is everybody: anybody could claim any address"));
        }
        Ok(network)
    };
    list.iter().map(one).collect()
}
