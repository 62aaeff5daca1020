//! Requests to the interface: read within bounds, and answered off the reactor.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::time::timeout;

use super::body::{BodyFault, whole};
use super::{Visitor, Webd};
use crate::api::{API_PREFIX, Api, Asked, Reply, refused};
use crate::limits::{API_BODY_BYTES_MAX, API_TURN_TIMEOUT, API_WINDOW};

const JSON: &str = "application/json";

/// Where the next page of a list begins: what to give as `after`.
const NEXT: HeaderName = HeaderName::from_static("knik-next");

/// Answers one request.
pub(crate) async fn page(
    State(webd): State<Arc<Webd>>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    let Some(api) = webd.api() else {
        return refusal(StatusCode::NOT_FOUND, "there is nothing here");
    };
    let certificate = visitor.certificates().first().cloned();
    let door = (visitor.is_secure(), certificate.is_some());
    if let Some((status, why)) = refused(request.method(), request.headers(), door) {
        return refusal(status, why);
    }
    let Some(certificate) = certificate else {
        return refusal(StatusCode::UNAUTHORIZED, "this takes a client certificate");
    };
    if !webd.pace().allows(visitor.peer(), Instant::now()) {
        let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "you ask too often");
        let seconds = HeaderValue::from(API_WINDOW.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        return response;
    }
    let (head, body) = request.into_parts();
    let body = match whole(body, API_BODY_BYTES_MAX).await {
        Ok(body) => body.to_vec(),
        Err(BodyFault::TooLarge) => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
        }
        Err(BodyFault::TooSlow) => {
            return refusal(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
        }
    };
    let asked = Asked {
        post: head.method == Method::POST,
        path: head.uri.path().trim_start_matches(API_PREFIX).to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body,
        certificate,
        peer: visitor.peer(),
    };
    match answered(&webd, api, asked).await {
        Some(reply) => response(reply),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "not now"),
    }
}

/// `None`: others are asking, or the process is ending.
async fn answered(webd: &Webd, api: Arc<dyn Api>, asked: Asked) -> Option<Reply> {
    let turn = timeout(API_TURN_TIMEOUT, webd.calls().acquire()).await;
    let _turn = turn.ok()?.ok()?;
    tokio::task::spawn_blocking(move || api.answer(&asked))
        .await
        .ok()
}

fn response(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    if let Some(next) = reply.next {
        headers.insert(NEXT, HeaderValue::from(next));
    }
    response
}

fn refusal(status: StatusCode, why: &str) -> Response {
    let body = serde_json::json!({ "error": why });
    let mut refusal = response(Reply {
        status: status.as_u16(),
        kind: JSON,
        body: format!("{body}\n").into_bytes(),
        next: None,
    });
    let headers = refusal.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §11.6.1 wants a challenge; for certificates there is no registered one.
        let challenge = HeaderValue::from_static("ClientCertificate");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    }
    refusal
}
