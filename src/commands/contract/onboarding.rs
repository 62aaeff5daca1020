//! What is to be known of an address before a contract: whether anybody on the Internet can have it, whether it is another
//! contract's.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};
use store::Store;
use store::contracts::whose::Whose;

use super::shown::joined;
use crate::config::Config;
use crate::failure::Outcome;
use crate::output::{Column, Output};
use crate::reverse_dns::{self, Reverse};

const COLUMNS: [Column; 4] = [
    Column("ADDRESS", 18),
    Column("PUBLIC", 30),
    Column("FREE", 40),
    Column("REVERSE DNS", 0),
];

/// What is known of one network.
struct Found {
    network: IpNet,
    /// Why nobody on the Internet has it.
    not_public: Option<&'static str>,
    /// Contracts for which it is spoken for, narrowest first.
    taken: Vec<Whose>,
    /// What reverse DNS says of a single public address.
    reverse: Option<Reverse>,
}

/// Prints what is known of each network.
///
/// # Errors
/// When the store cannot be read.
pub fn run(config: &Config, store: &Store, networks: &[IpNet], out: &mut Output) -> Outcome {
    out.headings(&COLUMNS)?;
    for network in networks {
        let found = look(config, store, network)?;
        let public = match found.not_public {
            Some(kind) => format!("no: {kind}"),
            None => "yes".to_owned(),
        };
        let free = match found.taken.first() {
            Some(owner) => format!("no: contract {} of {:?}", owner.contract, owner.name),
            None => "yes".to_owned(),
        };
        let cells = [
            &joined(&[*network]),
            &public,
            &free,
            &found.reverse.as_ref().map(spoken).unwrap_or_default(),
        ];
        out.row(&COLUMNS, &found.to_json(), &cells.map(String::as_str))?;
    }
    Ok(())
}

/// Says on standard error what speaks against networks that are about to be a contract's.
pub fn warn(store: &Store, networks: &[IpNet]) {
    for network in networks {
        let address = joined(&[*network]);
        if let Some(kind) = no_real_static_address(network) {
            eprintln!("knik: warning: {address} is {kind}: no sender on the Internet has it");
        }
        // What cannot be looked up says nothing against it; the act itself will say what is wrong with the store.
        let owners = store.spoken_for(network.addr()).unwrap_or_default();
        for owner in owners.iter().filter(|owner| is_wider(owner, network)) {
            eprintln!(
                "knik: warning: {address} lies within {} of the contract of {:?}: the narrowest network decides",
                owner.network, owner.name
            );
        }
    }
}

/// Shows on standard error what reverse DNS says of addresses that have become a contract's.
pub fn note(config: &Config, networks: &[IpNet]) {
    for network in networks {
        if let Some(reverse) = reverse(config, network) {
            let address = joined(&[*network]);
            eprintln!("knik: note: reverse DNS of {address}: {}", spoken(&reverse));
        }
    }
}

fn is_wider(owner: &Whose, network: &IpNet) -> bool {
    owner.network != *network && owner.network.contains(network)
}

/// Of single addresses that somebody on the Internet can have: nobody outside knows a name for any other.
fn reverse(config: &Config, network: &IpNet) -> Option<Reverse> {
    let single = network.prefix_len() == network.max_prefix_len();
    let asked = single && no_real_static_address(network).is_none();
    asked.then(|| reverse_dns::names(&config.dns, network.addr()))
}

fn look(config: &Config, store: &Store, network: &IpNet) -> Outcome<Found> {
    Ok(Found {
        network: *network,
        not_public: no_real_static_address(network),
        taken: store.spoken_for(network.addr())?,
        reverse: reverse(config, network),
    })
}

fn spoken(reverse: &Reverse) -> String {
    match reverse {
        Reverse::Names(names) => names.join(", "),
        Reverse::Nothing => "none".to_owned(),
        Reverse::Unknown(why) => format!("unknown: {why}"),
    }
}

impl Found {
    fn to_json(&self) -> Value {
        let taken = self.taken.iter().map(|owner| {
            json!({
                "contract": owner.contract.to_string(), "name": owner.name,
                "network": owner.network.to_string(),
            })
        });
        let (names, unknown) = match &self.reverse {
            None => (None, None),
            Some(Reverse::Names(names)) => (Some(names.clone()), None),
            Some(Reverse::Nothing) => (Some(Vec::new()), None),
            Some(Reverse::Unknown(why)) => (None, Some(why)),
        };
        json!({
            "address": joined(&[self.network]),
            "public": self.not_public.is_none(),
            "not_public": self.not_public,
            "free": self.taken.is_empty(),
            "taken": taken.collect::<Vec<_>>(),
            "reverse": names,
            "reverse_unknown": unknown,
        })
    }
}

/// Why no sender on the Internet can have an address of this network.
fn no_real_static_address(network: &IpNet) -> Option<&'static str> {
    let address = match network.network() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_private() => Some("a private address (RFC 1918)"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.is_unspecified() => Some("everybody's address"),
        // 100.64.0.0/10 (RFC 6598).
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64 => {
            Some("an address that a carrier shares among customers (RFC 6598)")
        }
        IpAddr::V6(v6) if v6.is_loopback() => Some("a loopback address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("a unique local address (RFC 4193)"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("everybody's address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_on_the_internet_has_are_known() {
        for (network, warned) in [
            ("127.0.0.2/32", true),
            ("10.0.0.0/8", true),
            ("192.168.1.1/32", true),
            ("100.64.0.1/32", true),
            ("100.128.0.1/32", false),
            ("::ffff:10.0.0.1/128", true),
            ("0.0.0.0/0", true),
            ("fd00::1/128", true),
            ("::1/128", true),
            ("192.0.2.1/32", false),
            ("2001:db8::1/128", false),
        ] {
            assert_eq!(
                no_real_static_address(&network.parse().unwrap()).is_some(),
                warned,
                "{network}"
            );
        }
    }
}
