//! The interface for those who run the post: what a request must be before anybody is asked what it means.
//!
//! Who may do what is not decided here. A client certificate is authority that a browser sends along by itself, so no
//! request that another site can make a browser send reaches the [`Api`]: see [`refused`].

use std::net::IpAddr;

use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode};
use rustls_pki_types::CertificateDer;

/// Where it is.
pub const API_PREFIX: &str = "/api/";

/// A field that no form and no link can send: whoever sends it is a program that means to.
pub const INTENT: &str = "knik-request";

/// What answers: it may block.
pub trait Api: Send + Sync {
    /// The answer to one request.
    fn answer(&self, request: &Asked) -> Reply;
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whether it is a POST; else it is a GET.
    pub post: bool,
    /// Its path behind [`API_PREFIX`], as it was sent.
    pub path: String,
    /// Its query, as it was sent, without the question mark.
    pub query: String,
    /// Its body.
    pub body: Vec<u8>,
    /// The client's certificate, whose key it has; nothing else about it has been judged.
    pub certificate: CertificateDer<'static>,
    /// The address of the socket's peer.
    pub peer: IpAddr,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body's media type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Where the next page of a list begins, if there may be one.
    pub next: Option<u64>,
}

/// Why a request is turned away by its head alone: status, and the text for its author.
pub(crate) fn refused(
    method: &Method,
    headers: &HeaderMap,
    (secure, certified): (bool, bool),
) -> Option<(StatusCode, &'static str)> {
    if !secure {
        return Some((StatusCode::FORBIDDEN, "this is answered over https alone"));
    }
    if !certified {
        return Some((
            StatusCode::UNAUTHORIZED,
            "this takes a client certificate that is listed here",
        ));
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if !matches!(text("sec-fetch-site"), None | Some("same-origin" | "none")) {
        return Some((StatusCode::FORBIDDEN, "this is not for other sites to ask"));
    }
    match *method {
        Method::GET => None,
        Method::POST if text(INTENT) != Some("1") => Some((
            StatusCode::FORBIDDEN,
            "a POST must have the field Knik-Request: 1",
        )),
        Method::POST if !is_json(text(header::CONTENT_TYPE.as_str())) => Some((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a POST must have the field Content-Type: application/json",
        )),
        Method::POST => None,
        _ => Some((
            StatusCode::METHOD_NOT_ALLOWED,
            "this is asked with GET or POST",
        )),
    }
}

fn is_json(kind: Option<&str>) -> bool {
    let kind = kind.unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_another_site_can_cause_is_turned_away() {
        let json = "application/json";
        for (method, fields, door, expected) in [
            ("GET", vec![], (true, true), None),
            ("GET", vec![], (false, true), Some(403)),
            ("GET", vec![], (true, false), Some(401)),
            (
                "GET",
                vec![("sec-fetch-site", "cross-site")],
                (true, true),
                Some(403),
            ),
            (
                "GET",
                vec![("sec-fetch-site", "same-site")],
                (true, true),
                Some(403),
            ),
            (
                "GET",
                vec![("sec-fetch-site", "same-origin")],
                (true, true),
                None,
            ),
            ("HEAD", vec![], (true, true), Some(405)),
            ("DELETE", vec![], (true, true), Some(405)),
            (
                "POST",
                vec![("content-type", json)],
                (true, true),
                Some(403),
            ),
            (
                "POST",
                vec![(INTENT, "0"), ("content-type", json)],
                (true, true),
                Some(403),
            ),
            ("POST", vec![(INTENT, "1")], (true, true), Some(415)),
            (
                "POST",
                vec![(INTENT, "1"), ("content-type", "text/plain")],
                (true, true),
                Some(415),
            ),
            (
                "POST",
                vec![(INTENT, "1"), ("content-type", json)],
                (true, true),
                None,
            ),
            (
                "POST",
                vec![
                    (INTENT, "1"),
                    ("content-type", "Application/JSON; charset=utf-8"),
                ],
                (true, true),
                None,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                headers.insert(*name, value.parse().unwrap());
            }
            let method = method.parse().unwrap();
            let status = refused(&method, &headers, door).map(|(status, _)| status.as_u16());
            assert_eq!(status, expected, "{method} {fields:?} {door:?}");
        }
    }
}
