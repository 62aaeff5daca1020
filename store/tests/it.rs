//! The store from outside: what it promises its callers, and the laws of evidence over what it wrote.

#[path = "it/agenda.rs"]
mod agenda;
#[path = "it/contracts.rs"]
mod contracts;
#[path = "it/deposit.rs"]
mod deposit;
#[path = "it/erasure.rs"]
mod erasure;
#[path = "it/full.rs"]
mod full;
#[path = "it/log.rs"]
mod log;
#[path = "it/mailboxes.rs"]
mod mailboxes;
#[path = "it/matrix.rs"]
mod matrix;
#[path = "it/post.rs"]
mod post;
#[path = "it/processes.rs"]
mod processes;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/retention.rs"]
mod retention;
#[path = "it/samples.rs"]
mod samples;
