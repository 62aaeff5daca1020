//! HTTP: the log's files as C2SP tlog-tiles names them, health, metrics, the operator's authority and its pages for
//! holders; and a small client for those who look at a log.
//!
//! | module | what |
//! |---|---|
//! | [`serve`] | the driver: accept loops (plain and TLS), connections, shutdown |
//! | [`limits`] | how much a visitor may make us hold, and for how long |
//! | [`pages`] | which path is answered by what, and the headers of every answer |
//! | [`api`] | the interface for those who run the post |
//! | [`entitled`] | the public list of bodies entitled to send |
//! | [`office`] | what visitors ask of the operator's authority |
//! | [`ca`] | its certificate, its list of what is revoked, its OCSP responder |
//! | [`enrol`] | pages behind a one-time link, where a holder gets a certificate |
//! | [`autoconfig`] | the file by which mail programs set up an account |
//! | [`form`] | fields of a form |
//! | [`log`] | the log's files found and cut to the width asked for |
//! | [`help`] | what refusals mean, in three languages |
//! | [`health`] | whether the store is well and the log keeps its promise |
//! | [`figures`] | metrics in Prometheus' text format |
//! | [`fetch`] | a blocking GET with bounds, and a remote log as a monitor reads it |

#![forbid(unsafe_code)]

pub mod api;
pub mod autoconfig;
pub mod ca;
pub mod enrol;
pub mod entitled;
pub mod fetch;
pub mod figures;
pub mod form;
pub mod health;
pub mod help;
pub mod limits;
pub mod log;
pub mod office;
pub mod pages;
pub mod serve;

pub use api::Api;
pub use autoconfig::MailServers;
pub use entitled::Entitled;
pub use figures::{Exposition, Figures};
pub use office::Office;
pub use serve::{Options, Webd};
