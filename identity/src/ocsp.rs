//! Asking a responder whether a certificate was revoked (RFC 6960), and believing what it answers.
//!
//! | module | what |
//! |---|---|
//! | [`asn1`] | requests and responses as structures |

pub mod asn1;
