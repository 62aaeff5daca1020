//! The commands over HTTP: one request is one command, read by the same parser, done by the same code, answered with the
//! same JSON, under the same table of roles.
//!
//! | module | what |
//! |---|---|
//! | [`routes`] | which request is which command |
//! | [`arguments`] | a request as a command line |

pub mod arguments;
pub mod routes;

use std::sync::{Arc, PoisonError, RwLock};

use clap::{CommandFactory, FromArgMatches};
use identity::Certificate;
use mail::Digest;
use serde_json::{Value, json};
use store::operators::Standing;
use store::{Actor, ActorKind, Auth, Store};
use webd::api::{Asked, Reply};

use crate::cli::{self, Cli, Command};
use crate::commands::export;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::roles::{Caller, table};
use routes::{Answer, Found, Route};

const JSON: &str = "application/json";
const JSON_LINES: &str = "application/jsonl";
const ZIP: &str = "application/zip";

/// Answers with what the commands say, for whoever's certificate is listed.
pub struct Counter {
    config: RwLock<Arc<Config>>,
    store: Store,
}

impl Counter {
    /// For this store, under this configuration.
    pub fn new(config: &Config, store: &Store) -> Arc<Self> {
        Arc::new(Self {
            config: RwLock::new(Arc::new(config.clone())),
            store: store.clone(),
        })
    }

    /// Another configuration for the requests to come.
    pub fn reload(&self, config: &Config) {
        let mut running = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *running = Arc::new(config.clone());
    }

    fn config(&self) -> Config {
        let running = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Config::clone(&running)
    }

    fn try_answer(&self, asked: &Asked) -> Result<Reply, (u16, String)> {
        let actor = self.recognised(asked)?;
        let (route, named) = match routes::find(asked.post, &asked.path) {
            Found::Route(route, named) => (route, named),
            Found::OtherMethod => return Err((405, "this path is asked the other way".into())),
            Found::Nothing => return Err((404, "there is nothing here".into())),
        };
        let line = arguments::line(route, &named, asked).map_err(|why| (400, why))?;
        let read = Cli::command()
            .try_get_matches_from(&line.words)
            .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
        let (cli, matches) = read.map_err(|e| (400, cli::one_line(&e.to_string())))?;
        let (row, given) = table::row_of(&matches);
        let mut config = self.config();
        config.caller = Caller::of(row, given).on(self.store.acting_for(actor));
        let done = match route.answer {
            Answer::Bundle => bundle(&config, cli.command),
            _ => run(config, cli.command),
        };
        let body = done.map_err(refusal)?;
        Ok(reply(route, &line, body))
    }

    /// Who asks: the certificate is one that is listed here, and valid today.
    fn recognised(&self, asked: &Asked) -> Result<Actor, (u16, String)> {
        let der = &asked.certificate;
        let certificate = Certificate::from_der(der)
            .map_err(|_| (403, "this certificate cannot be read".to_owned()))?;
        let now = self.store.now();
        if now < certificate.not_before() || certificate.not_after() < now {
            return Err((403, "this certificate is not valid today".into()));
        }
        let mut actor = Actor::new(ActorKind::Operator);
        actor.auth = vec![Auth::Certificate];
        actor.peer = Some(asked.peer);
        actor.certificate = Some(Digest::of(der));
        match self.store.standing_of(&actor).map_err(Failure::from) {
            Ok(Standing::Listed(_)) => Ok(actor),
            Ok(Standing::Nobody(why)) => Err((403, why)),
            Ok(_) => Err((403, "this certificate is not listed".into())),
            Err(failure) => Err(refusal(failure)),
        }
    }
}

impl webd::Api for Counter {
    fn answer(&self, asked: &Asked) -> Reply {
        self.try_answer(asked)
            .unwrap_or_else(|(status, why)| Reply {
                status,
                kind: JSON,
                body: format!("{}\n", json!({ "error": why })).into_bytes(),
                next: None,
            })
    }
}

fn run(config: Config, command: Command) -> Outcome<Vec<u8>> {
    let mut out = Output::kept();
    let done = crate::run(command, &|| Ok(config.clone()), &mut out);
    let kept = out.into_kept();
    match done {
        // What is asked can be false and have an answer that says why.
        Err(Failure::False(_)) if !kept.is_empty() => Ok(kept),
        done => done.map(|()| kept),
    }
}

fn bundle(config: &Config, command: Command) -> Outcome<Vec<u8>> {
    match command {
        Command::Evidence(cli::Evidence::Export(wanted)) => {
            let store = config.open_store()?;
            let entries = export::asked_for(&store, &wanted)?;
            Ok(export::make(config, &store, entries, wanted.with_original)?.octets)
        }
        // Invariant: the table of routes gives this answer to exports alone.
        _ => Err(Failure::could_not("this is no export")),
    }
}

fn reply(route: &Route, line: &arguments::Line, body: Vec<u8>) -> Reply {
    let (status, kind) = match route.answer {
        Answer::Document if is_proposal(route, &body) => (202, JSON),
        Answer::Document => (200, JSON),
        Answer::Lines => (200, JSON_LINES),
        Answer::Bundle => (200, ZIP),
    };
    let next = line.limit.and_then(|limit| next_page(&body, limit));
    Reply {
        status,
        kind,
        body,
        next,
    }
}

/// Nothing was done yet: it waits for a second person.
fn is_proposal(route: &Route, body: &[u8]) -> bool {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    route.post && said["proposal"].is_string() && said["state"] == "pending"
}

/// The index behind which the next page begins, if this one is full.
fn next_page(body: &[u8], limit: u64) -> Option<u64> {
    let mut lines = body
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty());
    let count = lines.clone().count() as u64;
    let last: Value = serde_json::from_slice(lines.next_back()?).ok()?;
    (count == limit)
        .then(|| last["log_index"].as_u64())
        .flatten()
}

/// What a command's bad end is to a client. Of our own faults it learns no more than that they are ours.
fn refusal(failure: Failure) -> (u16, String) {
    match failure {
        Failure::False(why) => (404, why),
        Failure::CouldNot(why) => (400, why),
        Failure::Denied(why) => (403, why),
        Failure::Away(why) | Failure::Stopped(why) => {
            tracing::error!(why, "a request of an operator could not be answered");
            (503, "not now".into())
        }
        Failure::OutputClosed => (503, "not now".into()),
    }
}
