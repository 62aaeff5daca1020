//! The tests of the whole: the house's own rules, and the program from outside.

mod backup;
mod balancer;
mod clients;
mod clock;
mod crash;
mod dialogues;
mod disk;
mod erasure;
mod harness;
mod hostile;
mod http;
mod interfaces;
mod keys;
mod mail_clients;
mod migrate;
mod nodes;
mod postgres;
mod receipts;
mod register;
mod revocation;
mod signer;
mod smoke;
mod stamps;
mod stock;
mod tidy;
