//! The authority's certificate, its list of what is revoked, and its OCSP responder (RFC 6960 appendix A), for anybody.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;
use mail::digest::Digest;

use crate::form::percent_decoded;
use crate::limits::OCSP_BYTES_MAX;
use crate::office::{Kept, Office, Said};
use crate::pages::{NEVER, answer, broken, busy, is_known, refusal};
use crate::serve::Webd;
use crate::serve::body::{BodyFault, whole};

const CERTIFICATE: &str = "application/pkix-cert";
const LIST: &str = "application/pkix-crl";
const OCSP: &str = "application/ocsp-response";
const OCSP_QUESTION: &str = "application/ocsp-request";

/// Octets of a question in a path: RFC 6960 appendix A.1 has GET for questions below 255 octets after encoding; some
/// clients ask longer ones.
const PATH_BYTES_MAX: usize = 2048;

/// The paths, for an authority that is there.
pub(crate) fn routes(office: Arc<dyn Office>) -> Router<Arc<Webd>> {
    Router::new()
        .route("/ca/ca.crt", get(certificate))
        .route("/ca/ca.crl", get(list))
        .route("/ca/ocsp", post(ocsp_post))
        .route("/ca/ocsp/{*question}", get(ocsp_get))
        .layer(Extension(office))
}

async fn certificate(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
) -> Response {
    match webd.blocking(move || office.certificate()).await {
        Some(Ok(der)) => answer(StatusCode::OK, der, CERTIFICATE, "public, max-age=86400"),
        Some(Err(error)) => broken(&*error),
        None => busy(),
    }
}

/// A list may be kept for an hour and is then asked for again: it is replaced when something is revoked, long before it
/// ends.
async fn list(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    headers: HeaderMap,
) -> Response {
    match webd.blocking(move || office.revocation_list()).await {
        Some(Ok(Some(list))) => {
            let keep = "public, max-age=3600, must-revalidate";
            kept(&headers, list, LIST, keep.to_owned())
        }
        Some(Ok(None)) => refusal(StatusCode::NOT_FOUND, "there is no list yet\n"),
        Some(Err(error)) => broken(&*error),
        None => busy(),
    }
}

/// RFC 6960 appendix A.1: the question as the request's body.
async fn ocsp_post(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    request: Request,
) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind.as_bytes() != OCSP_QUESTION.as_bytes()) {
        return refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a question is application/ocsp-request\n",
        );
    }
    let question = match whole(request.into_body(), OCSP_BYTES_MAX).await {
        Ok(question) => question,
        Err(fault) => return no_body(fault),
    };
    match webd.blocking(move || office.answer(&question)).await {
        Some(Said::ToAll(kept)) => answer(StatusCode::OK, kept.octets, OCSP, NEVER),
        Some(Said::Once(octets)) => answer(StatusCode::OK, octets, OCSP, NEVER),
        None => busy(),
    }
}

/// RFC 6960 appendix A.1: the question in the path, base64 and then percent-encoded. Its answer may be kept by caches
/// along the way (RFC 5019 §6.2).
async fn ocsp_get(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(question) = question_of(uri.path()) else {
        return refusal(StatusCode::BAD_REQUEST, "that is no question in base64\n");
    };
    let now = webd.now();
    match webd.blocking(move || office.answer(&question)).await {
        Some(Said::ToAll(answered)) => {
            let left = answered.next_update.as_millis() - now.as_millis();
            let keep = format!(
                "max-age={}, public, no-transform, must-revalidate",
                left.max(0) / 1000
            );
            kept(&headers, answered, OCSP, keep)
        }
        Some(Said::Once(octets)) => answer(StatusCode::OK, octets, OCSP, NEVER),
        None => busy(),
    }
}

/// The octets of a question from the path of a request.
pub fn question_of(path: &str) -> Option<Vec<u8>> {
    let text = path.strip_prefix("/ca/ocsp/")?;
    if text.len() > PATH_BYTES_MAX {
        return None;
    }
    STANDARD
        .decode(percent_decoded(text.as_bytes(), false)?)
        .ok()
}

/// What may be kept, with its times and tag; 304 to whoever has it.
fn kept(asked: &HeaderMap, kept: Kept, kind: &'static str, keep: String) -> Response {
    let tag = format!("\"{}\"", Digest::of(&kept.octets));
    let mut response = if is_known(asked, &tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        answer(StatusCode::OK, kept.octets, kind, NEVER)
    };
    // IMF-fixdate differs from a mail's date in its zone alone (RFC 9110 §5.6.7).
    let date = |time: Timestamp| time.rfc5322().replace("+0000", "GMT");
    let fields: [(HeaderName, String); 4] = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, keep),
        (header::LAST_MODIFIED, date(kept.this_update)),
        (header::EXPIRES, date(kept.next_update)),
    ];
    for (name, value) in fields {
        // Invariant: all of them are printable ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A body that did not come.
pub(crate) fn no_body(fault: BodyFault) -> Response {
    match fault {
        BodyFault::TooLarge => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than is read here\n",
        ),
        BodyFault::TooSlow => refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_found_in_its_path() {
        for (path, question) in [
            ("/ca/ocsp/AQID", Some(&[1, 2, 3][..])),
            ("/ca/ocsp/%2F%2F%2F%2F", Some(&[255, 255, 255])),
            // Some clients leave the slash as it is.
            ("/ca/ocsp///8=", Some(&[255, 255])),
            ("/ca/ocsp/%2b%2b%2B%2B", Some(&[0xfb, 0xef, 0xbe])),
            ("/ca/ocsp/AQI%3D", Some(&[1, 2])),
            ("/ca/ocsp/AQ", None),
            ("/ca/ocsp/A%", None),
            ("/ca/ocsp/%zz", None),
            ("/ca/ocsp", None),
        ] {
            assert_eq!(question_of(path).as_deref(), question, "{path}");
        }
        let long = format!("/ca/ocsp/{}", "A".repeat(4096));
        assert_eq!(question_of(&long), None);
    }
}
