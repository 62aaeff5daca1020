//! The server on real sockets: stock clients, an independent reader of the log, and those who mean harm.

#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/pages.rs"]
mod pages;
#[path = "it/readers.rs"]
mod readers;
#[path = "it/served.rs"]
mod served;
