//! A contract in JSON and text.

use ipnet::IpNet;
use receipts::tenure::Interval;
use serde_json::{Value, json};
use store::contracts::Contract;
use store::contracts::whose::Holdings;
use store::notices::OWN_CONTRACT;
use store::{EvidenceId, Store};

use crate::failure::Outcome;
use crate::output::{Output, properties};

/// Prints one contract with what it holds and held, and what is missing.
///
/// # Errors
/// When it cannot be read or printed.
pub fn document(
    store: &Store,
    contract: &Contract,
    evidence: Option<EvidenceId>,
    out: &mut Output,
) -> Outcome {
    let holdings = store.contract_holdings(contract.id)?;
    let missing = contract.missing(store.now());
    let next = contract.state.next_step();
    let mut json = to_json(contract, evidence);
    json["held"] = held(&holdings)
        .into_iter()
        .map(|(what, value, when)| {
            json!({
                "what": what, "value": value, "from": when.from.to_string(),
                "until": when.until.map(|until| until.to_string()),
            })
        })
        .collect();
    let open = holdings.periods.iter().map(|when| {
        json!({
            "from": when.from.to_string(), "until": when.until.map(|until| until.to_string()),
        })
    });
    json["open"] = open.collect();
    json["next"] = json!(next.map(|step| step.as_str()));
    json["missing"] = json!(missing);
    out.document(&json, || {
        let mut text = to_text(contract, evidence);
        let mut lines = vec![("next step", next.map(|step| step.to_string()))];
        lines.extend(
            missing
                .iter()
                .map(|what| ("missing", Some((*what).to_owned()))),
        );
        let all = held(&holdings);
        let lasting = all
            .iter()
            .map(|(what, value, when)| (*what, Some(format!("{value}  {}", span(when)))));
        lines.extend(lasting);
        lines.extend(
            holdings
                .periods
                .iter()
                .map(|when| ("open", Some(span(when)))),
        );
        text.push_str(&properties(&lines));
        text
    })
}

fn held(holdings: &Holdings) -> Vec<(&'static str, String, Interval)> {
    let mut all = Vec::new();
    all.extend(
        holdings
            .addresses
            .iter()
            .map(|(network, when)| ("address", network.to_string(), *when)),
    );
    all.extend(
        holdings
            .domains
            .iter()
            .map(|(domain, when)| ("domain", domain.clone(), *when)),
    );
    all.extend(
        holdings
            .certificates
            .iter()
            .map(|(digest, when)| ("certificate", digest.tagged(), *when)),
    );
    all
}

fn span(when: &Interval) -> String {
    match when.until {
        _ if when.is_empty() => "never".to_owned(),
        Some(until) => format!("from {} until {until}", when.from),
        None => format!("from {}", when.from),
    }
}

/// A contract as one JSON object.
pub fn to_json(contract: &Contract, evidence: Option<EvidenceId>) -> Value {
    let terms = &contract.terms;
    let mut json = json!({
        "id": contract.id.to_string(),
        "state": contract.state.as_str(),
        "built_in": contract.id == OWN_CONTRACT,
        "name": contract.name,
        "addresses": contract.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "domains": contract.domains,
        "receipts_to": contract.receipts_to.as_ref().map(ToString::to_string),
        "profile": contract.profile.as_str(),
        "from": terms.valid_from.map(|time| time.to_string()),
        "until": terms.valid_until.map(|time| time.to_string()),
        "max_size": terms.size_bytes_max,
        "require_tls": terms.require_tls,
        "client_cert": terms.client_certs.iter().flatten().next().map(|digest| digest.tagged()),
        "client_certs": terms.client_certs.as_ref().map(|all| all.iter().map(|digest| digest.tagged()).collect::<Vec<_>>()),
        "kind": terms.sender_kind,
        "tariff": terms.tariff,
        "declares_static": terms.declares_static,
    });
    if let Some(evidence) = evidence {
        json["evidence"] = json!(evidence.to_string());
    }
    json
}

fn to_text(contract: &Contract, evidence: Option<EvidenceId>) -> String {
    let terms = &contract.terms;
    properties(&[
        ("contract", Some(contract.id.to_string())),
        ("state", Some(contract.state.to_string())),
        (
            "built in",
            (contract.id == OWN_CONTRACT).then(|| "the post's own, for its notices".to_owned()),
        ),
        ("name", Some(contract.name.clone())),
        ("addresses", Some(joined(&contract.addresses))),
        ("domains", Some(contract.domains.join(", "))),
        (
            "receipts to",
            contract.receipts_to.as_ref().map(ToString::to_string),
        ),
        ("profile", Some(contract.profile.to_string())),
        ("from", terms.valid_from.map(|time| time.to_string())),
        (
            "until",
            terms.valid_until.map(|time| format!("before {time}")),
        ),
        (
            "largest message",
            terms.size_bytes_max.map(|size| format!("{size} octets")),
        ),
        ("TLS", terms.require_tls.then(|| "required".to_owned())),
        (
            "client certificates",
            terms.client_certs.as_ref().map(|all| match all.is_empty() {
                true => "none: nothing is taken".to_owned(),
                false => all
                    .iter()
                    .map(|digest| digest.tagged())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        ),
        ("kind of sender", terms.sender_kind.clone()),
        ("price list", terms.tariff.clone()),
        (
            "static address",
            terms.declares_static.then(|| "declared".to_owned()),
        ),
        ("evidence", evidence.map(|id| id.to_string())),
    ])
}

/// Networks as people write them.
pub fn joined(networks: &[IpNet]) -> String {
    let one = |network: &IpNet| match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    };
    networks.iter().map(one).collect::<Vec<_>>().join(", ")
}
