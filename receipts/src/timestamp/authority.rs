//! The built-in time-stamp authority: for demonstrations and tests. It is the operator itself, so its word about the time
//! adds nothing to the operator's own; its policy says so in every token, and so does whoever verifies one.

use mail::{Digest, Timestamp};

use super::{Request, TST_INFO, Token, info::Accuracy, read_request};
use crate::cms::asn1::{self, BIT_STRING, INTEGER, UTF8_STRING};
use crate::cms::{self, Attributes};
use crate::seal::{Seal, Statement};

/// The policy of the built-in authority, below a UUID of its own (X.667): "the time is the operator's own; trust nothing
/// to it".
pub const TEST_POLICY: &str = "2.25.11649273195853064109729105475288345736";

/// [`TEST_POLICY`] as an object identifier's content.
const TEST_POLICY_OCTETS: &[u8] = &[
    0x69, 0x91, 0xc3, 0xc8, 0xe0, 0xe5, 0xcd, 0xba, 0xb7, 0x99, 0x82, 0x9d, 0xd9, 0x91, 0xd7, 0xa7,
    0xba, 0xd9, 0x08,
];

// Bits of `PKIFailureInfo` (RFC 3161 §2.4.2).
pub(super) const BAD_ALGORITHM: u8 = 0;
pub(super) const BAD_DATA_FORMAT: u8 = 5;
const UNACCEPTED_POLICY: u8 = 15;
pub(super) const UNACCEPTED_EXTENSION: u8 = 16;
const SYSTEM_FAILURE: u8 = 25;

/// How far the authority's time may be off by its own word: the clock of this very system, to the second.
const ACCURACY: Accuracy = Accuracy {
    seconds: 1,
    millis: 0,
    micros: 0,
};

/// The built-in authority: a key, and its certificate, whose one purpose is time-stamps (RFC 3161 §2.3).
pub struct Authority<S> {
    seal: S,
}

impl<S: Seal> Authority<S> {
    /// The authority of this key and certificate.
    pub const fn new(seal: S) -> Self {
        Self { seal }
    }

    /// Answers a `TimeStampReq` with a `TimeStampResp`: a token of this time and number, or why there is none. Every
    /// number must be used once only.
    #[must_use]
    pub fn respond(&self, request: &[u8], time: Timestamp, serial: u64) -> Vec<u8> {
        match self.token(request, time, serial) {
            Ok(token) => token.to_response(),
            Err(failure) => refusal(failure),
        }
    }

    fn token(&self, request: &[u8], time: Timestamp, serial: u64) -> Result<Token, u8> {
        let request = read_request(request)?;
        let asked = request.policy.as_deref();
        if asked.is_some_and(|policy| policy != TEST_POLICY_OCTETS) {
            return Err(UNACCEPTED_POLICY);
        }
        let info = tst_info(&request, time, serial);
        let chain = self.seal.chain();
        let digest = Digest::of(&info);
        let attributes = Attributes::of(&TST_INFO, &digest, chain, time);
        let attributes = attributes.ok_or(SYSTEM_FAILURE)?;
        let signature = self
            .seal
            .seal(&Statement::time_stamp(digest, time))
            .map_err(|_| SYSTEM_FAILURE)?;
        let shown = if request.certificates { chain } else { &[] };
        let content = (&TST_INFO, Some(info.as_slice()));
        let signer = self.seal.certificate();
        let token = cms::signed_data(content, &attributes, signer, shown, &signature.to_der());
        token.map(Token::from_der).ok_or(SYSTEM_FAILURE)
    }
}

fn tst_info(request: &Request, time: Timestamp, serial: u64) -> Vec<u8> {
    let accuracy = asn1::sequence(&[&asn1::integer(INTEGER, &ACCURACY.seconds.to_be_bytes())]);
    let nonce = request
        .nonce
        .as_ref()
        .map(|nonce| asn1::integer(INTEGER, nonce));
    asn1::sequence(&[
        &asn1::integer(INTEGER, &[1]),
        &asn1::tlv(asn1::OBJECT_IDENTIFIER, &[TEST_POLICY_OCTETS]),
        &request.imprint.to_der(),
        &asn1::integer(INTEGER, &serial.to_be_bytes()),
        &asn1::generalized_time(time),
        &accuracy,
        nonce.as_deref().unwrap_or_default(),
    ])
}

/// `TimeStampResp` of status rejection (2) with one bit of `PKIFailureInfo`.
fn refusal(failure: u8) -> Vec<u8> {
    let text = match failure {
        BAD_ALGORITHM => "the digest is none of SHA-256, SHA-384, SHA-512",
        UNACCEPTED_POLICY => "this authority has one policy only, and it is another",
        UNACCEPTED_EXTENSION => "this authority takes no extensions",
        SYSTEM_FAILURE => "the authority could not sign",
        _ => "not a request",
    };
    let text = asn1::sequence(&[&asn1::tlv(UTF8_STRING, &[text.as_bytes()])]);
    // X.690 §11.2.2: a named bit list ends with the last bit that is set.
    let octets = usize::from(failure / 8);
    let mut bits = vec![0; octets + 2];
    if let [unused, .., last] = bits.as_mut_slice() {
        *unused = 7 - failure % 8;
        *last = 0x80 >> (failure % 8);
    }
    let status = asn1::sequence(&[
        &asn1::integer(INTEGER, &[2]),
        &text,
        &asn1::tlv(BIT_STRING, &[&bits]),
    ]);
    asn1::sequence(&[&status])
}

// The key must never reach a log file through a derived Debug.
impl<S> std::fmt::Debug for Authority<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_the_one_it_says() {
        assert_eq!(asn1::dotted(TEST_POLICY_OCTETS).unwrap(), TEST_POLICY);
    }
}
