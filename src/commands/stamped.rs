//! A kept time-stamp as a stranger sees it: under the anchors that are given out, not under those of the configuration.

use mail::Digest;
use receipts::anchors::Anchors;
use receipts::timestamp::authority::TEST_POLICY;
use receipts::timestamp::{Imprint, ResponseError, Stamped, TimestampRefutation, Token};
use store::stamps::Stamp;

/// A time-stamp that holds.
pub struct Believed {
    /// What it says.
    pub stamped: Stamped,
    /// A test authority's, by its own policy or by the anchors: it adds nothing to the operator's word.
    pub untrusted: bool,
}

/// Why it is not believed.
#[derive(Debug)]
pub enum Doubt {
    /// What is kept is no response.
    Response(ResponseError),
    /// The token does not hold.
    Token(TimestampRefutation),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Response(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Doubt {}

/// Verifies it.
///
/// # Errors
/// Why it is not believed.
pub fn judge(stamp: &Stamp, anchors: &Anchors) -> Result<Believed, Doubt> {
    let token = Token::from_response(&stamp.token).map_err(Doubt::Response)?;
    let imprint = Imprint::sha256(&Digest::of(&stamp.checkpoint));
    let stamped = token
        .verify(&imprint, None, &anchors.timestamp_certificates())
        .map_err(Doubt::Token)?;
    let anchor = anchors.timestamps.get(stamped.path.anchor);
    let untrusted = anchor.is_none_or(|anchor| anchor.untrusted) || stamped.policy == TEST_POLICY;
    Ok(Believed { stamped, untrusted })
}

impl Believed {
    /// By whom, and what that is worth.
    pub fn authority(&self) -> String {
        let worth = if self.untrusted {
            ", an UNTRUSTED TEST AUTHORITY"
        } else {
            ""
        };
        format!("by {}{worth}", self.stamped.authority)
    }
}
