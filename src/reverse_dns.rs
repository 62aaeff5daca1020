//! The names that reverse DNS gives an address (RFC 1035 §3.5, RFC 3596 §2.5). Shown to an operator, never relied upon:
//! whoever holds the address writes them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};

/// How long an answer is waited for: somebody sits before it, and contracts are added without one too.
const WAIT: Duration = Duration::from_secs(2);

/// Names of one address that are shown: honest ones are one or two.
const NAMES_MAX: usize = 4;

/// What reverse DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reverse {
    /// These names.
    Names(Vec<String>),
    /// There is none.
    Nothing,
    /// Nobody answered, or not so that it could be understood.
    Unknown(String),
}

/// Asks `servers`, or the system's when there are none.
pub fn names(servers: &[SocketAddr], address: IpAddr) -> Reverse {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(ask(servers, address)),
        Err(error) => Reverse::Unknown(error.to_string()),
    }
}

async fn ask(servers: &[SocketAddr], address: IpAddr) -> Reverse {
    let resolver = match resolver(servers) {
        Ok(resolver) => resolver,
        Err(error) => return Reverse::Unknown(error.to_string()),
    };
    let asked = resolver.reverse_lookup(Name::from(address.to_canonical()));
    match tokio::time::timeout(WAIT, asked).await {
        Err(_) => Reverse::Unknown(format!("no answer within {} s", WAIT.as_secs())),
        Ok(Err(error)) if error.is_no_records_found() => Reverse::Nothing,
        Ok(Err(error)) => Reverse::Unknown(error.to_string()),
        Ok(Ok(found)) => {
            let name = |data: &RData| match data {
                RData::PTR(name) => Some(name.0.to_ascii()),
                _ => None,
            };
            let names = found
                .answers()
                .iter()
                .filter_map(|record| name(&record.data));
            let names: Vec<String> = names.take(NAMES_MAX).collect();
            match names.is_empty() {
                true => Reverse::Nothing,
                false => Reverse::Names(names),
            }
        }
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = WAIT;
    options.attempts = 1;
    builder.build()
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}
