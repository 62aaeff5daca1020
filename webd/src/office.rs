//! What visitors ask of the operator's authority, as the program answers it. The authority's key is on the other side.

use std::error::Error;
use std::net::IpAddr;

use mail::Timestamp;
use mail::digest::Digest;
use store::links::Link;

/// Characters of a link's token: 32 random octets in base64url without padding (RFC 4648 §5).
pub const TOKEN_CHARACTERS: usize = 43;

/// An answer that others may keep until its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// DER.
    pub octets: Vec<u8>,
    /// When it was made.
    pub this_update: Timestamp,
    /// Until when it holds.
    pub next_update: Timestamp,
}

/// What a responder says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An answer that is the same for everybody.
    ToAll(Kept),
    /// An answer for this asker, or a refusal: kept by nobody.
    Once(Vec<u8>),
}

/// A key and certificate that were made for a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The password of the file. It is shown now and never again.
    pub password: String,
    /// Until when the file may be fetched.
    pub until: Timestamp,
}

/// Why a link gave no certificate.
#[derive(Debug)]
pub enum NotMade {
    /// There is no such link, or it was used, or its time is over: whoever asks looks at it again.
    Link,
    /// The request cannot be taken; the text says why, and is fit for the holder.
    Request(String),
    /// We are at fault.
    Fault(Fault),
}

/// Our own fault, for the operator's log.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The counter of the authority. Every call may block.
pub trait Office: Send + Sync {
    /// The authority's certificate, DER.
    ///
    /// # Errors
    /// It cannot be read.
    fn certificate(&self) -> Result<Vec<u8>, Fault>;

    /// The newest list of what is revoked; `None`: none was made yet.
    ///
    /// # Errors
    /// The store's.
    fn revocation_list(&self) -> Result<Option<Kept>, Fault>;

    /// What the responder says to a question, whatever its octets are.
    fn answer(&self, question: &[u8]) -> Said;

    /// What a link is good for.
    ///
    /// # Errors
    /// The store's.
    fn link(&self, token: &Digest) -> Result<Option<Link>, Fault>;

    /// Uses a link for a certificate with a key made here.
    ///
    /// # Errors
    /// [`NotMade`].
    fn make(&self, token: &Digest, peer: IpAddr) -> Result<Made, NotMade>;

    /// Uses a link for a certificate over the key of a request (PKCS #10): the certificate with its chain, PEM.
    ///
    /// # Errors
    /// [`NotMade`].
    fn certify(&self, token: &Digest, request: &[u8], peer: IpAddr) -> Result<String, NotMade>;

    /// The PKCS #12 file that was made with a link, while it may be fetched.
    ///
    /// # Errors
    /// The store's.
    fn bundle(&self, token: &Digest) -> Result<Option<Vec<u8>>, Fault>;

    /// The same in a configuration profile.
    ///
    /// # Errors
    /// The store's, or that of a file.
    fn profile(&self, token: &Digest) -> Result<Option<String>, Fault>;
}

/// The digest under which a link with this token is known; `None` for what is no token.
#[must_use]
pub fn token_digest(token: &str) -> Option<Digest> {
    let is_token = token.len() == TOKEN_CHARACTERS
        && token
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
    is_token.then(|| Digest::of(format!("knik/link/v1\n{token}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        let token = "A".repeat(42) + "_";
        assert!(token_digest(&token).is_some());
        for wrong in [
            "",
            "A",
            &token[1..],
            &format!("{token}A"),
            &token.replace('_', "="),
            &token.replace('_', "é"),
        ] {
            assert_eq!(token_digest(wrong), None, "{wrong}");
        }
        assert_ne!(token_digest(&token), token_digest(&token.to_lowercase()));
    }
}
