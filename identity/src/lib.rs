//! Certificates and the holders they name: pure functions over DER, no clock, no file, no network.
//!
//! A TLS listener takes any client certificate whose key the peer proves to hold ([`verifier`]); [`judge()`] then says,
//! after every handshake and again whenever a long session is looked at, whether it names a holder. Whoever keeps the
//! accounts resolves the names of a [`Claim`]; exactly one account must remain.
//!
//! | module | what |
//! |---|---|
//! | [`certificate`] | an X.509 certificate read from DER: names, purposes, key, digests |
//! | `signed` | octets under a signature: certificates, CRLs, answers |
//! | [`trust`] | one source of holders' certificates: anchors, intermediates, CRLs, mapping rules |
//! | [`crl`] | revocation lists, and which of two says more |
//! | [`mapping`] | the rules that take a holder's name from a certificate |
//! | [`mod@judge`] | path, purpose, revocation and mapping in one verdict |
//! | [`ocsp`] | asking a responder, and its answers |
//! | [`refusal`] | why a certificate names nobody, for the peer and for the log |
//! | [`verifier`] | the TLS side: possession of the key, nothing more |
//! | [`authority`] | the operator's own certification authority and what it issues |
//! | [`pkcs12`] | a key and its chain in one file under a password (RFC 7292) |

pub mod authority;
pub mod certificate;
pub mod crl;
pub mod judge;
pub mod mapping;
pub mod ocsp;
pub mod pkcs12;
pub mod refusal;
mod signed;
pub mod trust;
pub mod verifier;

#[cfg(test)]
mod forge;
#[cfg(test)]
mod verdicts;

pub use authority::Authority;
pub use certificate::Certificate;
pub use crl::{Crl, CrlError};
pub use judge::{Claim, judge, judge_with};
pub use mapping::{HolderName, MapRule};
pub use refusal::{Cause, Refusal};
pub use trust::{Responder, Revocation, Trust, TrustError};
pub use verifier::PossessionVerifier;
