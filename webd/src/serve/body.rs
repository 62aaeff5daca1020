//! The body of a request, whole and bounded in octets and time.

use axum::body::{Body, Bytes, to_bytes};
use tokio::time::timeout;

use crate::limits::BODY_TIMEOUT;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// It is longer than it may be, or was broken off.
    TooLarge,
    /// It did not come in time.
    TooSlow,
}

/// The octets of a body of at most `bytes_max`.
pub(crate) async fn whole(body: Body, bytes_max: usize) -> Result<Bytes, BodyFault> {
    match timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await {
        Ok(Ok(octets)) => Ok(octets),
        Ok(Err(_)) => Err(BodyFault::TooLarge),
        Err(_) => Err(BodyFault::TooSlow),
    }
}
