//! What scripts and packages rely on: commands, exit codes, JSON, signals, what a running server sees.

#[path = "interfaces/commands.rs"]
mod commands;
#[path = "interfaces/faults.rs"]
mod faults;
#[path = "interfaces/service.rs"]
mod service;
#[path = "interfaces/trust.rs"]
mod trust;
