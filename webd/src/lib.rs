//! HTTP: the log's files as C2SP tlog-tiles names them, health, metrics; and a small client for those who look at a log.
//!
//! | module | what |
//! |---|---|
//! | [`serve`] | the driver: accept loops (plain and TLS), connections, shutdown |
//! | [`limits`] | how much a visitor may make us hold, and for how long |
//! | [`pages`] | which path is answered by what, and the headers of every answer |
//! | [`api`] | the interface for those who run the post |
//! | [`log`] | the log's files found and cut to the width asked for |
//! | [`health`] | whether the store is well and the log keeps its promise |
//! | [`figures`] | metrics in Prometheus' text format |
//! | [`fetch`] | a blocking GET with bounds, and a remote log as a monitor reads it |

#![forbid(unsafe_code)]

pub mod api;
pub mod fetch;
pub mod figures;
pub mod health;
pub mod limits;
pub mod log;
pub mod pages;
pub mod serve;

pub use api::Api;
pub use figures::{Exposition, Figures};
pub use serve::{Options, Webd};
