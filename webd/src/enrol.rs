//! Pages behind a one-time link, where a holder gets a device certificate: a file with a key made here, or a certificate
//! over a key of their own.
//!
//! Looking at a link does nothing, because mail scanners and previews look too; a POST uses it. Over TLS alone. No script
//! runs, nothing is loaded but our own sheet, and no page is kept.
//!
//! | module | what |
//! |---|---|
//! | `page` | the pages as HTML |
//! | `texts` | what they say, in three languages |

mod page;
mod texts;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use mail::digest::Digest;
use store::links::{Link, LinkState};
use store::register::Lang;

use crate::ca::no_body;
use crate::form;
use crate::limits::FORM_BYTES_MAX;
use crate::office::{NotMade, Office, token_digest};
use crate::pages::{NEVER, answer, broken, busy, refusal};
use crate::serve::body::whole;
use crate::serve::{Visitor, Webd};
pub use page::escaped;
use page::{Page, Shown};

const HTML: &str = "text/html; charset=utf-8";
const SHEET: &str = "text/css; charset=utf-8";
const PKCS12: &str = "application/x-pkcs12";
const PROFILE: &str = "application/x-apple-aspen-config";
const PKCS10: &str = "application/pkcs10";
const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// Our own sheet and forms that lead here; nothing else.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The paths, for an authority that is there.
pub(crate) fn routes(office: Arc<dyn Office>) -> Router<Arc<Webd>> {
    Router::new()
        .route("/enrol/{token}", get(look).post(enrol))
        .route("/enrol/{token}/bundle.p12", get(bundle))
        .route("/enrol/{token}/post.mobileconfig", get(profile))
        .route("/enrol.css", get(sheet))
        .layer(Extension(office))
}

async fn sheet() -> Response {
    answer(StatusCode::OK, page::SHEET, SHEET, "public, max-age=86400")
}

/// Shows what the link is good for, and changes nothing.
async fn look(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    uri: Uri,
) -> Response {
    if !visitor.is_secure() {
        return insecure();
    }
    let asked = Asked::new(&token, &uri);
    let Some(digest) = asked.digest else {
        return asked.show(StatusCode::NOT_FOUND, None, Shown::NoLink);
    };
    let found = webd.blocking(move || {
        let link = office.link(&digest)?;
        let has_file = office.bundle(&digest)?.is_some();
        Ok::<_, crate::office::Fault>((link, has_file))
    });
    match found.await {
        Some(Ok((link, has_file))) => asked.show_link(link.as_ref(), has_file),
        Some(Err(error)) => broken(&*error),
        None => busy(),
    }
}

/// Uses the link: by the form of the page, or with a request as the body.
async fn enrol(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    if !visitor.is_secure() {
        return insecure();
    }
    let asked = Asked::new(&token, request.uri());
    let Some(digest) = asked.digest else {
        return asked.show(StatusCode::NOT_FOUND, None, Shown::NoLink);
    };
    let by_program = is_kind(request.headers(), PKCS10);
    let body = match whole(request.into_body(), FORM_BYTES_MAX).await {
        Ok(body) => body.to_vec(),
        Err(fault) => return no_body(fault),
    };
    let wish = if by_program {
        Some(Wish::Certify(body))
    } else {
        Wish::of_form(&body)
    };
    let Some(wish) = wish else {
        return refusal(StatusCode::BAD_REQUEST, "that is not what the form sends\n");
    };
    let peer = visitor.peer();
    let done = webd.blocking(move || {
        // Read first: once the link is used, it is not open any more.
        let link = office.link(&digest).map_err(NotMade::Fault)?;
        let done = match wish {
            Wish::Make => office.make(&digest, peer).map(Done::Made),
            Wish::Certify(request) => office.certify(&digest, &request, peer).map(Done::Certified),
        };
        Ok::<_, NotMade>((link, done))
    });
    match done.await {
        Some(Ok((link, done))) => asked.show_done(link.as_ref(), done, by_program),
        Some(Err(NotMade::Fault(error))) => broken(&*error),
        Some(Err(_)) | None => busy(),
    }
}

async fn bundle(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    uri: Uri,
) -> Response {
    let Some((digest, asked)) = Asked::for_file(&visitor, &token, &uri) else {
        return insecure();
    };
    match webd.blocking(move || office.bundle(&digest)).await {
        Some(Ok(Some(octets))) => file(octets, PKCS12, "bundle.p12"),
        Some(Ok(None)) => asked.show(StatusCode::NOT_FOUND, None, Shown::NoLink),
        Some(Err(error)) => broken(&*error),
        None => busy(),
    }
}

async fn profile(
    State(webd): State<Arc<Webd>>,
    Extension(office): Extension<Arc<dyn Office>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    uri: Uri,
) -> Response {
    let Some((digest, asked)) = Asked::for_file(&visitor, &token, &uri) else {
        return insecure();
    };
    match webd.blocking(move || office.profile(&digest)).await {
        Some(Ok(Some(text))) => file(text.into_bytes(), PROFILE, "post.mobileconfig"),
        Some(Ok(None)) => asked.show(StatusCode::NOT_FOUND, None, Shown::NoLink),
        Some(Err(error)) => broken(&*error),
        None => busy(),
    }
}

/// What the holder wants made.
enum Wish {
    /// A key and its certificate.
    Make,
    /// A certificate over the key of this request.
    Certify(Vec<u8>),
}

impl Wish {
    fn of_form(body: &[u8]) -> Option<Self> {
        let fields = form::fields(body)?;
        let value = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_slice())
        };
        match value("do")? {
            b"key" => Some(Self::Make),
            b"request" => Some(Self::Certify(value("request")?.to_vec())),
            _ => None,
        }
    }
}

/// What was made.
enum Done {
    Made(crate::office::Made),
    Certified(String),
}

/// Who asked for what, in which language.
struct Asked {
    token: String,
    digest: Option<Digest>,
    lang: Option<Lang>,
}

impl Asked {
    fn new(token: &str, uri: &Uri) -> Self {
        let lang = uri.query().unwrap_or_default().split('&');
        Self {
            digest: token_digest(token),
            token: token.to_owned(),
            lang: lang
                .filter_map(|field| field.strip_prefix("lang="))
                .find_map(|word| word.parse().ok()),
        }
    }

    /// `None`: not over TLS. What is no token is one that nobody has.
    fn for_file(visitor: &Visitor, token: &str, uri: &Uri) -> Option<(Digest, Self)> {
        let asked = Self::new(token, uri);
        let digest = asked.digest.unwrap_or(Digest::of(b""));
        visitor.is_secure().then_some((digest, asked))
    }

    fn show_link(&self, link: Option<&Link>, has_file: bool) -> Response {
        let (status, shown) = match link.map(|link| link.state) {
            None => (StatusCode::NOT_FOUND, Shown::NoLink),
            Some(LinkState::Open) => (StatusCode::OK, Shown::Form { fault: None }),
            Some(LinkState::Used) if has_file => (StatusCode::OK, Shown::Files { password: None }),
            Some(LinkState::Used) => (StatusCode::GONE, Shown::Used),
            Some(LinkState::Over) => (StatusCode::GONE, Shown::Over),
        };
        self.show(status, link, shown)
    }

    fn show_done(
        &self,
        link: Option<&Link>,
        done: Result<Done, NotMade>,
        by_program: bool,
    ) -> Response {
        match done {
            Ok(Done::Certified(pem)) if by_program => answer(StatusCode::OK, pem, PEM_CHAIN, NEVER),
            Ok(Done::Certified(pem)) => {
                self.show(StatusCode::OK, link, Shown::Certificate { pem: &pem })
            }
            Ok(Done::Made(made)) => {
                let password = Some((made.password.as_str(), made.until));
                self.show(StatusCode::OK, link, Shown::Files { password })
            }
            Err(NotMade::Request(why)) if by_program => answer(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{why}\n"),
                "text/plain; charset=utf-8",
                NEVER,
            ),
            Err(NotMade::Request(why)) => {
                let shown = Shown::Form { fault: Some(&why) };
                self.show(StatusCode::UNPROCESSABLE_ENTITY, link, shown)
            }
            // Somebody else was quicker, or it was over before.
            Err(NotMade::Link) => match link.map(|link| link.state) {
                None => self.show(StatusCode::NOT_FOUND, None, Shown::NoLink),
                Some(LinkState::Over) => self.show(StatusCode::GONE, link, Shown::Over),
                Some(_) => self.show(StatusCode::GONE, link, Shown::Used),
            },
            Err(NotMade::Fault(error)) => broken(&*error),
        }
    }

    fn show(&self, status: StatusCode, link: Option<&Link>, shown: Shown<'_>) -> Response {
        let lang = self.lang.or(link.map(|link| link.account.lang));
        let page = Page {
            lang: lang.unwrap_or(Lang::Hy),
            token: &self.token,
            link,
            shown,
        };
        let mut response = answer(status, page.render(), HTML, NEVER);
        let policy = HeaderValue::from_static(CONTENT_POLICY);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }
}

fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE);
    given.is_some_and(|given| given.as_bytes() == kind.as_bytes())
}

/// A file to be saved or opened by the program that it is for.
fn file(octets: Vec<u8>, kind: &'static str, name: &str) -> Response {
    let mut response = answer(StatusCode::OK, octets, kind, NEVER);
    // Invariant: the names are ours, and printable ASCII.
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// What is behind a link is for one pair of eyes.
fn insecure() -> Response {
    refusal(StatusCode::FORBIDDEN, "only over https\n")
}
