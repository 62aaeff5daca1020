//! The file by which mail programs that know an address alone set up its account, in the form that Thunderbird made and
//! others read. It names no outgoing server: holders send nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use crate::enrol::escaped;
use crate::pages::answer;
use crate::serve::Webd;

const XML: &str = "text/xml; charset=utf-8";

/// Where holders' mail programs find their mail.
#[derive(Debug, Clone)]
pub struct MailServers {
    /// The domain of the official addresses.
    pub domain: String,
    /// The operator's name.
    pub name: String,
    /// The server's name.
    pub host: String,
    /// The port of IMAP over TLS.
    pub imaps: Option<u16>,
    /// The port of IMAP with STARTTLS.
    pub imap: Option<u16>,
}

/// The paths at which mail programs look: at the host of the domain, and at `autoconfig.` of it.
pub(crate) fn routes(servers: MailServers) -> Router<Arc<Webd>> {
    Router::new()
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(file))
        .route("/mail/config-v1.1.xml", get(file))
        .layer(Extension(Arc::new(servers)))
}

/// The address that may be asked for is not looked at: the file is the same for everybody, and tells nobody who there is.
async fn file(
    State(_): State<Arc<Webd>>,
    Extension(servers): Extension<Arc<MailServers>>,
) -> Response {
    answer(
        StatusCode::OK,
        servers.to_xml(),
        XML,
        "public, max-age=3600",
    )
}

impl MailServers {
    /// The file.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let server = |port: Option<u16>, socket: &str| {
            port.map(|port| {
                format!(
                    "    <incomingServer type=\"imap\">\n      <hostname>{}</hostname>\n      <port>{port}</port>\n      \
                     <socketType>{socket}</socketType>\n      <username>%EMAILLOCALPART%</username>\n      \
                     <authentication>TLS-client-cert</authentication>\n    </incomingServer>\n",
                    escaped(&self.host)
                )
            })
            .unwrap_or_default()
        };
        let (domain, name) = (escaped(&self.domain), escaped(&self.name));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{domain}\">\n    \
             <domain>{domain}</domain>\n    <displayName>{name}</displayName>\n    \
             <displayShortName>{name}</displayShortName>\n{}{}  </emailProvider>\n</clientConfig>\n",
            server(self.imaps, "SSL"),
            server(self.imap, "STARTTLS"),
        )
    }
}
