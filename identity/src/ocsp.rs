//! Asking a responder whether a certificate was revoked (RFC 6960), and believing what it answers.
//!
//! | module | what |
//! |---|---|
//! | [`asn1`] | requests and responses as structures |
//! | [`question`] | what is asked about one certificate |
//! | [`answer`] | an answer that was verified, and why one was not believed |

pub mod answer;
pub mod asn1;
pub mod question;

pub use answer::{Answer, AnswerError, Answers, Status};
pub use question::{NONCE_BYTES, Question};
