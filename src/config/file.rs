//! The file as it is written. Everything is optional in form; what is missing gets its default when it is checked, and
//! what is wrong is named with its line.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use smtpd::relay::Destination;
use toml::Spanned;

use super::four_eyes::{self, FourEyesTable};
use super::retention::Days;
use super::trust::{self, TrustTable};
use super::{
    Config, KeyPair, Limits, Log, Seal, authority, billing, content, database, dns, key_place,
    listen, notices, register, retention, signer, timestamps,
};
use crate::roles::Caller;

/// A merge delay outside these bounds is a slip of the pen: below, the log would spin; above, proofs come too late to
/// be called prompt.
const MERGE_DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

pub(super) type Text = Option<Spanned<String>>;
type Number = Option<Spanned<i64>>;

macro_rules! tables {
    ($($name:ident { $($key:ident: $kind:ty,)* })*) => {
        $(
            #[derive(Deserialize, Default)]
            #[serde(deny_unknown_fields, default)]
            pub(super) struct $name { $(pub(super) $key: $kind,)* }
        )*
    };
}

tables! {
    File {
        domain: Text,
        hostname: Text,
        listen: ListenTable,
        tls: PairTable,
        seal: SealTable,
        log: LogTable,
        signer: SignerTable,
        authority: AuthorityTable,
        imap: ImapTable,
        timestamp: TimestampTable,
        relay: RelayTable,
        billing: BillingTable,
        dns: DnsTable,
        store: StoreTable,
        content: ContentTable,
        retention: RetentionTable,
        register: RegisterTable,
        four_eyes: FourEyesTable,
        notices: NoticesTable,
        limits: LimitsTable,
        revocation: RevocationTable,
        trust: Vec<Spanned<TrustFileTable>>,
    }
    ListenTable { smtp: Text, imap: Text, imaps: Text, imaps_preauth: Text, http: Text, https: Text, balancers: Vec<Spanned<String>>, }
    PairTable { certificate: Text, key: Text, }
    AuthorityTable {
        certificate: Text,
        key: Text,
        base_url: Text,
        link_url: Text,
        crl_lifetime: Text,
        ocsp_lifetime: Text,
    }
    SealTable { certificate: Text, key: Text, issuer: Text, anchors: Text, }
    LogTable { origin: Text, key: Text, state: Text, merge_delay: Text, }
    SignerTable { socket: Text, users: Vec<Spanned<String>>, }
    ImapTable { append: Option<Spanned<bool>>, }
    TimestampTable { urls: Vec<Spanned<String>>, anchors: Text, interval: Text, }
    RelayTable { smarthost: Text, }
    BillingTable { data: Text, }
    DnsTable { servers: Vec<Spanned<String>>, }
    StoreTable { engine: Text, dir: Text, connection: Text, connection_file: Text, anchors: Text, }
    ContentTable {
        kind: Text,
        endpoint: Text,
        bucket: Text,
        prefix: Text,
        region: Text,
        access_key: Text,
        secret_key_file: Text,
        anchors: Text,
    }
    RetentionTable {
        deleted_letters_days: Days,
        letters_days: Days,
        evidence_days: Days,
        rejections_days: Days,
        receipts_days: Days,
        backup_days: Days,
    }
    RegisterTable { grammar: Text, terms: Text, }
    NoticesTable { first: Text, }
    LimitsTable {
        message_bytes_max: Number,
        recipients_max: Number,
        connections_per_contract_max: Number,
        unauthenticated_per_address_max: Number,
        handshakes_per_address_max: Number,
    }
    RevocationTable { crl_interval: Text, private_hosts: Vec<Spanned<String>>, }
    TrustFileTable {
        name: Text,
        anchors: Text,
        intermediates: Text,
        crl: Vec<Spanned<String>>,
        ocsp: Text,
        revocation: Text,
        policies: Vec<Spanned<String>>,
        map: Option<Spanned<Vec<Spanned<String>>>>,
    }
}

/// Reads and checks the text of a configuration file.
///
/// # Errors
/// `file:line: key: what is wrong`.
pub fn parse(path: &Path, text: &str) -> Result<Config, String> {
    let place = Place { path, text };
    let file: File = toml::from_str(text).map_err(|error| {
        place.fault(
            &error.span().unwrap_or_default(),
            "",
            error.message().trim(),
        )
    })?;
    refuse_unbuilt(&place, &file)?;
    let domain = place.required("domain", &file.domain, &(0..0))?;
    mail::Address::parse(&format!("postmaster@{domain}"))
        .map_err(|e| place.fault_at(&file.domain, "domain", e))?;
    let hostname = text_or(&file.hostname, &format!("mx.{domain}"));
    mail::Address::parse(&format!("postmaster@{hostname}"))
        .map_err(|e| place.fault_at(&file.hostname, "hostname", e))?;
    let listen = listen::read(&place, &file.listen)?;
    let link_url = authority::usual_link_url(&hostname, listen.https);
    Ok(Config {
        file: path.to_owned(),
        listen,
        tls: pair(&place, &file.tls, "pki/server"),
        seal: Seal {
            certificate: place.file(&file.seal.certificate, "keys/seal.pem"),
            key: key_place::read(&place, "seal.key", &file.seal.key)?,
            issuer: text_or(&file.seal.issuer, &super::template::issuer(&domain)),
            anchors: place.file(&file.seal.anchors, "anchors.toml"),
        },
        log: log(&place, &file.log, &domain)?,
        signer: signer::read(&place, &file.signer)?,
        authority: authority::read(&place, &file.authority, link_url)?,
        timestamp: timestamps::read(&place, &file.timestamp)?,
        data: place.file(&file.store.dir, "data"),
        rows: database::read(&place, &file.store)?,
        content: content::read(&place, &file.content)?,
        relay: relay(&place, &file.relay)?,
        billing: billing::read(&place, &file.billing),
        dns: dns::read(&place, &file.dns)?,
        retention: retention::read(&place, &file.retention)?,
        register: register::read(&place, &file.register),
        four_eyes: four_eyes::read(&place, &file.four_eyes)?,
        caller: Caller::default(),
        first_notice: notices::read(&place, &file.notices)?,
        limits: limits(&place, &file.limits)?,
        revocation: trust::news(&place, &file.revocation)?,
        trust: trusts(&place, &file.trust)?,
        domain,
        hostname,
    })
}

/// What the file may ask for and this version does not have: refused by name, never ignored.
fn refuse_unbuilt(place: &Place<'_>, file: &File) -> Result<(), String> {
    if let Some(append) = file.imap.append.as_ref().filter(|append| *append.get_ref()) {
        let why = "true is not available in this version: holders cannot APPEND; set it to false";
        return Err(place.fault(&append.span(), "imap.append", why));
    }
    Ok(())
}

fn pair(place: &Place<'_>, table: &PairTable, stem: &str) -> KeyPair {
    KeyPair {
        certificate: place.file(&table.certificate, &format!("{stem}.pem")),
        key: place.file(&table.key, &format!("{stem}.key")),
    }
}

fn log(place: &Place<'_>, table: &LogTable, domain: &str) -> Result<Log, String> {
    let merge_delay = place.duration(
        "log.merge_delay",
        &table.merge_delay,
        Duration::from_secs(1),
    )?;
    if merge_delay < MERGE_DELAY.0 || merge_delay > MERGE_DELAY.1 {
        return Err(place.fault_at(&table.merge_delay, "log.merge_delay", "must be 100ms to 1h"));
    }
    Ok(Log {
        origin: text_or(&table.origin, &super::template::origin(domain)),
        key: key_place::read(place, "log.key", &table.key)?,
        state: place.file(&table.state, "keys/log.state"),
        merge_delay,
    })
}

/// Where outbound mail goes. MX look-up comes with a later version: without a smarthost letters wait.
fn relay(place: &Place<'_>, table: &RelayTable) -> Result<Option<Destination>, String> {
    let smarthost = text_or(&table.smarthost, "");
    if smarthost.is_empty() {
        return Ok(None);
    }
    let destination = Destination::parse(&smarthost)
        .map_err(|e| place.fault_at(&table.smarthost, "relay.smarthost", e.to_string()))?;
    Ok(Some(destination))
}

fn limits(place: &Place<'_>, table: &LimitsTable) -> Result<Limits, String> {
    let default = Limits::default();
    let count = |key, value: &Number, default: usize| {
        let number = place.number(key, value, default as u64)?;
        usize::try_from(number).map_err(|_| place.fault_at(value, key, "is too large"))
    };
    Ok(Limits {
        message_bytes_max: place.number(
            "limits.message_bytes_max",
            &table.message_bytes_max,
            default.message_bytes_max,
        )?,
        recipients_max: count(
            "limits.recipients_max",
            &table.recipients_max,
            default.recipients_max,
        )?,
        connections_per_contract_max: count(
            "limits.connections_per_contract_max",
            &table.connections_per_contract_max,
            default.connections_per_contract_max,
        )?,
        unauthenticated_per_address_max: count(
            "limits.unauthenticated_per_address_max",
            &table.unauthenticated_per_address_max,
            default.unauthenticated_per_address_max,
        )?,
        handshakes_per_address_max: count(
            "limits.handshakes_per_address_max",
            &table.handshakes_per_address_max,
            default.handshakes_per_address_max,
        )?,
    })
}

fn trusts(
    place: &Place<'_>,
    tables: &[Spanned<TrustFileTable>],
) -> Result<Vec<TrustTable>, String> {
    let mut trusts: Vec<TrustTable> = Vec::new();
    for table in tables {
        let trust = trust::read(place, &table.span(), table.get_ref())?;
        if trusts.iter().any(|other| other.name == trust.name) {
            return Err(place.fault_at(
                &table.get_ref().name,
                "trust.name",
                format!("there are two \"{}\"", trust.name),
            ));
        }
        trusts.push(trust);
    }
    Ok(trusts)
}

/// The file's name and text: what a fault is placed by.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    /// `file:line: key: what`.
    pub(super) fn fault(&self, span: &Range<usize>, key: &str, what: impl fmt::Display) -> String {
        let line = 1 + self
            .text
            .bytes()
            .take(span.start)
            .filter(|octet| *octet == b'\n')
            .count();
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("{key}: ")
        };
        let what = what.to_string().replace('\n', " ");
        format!("{}:{line}: {key}{what}", self.path.display())
    }

    /// As [`Place::fault`], where the value stands; a value that is missing has no better place than the top.
    pub(super) fn fault_at<T>(
        &self,
        value: &Option<Spanned<T>>,
        key: &str,
        what: impl fmt::Display,
    ) -> String {
        self.fault(
            &value.as_ref().map(Spanned::span).unwrap_or_default(),
            key,
            what,
        )
    }

    pub(super) fn required(
        &self,
        key: &str,
        value: &Text,
        table: &Range<usize>,
    ) -> Result<String, String> {
        match value {
            Some(text) if !text.get_ref().is_empty() => Ok(text.get_ref().clone()),
            Some(text) => Err(self.fault(&text.span(), key, "is empty")),
            None => Err(self.fault(table, key, "is missing")),
        }
    }

    /// A path relative to the file.
    pub(super) fn file(&self, value: &Text, default: &str) -> PathBuf {
        self.beside(&text_or(value, default))
    }

    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }

    pub(super) fn word<T: FromStr>(&self, key: &str, value: &Spanned<String>) -> Result<T, String>
    where
        T::Err: fmt::Display,
    {
        value
            .get_ref()
            .parse()
            .map_err(|e| self.fault(&value.span(), key, e))
    }

    fn number(&self, key: &str, value: &Number, default: u64) -> Result<u64, String> {
        match value {
            None => Ok(default),
            Some(given) => match u64::try_from(*given.get_ref()) {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(self.fault(&given.span(), key, "must be a number above 0")),
            },
        }
    }

    pub(super) fn duration(
        &self,
        key: &str,
        value: &Text,
        default: Duration,
    ) -> Result<Duration, String> {
        match value {
            None => Ok(default),
            Some(given) => duration(given.get_ref()).ok_or_else(|| {
                let what = format!(
                    "\"{}\" is no duration such as \"500ms\", \"1s\", \"10m\" or \"2h\"",
                    given.get_ref()
                );
                self.fault(&given.span(), key, what)
            }),
        }
    }
}

pub(super) fn text_or(value: &Text, default: &str) -> String {
    value
        .as_ref()
        .map_or(default, |text| text.get_ref())
        .to_owned()
}

/// A number with its unit: `ms`, `s`, `m`, `h`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

#[cfg(test)]
mod tests;
