//! The public list of bodies entitled to send: a page in three languages, and the same for programs. What it says is made by the
//! program; it names nobody who receives.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use store::StoreError;

use crate::pages;
use crate::serve::Webd;

/// The list as it is now.
#[derive(Debug, Clone)]
pub struct List {
    /// The page.
    pub html: String,
    /// The same, one JSON document.
    pub json: String,
}

/// Whoever makes the list.
pub trait Entitled: Send + Sync {
    /// The list as it is now; many may ask at once.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self) -> Result<Arc<List>, StoreError>;
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// `/entitled` and `/entitled.json`.
pub(crate) fn routes() -> Router<Arc<Webd>> {
    Router::new()
        .route("/entitled", get(page))
        .route("/entitled.json", get(json))
}

async fn page(State(webd): State<Arc<Webd>>) -> Response {
    answer(&webd, HTML, |list| list.html.clone()).await
}

async fn json(State(webd): State<Arc<Webd>>) -> Response {
    answer(&webd, JSON, |list| list.json.clone()).await
}

async fn answer(webd: &Webd, kind: &'static str, part: fn(&List) -> String) -> Response {
    let Some(entitled) = webd.entitled() else {
        return pages::refusal(StatusCode::NOT_FOUND, "there is nothing here\n");
    };
    match webd.blocking(move || entitled.list()).await {
        Some(Ok(list)) => pages::answer(StatusCode::OK, part(&list), kind, pages::NEVER),
        Some(Err(error)) => {
            tracing::error!(%error, "the list of entitled bodies cannot be made");
            pages::refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "this cannot be answered now; the operator has been told\n",
            )
        }
        None => pages::busy(),
    }
}
