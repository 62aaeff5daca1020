//! The verdict tables under `tests/policy/`.

use mail::data::Faults;
use smtpd::command::{self, Command};
use smtpd::policy::{self, Content, Refusal};
use smtpd::reply::Reply;
use smtpd::session::Phase;
use store::ContractId;
use store::contracts::{Contract, ContractState, Profile, Terms};
use store::register::{Account, AccountId, AccountState, Cause, Kind, Lang, Life};

use crate::memory::certificate;

/// The rows of a table: cells before `=>`, and the verdict after it.
fn rows(table: &'static str) -> Vec<(Vec<&'static str>, &'static str)> {
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (given, verdict) = line.rsplit_once("=>").unwrap();
            (given.split(" | ").map(str::trim).collect(), verdict.trim())
        })
        .collect()
}

/// Code and status of a refusal, which nobody meets without an explanation.
fn explained(reply: &Reply) -> String {
    assert!(reply.help.is_some(), "{reply} has no code");
    format!("{} {}", reply.code, reply.status)
}

fn shown(verdict: Result<(), Refusal>) -> String {
    match verdict {
        Ok(()) => "pass".to_owned(),
        Err(Refusal { reply, reason }) => format!("{} {reason}", explained(&reply)),
    }
}

fn contract(name: &str) -> Contract {
    Contract {
        id: ContractId::from_bytes([1; 16]),
        name: name.to_owned(),
        state: ContractState::Active,
        addresses: Vec::new(),
        domains: vec![
            "ministry.example".to_owned(),
            "tax.ministry.example".to_owned(),
        ],
        receipts_to: None,
        profile: Profile::Pull,
        terms: Terms {
            size_bytes_max: Some(1000),
            require_tls: name == "tls",
            client_certs: (name == "pinned").then(|| vec![certificate("office")]),
            ..Terms::default()
        },
        open_until: None,
    }
}

#[test]
fn mail() {
    let rows = rows(include_str!("../policy/mail.txt"));
    assert!(rows.len() > 25);
    for (cells, want) in rows {
        let [name, connection, arguments] = cells[..] else {
            panic!("{cells:?}")
        };
        let line = format!("MAIL {arguments}");
        let Ok(Command::Mail(mail)) = command::parse(line.as_bytes(), Phase::Ready) else {
            panic!("{line}")
        };
        let contract = contract(name);
        let digest = connection.strip_prefix("cert:").map(certificate);
        let most = policy::message_bytes_max(&contract.terms, 5000);
        let verdict = policy::mail(
            &contract,
            connection != "plain",
            digest.as_ref(),
            &mail,
            most,
        );
        assert_eq!(shown(verdict), want, "{cells:?}");
    }
}

#[test]
fn rcpt() {
    let rows = rows(include_str!("../policy/rcpt.txt"));
    assert!(rows.len() > 20);
    for (cells, want) in rows {
        let [held, arguments] = cells[..] else {
            panic!("{cells:?}")
        };
        let line = format!("RCPT {arguments}");
        let Ok(Command::Rcpt(rcpt)) = command::parse(line.as_bytes(), Phase::Mailing) else {
            panic!("{line}")
        };
        let verdict = policy::recipient(&rcpt.to, "e-citizen.example").and_then(|address| {
            let state = match held {
                "closed" | "merged" => AccountState::Closed,
                "pending" => AccountState::Pending,
                _ => AccountState::Active,
            };
            let life = Life {
                active_from: (held == "pending").then(|| mail::Timestamp::from_millis(0)),
                cause: (held == "merged").then_some(Cause::Merger),
                ..Life::default()
            };
            let account = Account {
                id: AccountId(1),
                address,
                name: String::new(),
                kind: Kind::Person,
                lang: Lang::Hy,
                state,
                life,
            };
            policy::account((held != "none").then_some(account))
        });
        let verdict = match verdict {
            Ok(account) => format!("pass {}", account.address),
            Err(reply) => explained(&reply),
        };
        assert_eq!(verdict, want, "{cells:?}");
    }
}

#[test]
fn data() {
    let rows = rows(include_str!("../policy/data.txt"));
    assert!(rows.len() > 10);
    for (cells, want) in rows {
        let [size, faults, header, received] = cells[..] else {
            panic!("{cells:?}")
        };
        let has = |fault| faults.split(' ').any(|one| one == fault);
        let content = Content {
            faults: Faults {
                bare_cr: has("cr"),
                bare_lf: has("lf"),
                nul: has("nul"),
            },
            size: size.parse().unwrap(),
            has_header: header == "header",
            received: received.parse().unwrap(),
        };
        assert_eq!(shown(policy::data(&content, 1000)), want, "{cells:?}");
    }
}

#[test]
fn limits_of_number_and_size() {
    assert!(policy::recipient_count(999, 1000).is_ok());
    let reply = policy::recipient_count(1000, 1000).unwrap_err();
    assert_eq!((reply.code, reply.status), (452, "4.5.3"));
    let terms = |size_bytes_max| Terms {
        size_bytes_max,
        ..Terms::default()
    };
    assert_eq!(policy::message_bytes_max(&terms(None), 7), 7);
    assert_eq!(policy::message_bytes_max(&terms(Some(5)), 7), 5);
    assert_eq!(policy::message_bytes_max(&terms(Some(9)), 7), 7);
}
