//! The store from outside: what it promises its callers, and the laws of evidence over what it wrote.

#[path = "it/agenda.rs"]
mod agenda;
#[path = "it/authority.rs"]
mod authority;
#[path = "it/backup.rs"]
mod backup;
#[path = "it/billing.rs"]
mod billing;
#[path = "it/bucket.rs"]
mod bucket;
#[path = "it/contracts.rs"]
mod contracts;
#[path = "it/credentials.rs"]
mod credentials;
#[path = "it/deposit.rs"]
mod deposit;
#[path = "it/erasure.rs"]
mod erasure;
#[path = "it/full.rs"]
mod full;
#[path = "it/life.rs"]
mod life;
#[path = "it/log.rs"]
mod log;
#[path = "it/mailboxes.rs"]
mod mailboxes;
#[path = "it/matrix.rs"]
mod matrix;
#[path = "it/migrate.rs"]
mod migrate;
#[path = "it/nodes.rs"]
mod nodes;
#[path = "it/notices.rs"]
mod notices;
#[path = "it/objects.rs"]
mod objects;
#[path = "it/outage.rs"]
mod outage;
#[path = "it/pairing.rs"]
mod pairing;
#[path = "it/post.rs"]
mod post;
#[path = "../../tests/harness/postgres.rs"]
mod postgres;
#[path = "it/processes.rs"]
mod processes;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/register.rs"]
mod register;
#[path = "../../tests/harness/relay.rs"]
mod relay;
#[path = "it/resume.rs"]
mod resume;
#[path = "it/retention.rs"]
mod retention;
#[path = "it/roles.rs"]
mod roles;
#[path = "../../tests/harness/s3.rs"]
mod s3;
#[path = "it/samples.rs"]
mod samples;
#[path = "it/search.rs"]
mod search;
#[path = "it/server.rs"]
mod server;
#[path = "it/signing_keys.rs"]
mod signing_keys;
#[path = "it/whose.rs"]
mod whose;
