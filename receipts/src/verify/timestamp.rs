//! The time-stamps of a bundle: each dates the file of a checkpoint.

use mail::Digest;

use super::Refutation;
use super::report::{Dated, NotProved, Report};
use crate::anchors::Anchors;
use crate::bundle::{Bundle, checkpoint_name, timestamp_name};
use crate::timestamp::authority::TEST_POLICY;
use crate::timestamp::{Imprint, TimestampRefutation, Token};

/// Verifies every time-stamp against the file of its checkpoint. Without an anchor for time-stamps nobody's is believed:
/// then it is said, and nothing is refuted by it.
pub(super) fn verify_all(
    bundle: &Bundle,
    anchors: &Anchors,
    report: &mut Report,
) -> Result<(), Refutation> {
    let trusted = anchors.timestamp_certificates();
    for (size, response) in &bundle.timestamps {
        let file = timestamp_name(*size);
        let unreadable = |_| Refutation::Unreadable { file: file.clone() };
        let token = Token::from_response(response).map_err(unreadable)?;
        // What wraps the token is signed by nobody.
        if token.to_response() != *response {
            return Err(Refutation::NotAsWritten { file });
        }
        let Some(checkpoint) = bundle.checkpoints.get(size) else {
            return Err(Refutation::Missing {
                file: checkpoint_name(*size),
            });
        };
        let imprint = Imprint::sha256(&Digest::of(checkpoint));
        let stamped = match token.verify(&imprint, None, &trusted) {
            Ok(stamped) => stamped,
            // All but trust holds.
            Err(TimestampRefutation::Untrusted(_)) if trusted.is_empty() => {
                let claims = token.claims();
                let certificates = claims.into_iter().flat_map(|claims| claims.certificates);
                report.certificates.extend(certificates);
                report.note(NotProved::TimestampNotBelieved { file });
                continue;
            }
            Err(source) => return Err(Refutation::of_timestamp(file, source)),
        };
        if stamped.unsigned_attributes {
            report.note(NotProved::UnsignedProperties { file: file.clone() });
        }
        let anchor = anchors.timestamps.get(stamped.path.anchor);
        report.certificates.extend(stamped.certificates);
        report.dated.push(Dated {
            file,
            size: *size,
            time: stamped.time,
            accuracy: stamped.accuracy,
            authority: stamped.authority,
            anchor: anchor.map(|anchor| anchor.name.clone()).unwrap_or_default(),
            policy: stamped.policy.clone(),
            serial: stamped.serial,
            // The built-in authority says so itself, whatever the anchors say.
            untrusted: anchor.is_none_or(|anchor| anchor.untrusted)
                || stamped.policy == TEST_POLICY,
        });
    }
    Ok(())
}
