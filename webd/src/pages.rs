//! Which path is answered by what, and the headers of every answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri, Version};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use mail::digest::Digest;
use mail::refusal::Code;
use receipts::tiles::TilePath;

use crate::figures::{self, Exposition};
use crate::help;
use crate::log::{self, FileError};
use crate::serve::{Visitor, Webd, api};
use crate::{autoconfig, ca, enrol, entitled};

/// Where the log's files are: its prefix in the words of tlog-tiles.
pub const LOG_PREFIX: &str = "/log/";

/// A tile or bundle never changes under its name (tlog-tiles, Merkle Tree): a year is what caches take at most.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Kept, but asked for each time (tlog-tiles, Checkpoints: no caching beyond a few seconds); the tag makes that cheap.
const ASK_AGAIN: &str = "no-cache";

/// Not kept at all: what is so only now, and every refusal.
pub(crate) const NEVER: &str = "no-store";

/// A year; for TLS only (RFC 6797 §7.2).
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// What is no page: whatever a browser takes it for may load and run nothing, and be framed by nobody.
const CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// A page for people: its own style sheet and nothing else, no script, no form, framed by nobody.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const OCTETS: &str = "application/octet-stream";
const JSON: &str = "application/json";

/// All paths.
pub(crate) fn router(webd: Arc<Webd>) -> Router {
    let mut more = Router::new();
    if let Some(office) = webd.office() {
        more = more
            .merge(ca::routes(Arc::clone(&office)))
            .merge(enrol::routes(office));
    }
    if let Some(mail) = webd.mail() {
        more = more.merge(autoconfig::routes(mail));
    }
    more.route("/log/checkpoint", get(checkpoint))
        .route("/log/tile/{*path}", get(tile))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/api/{*path}", any(api::page))
        .route("/help", get(help_index))
        .route("/help/{code}", get(help_page))
        .route(help::STYLE_PATH, get(help_style))
        .merge(entitled::routes())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(Arc::clone(&webd), around))
        .with_state(webd)
}

async fn checkpoint(State(webd): State<Arc<Webd>>, headers: HeaderMap) -> Response {
    let dir = webd.log_dir().to_owned();
    match webd.blocking(move || log::checkpoint(&dir)).await {
        Some(Ok(Some(octets))) => file(&headers, octets, PLAIN, ASK_AGAIN),
        Some(Ok(None)) => refusal(StatusCode::NOT_FOUND, "the log has no checkpoint yet\n"),
        Some(Err(error)) => ours(&error),
        None => busy(),
    }
}

/// The path is taken as it was sent: no percent sign is decoded, so the one spelling of a tile is the only one.
async fn tile(State(webd): State<Arc<Webd>>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().strip_prefix(LOG_PREFIX);
    let Some(path) = path.and_then(|path| path.parse::<TilePath>().ok()) else {
        return refusal(StatusCode::NOT_FOUND, "that is not the path of a tile\n");
    };
    let dir = webd.log_dir().to_owned();
    match webd.blocking(move || log::tile(&dir, path)).await {
        // Entries are hashes: compressing them, as tlog-tiles would have it, makes them longer.
        Some(Ok(Some(octets))) => file(&headers, octets, OCTETS, FOR_EVER),
        Some(Ok(None)) => refusal(
            StatusCode::NOT_FOUND,
            "the log has no such tile, or none so wide yet\n",
        ),
        Some(Err(error)) => ours(&error),
        None => busy(),
    }
}

async fn health(State(webd): State<Arc<Webd>>) -> Response {
    let doctor = webd.doctor();
    let Some(health) = webd.blocking(move || doctor.look()).await else {
        return busy();
    };
    let status = if health.is_fine() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer(status, format!("{}\n", health.to_json()), JSON, NEVER)
}

async fn metrics(State(webd): State<Arc<Webd>>) -> Response {
    let all = webd.figures();
    let text = webd.blocking(move || {
        let mut out = Exposition::default();
        all.iter().for_each(|figures| figures.write(&mut out));
        out.into_text()
    });
    match text.await {
        Some(text) => answer(StatusCode::OK, text, figures::CONTENT_TYPE, NEVER),
        None => busy(),
    }
}

async fn help_index(headers: HeaderMap) -> Response {
    page(help::index(help::order(wanted_language(&headers))))
}

async fn help_page(Path(word): Path<String>, headers: HeaderMap) -> Response {
    match Code::of(&word) {
        Some(code) => page(help::page(code, help::order(wanted_language(&headers)))),
        None => refusal(
            StatusCode::NOT_FOUND,
            "there is no such code; /help has all\n",
        ),
    }
}

async fn help_style() -> Response {
    answer(StatusCode::OK, help::STYLE, CSS, ASK_AGAIN)
}

/// A page in the languages' order that its reader asked for.
fn page(text: String) -> Response {
    let mut response = answer(StatusCode::OK, text, HTML, ASK_AGAIN);
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static(PAGE_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    response
}

fn wanted_language(headers: &HeaderMap) -> &str {
    let field = headers.get(header::ACCEPT_LANGUAGE);
    field.and_then(|field| field.to_str().ok()).unwrap_or("")
}

async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is nothing here\n")
}

/// What holds for every request and every answer.
async fn around(
    State(webd): State<Arc<Webd>>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let is_log = request.uri().path().starts_with(LOG_PREFIX);
    let has_body = has_body(request.headers());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if !names_one_host(&request) {
        // RFC 9112 §3.2: a request that names no host, or two, is answered 400.
        refusal(
            StatusCode::BAD_REQUEST,
            "a request must have one Host field\n",
        )
    } else if has_body && reads {
        refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "no request here has a body\n",
        )
    } else {
        next.run(request).await
    };
    let response_is_whole = response.status().is_success();
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::from_static(CONTENT_POLICY);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if visitor.is_secure() {
        set(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    if is_log {
        // The log is for everybody, also for a verifier that runs in somebody's page.
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    if has_body && !response_is_whole {
        // The body may not have been read, so what follows it cannot be understood.
        set(header::CONNECTION, "close");
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NEVER));
    }
    webd.counters().answered(response.status());
    response
}

fn names_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10)
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0")
}

/// A file with its tag, or 304 to whoever has it (RFC 9110 §13.1.2).
fn file(asked: &HeaderMap, octets: Vec<u8>, kind: &'static str, keep: &'static str) -> Response {
    let tag = format!("\"{}\"", Digest::of(&octets));
    let is_known = is_known(asked, &tag);
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        response
    } else {
        answer(StatusCode::OK, octets, kind, keep)
    };
    // Invariant: quotes and hexadecimal digits are characters of a header value.
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// If-None-Match: `*` or a list of tags, weak ones compared as if they were strong.
pub(crate) fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let fields = asked.get_all(header::IF_NONE_MATCH).iter();
    fields.filter_map(|field| field.to_str().ok()).any(|field| {
        let mut tags = field.split(',').map(str::trim);
        tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
    })
}

pub(crate) fn answer(
    status: StatusCode,
    body: impl Into<Body>,
    kind: &'static str,
    keep: &'static str,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

pub(crate) fn refusal(status: StatusCode, text: &'static str) -> Response {
    answer(status, text, PLAIN, NEVER)
}

/// Visitors learn that it is our fault; the operator learns what it is.
fn ours(error: &FileError) -> Response {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "a file of the log cannot be served");
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the file cannot be served; the operator has been told\n",
    )
}

/// As [`ours`], of what is no file.
pub(crate) fn broken(error: &dyn std::error::Error) -> Response {
    let cause = error.source().map(ToString::to_string);
    tracing::error!(%error, cause, "a request cannot be answered");
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this cannot be answered now; the operator has been told\n",
    )
}

/// A blocking call that did not run: the process is ending.
pub(crate) fn busy() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "not now\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_in_lists_and_weakly() {
        let known = |field: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, field.parse().unwrap());
            is_known(&headers, "\"ab\"")
        };
        for field in [
            "\"ab\"",
            "W/\"ab\"",
            "*",
            "\"x\", \"ab\"",
            "\"x\",W/\"ab\" ",
        ] {
            assert!(known(field), "{field}");
        }
        for field in ["", "ab", "\"a\"", "\"abc\"", "w/\"ab\""] {
            assert!(!known(field), "{field}");
        }
    }
}
