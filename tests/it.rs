//! The tests of the whole: the house's own rules, and the program from outside.

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
mod mail_clients;
mod receipts;
mod smoke;
mod stamps;
mod stock;
mod tidy;
