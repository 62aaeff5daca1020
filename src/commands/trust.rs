//! `knik trust check`: what every table says about a certificate now.

use identity::{Certificate, HolderName, Trust, judge};
use mail::Address;
use serde_json::json;
use store::Store;

use crate::cli::{Trust as Wanted, TrustCheck};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::output::{Output, properties};
use crate::serve::material;
use crate::serve::sources;

/// Runs a subcommand.
///
/// # Errors
/// As [`check`].
pub fn run(config: &Config, wanted: &Wanted, out: &mut Output) -> Outcome {
    let Wanted::Check(wanted) = wanted;
    check(config, &config.open_store()?, wanted, out)
}

/// Judges the first certificate of a file, with the others as what a peer sends beside it. Responders are not asked; CRLs
/// are those of the configuration and those that a running server has fetched.
///
/// # Errors
/// Names the file that cannot be read; the certificate that names nobody is false.
fn check(config: &Config, store: &Store, wanted: &TrustCheck, out: &mut Output) -> Outcome {
    let chain = keys::certificates(&wanted.certificate)?;
    let fault = |e: identity::certificate::CertificateError| Failure::file(&wanted.certificate, &e);
    let first = chain.first().map_or(&[][..], |der| der.as_ref());
    let certificate = Certificate::from_der(first).map_err(fault)?;
    let trusts = sources::as_stored(&config.data, material::tables(config)?);
    let mut lets_in = false;
    for trust in &trusts {
        let judged = judge(
            &chain,
            std::slice::from_ref(trust),
            &config.domain,
            store.now(),
        );
        let (verdict, detail, names) = match judged {
            Ok(claim) => {
                let names: Vec<String> = claim.names.iter().map(shown).collect();
                lets_in = true;
                let sources = claim
                    .standings
                    .iter()
                    .map(|one| format!("{} of {} says good", one.source.word(), one.this_update));
                ("valid", sources.collect::<Vec<_>>().join("; "), names)
            }
            Err(refusal) => (refusal.cause.word(), refusal.detail, Vec::new()),
        };
        say(trust, (verdict, &detail), &names, out)?;
    }
    let accounts = accounts(config, store, &chain, &trusts)?;
    if lets_in && accounts.len() == 1 {
        return Ok(());
    }
    Err(Failure::is_false(format!(
        "{}: the certificate {} names {}",
        wanted.certificate.display(),
        certificate.fingerprint(),
        match accounts.len() {
            0 => "no account".to_owned(),
            count => format!("{count} accounts; it must be one"),
        }
    )))
}

fn say(
    trust: &Trust,
    (verdict, detail): (&str, &str),
    names: &[String],
    out: &mut Output,
) -> Outcome {
    let json = json!({
        "trust": trust.name(), "verdict": verdict, "detail": detail, "names": names,
        "revocation": trust.revocation().to_string(), "crls": trust.crls().len(),
    });
    out.document(&json, || {
        properties(&[
            ("trust", Some(trust.name().to_owned())),
            ("verdict", Some(verdict.to_owned())),
            (
                "detail",
                Some(detail.to_owned()).filter(|text| !text.is_empty()),
            ),
            (
                "names",
                Some(names.join(", ")).filter(|text| !text.is_empty()),
            ),
            ("revocation", Some(trust.revocation().to_string())),
            ("crls", Some(trust.crls().len().to_string())),
        ])
    })
}

fn shown(name: &HolderName) -> String {
    match name {
        HolderName::Local(text) | HolderName::Address(text) => text.clone(),
        HolderName::Enrolled(key) => format!("key {key}"),
    }
}

/// The accounts that all tables together name.
fn accounts(
    config: &Config,
    store: &Store,
    chain: &[rustls_pki_types::CertificateDer<'_>],
    trusts: &[Trust],
) -> Outcome<std::collections::BTreeSet<i64>> {
    let mut accounts = std::collections::BTreeSet::new();
    let Ok(claim) = judge(chain, trusts, &config.domain, store.now()) else {
        return Ok(accounts);
    };
    for name in &claim.names {
        let address = match name {
            HolderName::Local(local) => format!("{local}@{}", config.domain),
            HolderName::Address(address) => address.clone(),
            HolderName::Enrolled(key) => {
                let enrolled = store.enrolled(key)?;
                let live = enrolled.filter(|(_, enrolment)| enrolment.revoked.is_none());
                accounts.extend(live.map(|(account, _)| account.id.0));
                continue;
            }
        };
        if let Ok(address) = Address::parse(&address) {
            accounts.extend(store.account_for(&address)?.map(|account| account.id.0));
        }
    }
    Ok(accounts)
}
