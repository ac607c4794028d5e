//! `/api/v1/`: the read API. Answers come from the view (`status`, `events`) or the store (the rest).
//!
//! | path | answer |
//! |---|---|
//! | `minutes` `trades` | rows of a symbol: `symbol=`, `source=`, `from=` (inclusive), `to=` (exclusive), `format=json\|csv`, `limit=` |
//! | `gaps` | the same of `feed_gaps`: those that overlap the range |
//! | `status` | feeds and streams, for whoever polls |
//! | `events` | server-sent events: everything at first, then what changes; `symbol=`, `source=` |
//!
//! Without a limit the whole range is streamed. With one, the answer holds the first rows of the range, or
//! the newest if no `from` was given, and the header `tickberry-truncated` says whether there were more.

mod answer;
mod pages;
pub(crate) mod query;
pub(crate) mod record;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde_json::json;
use tower_http::compression::CompressionLayer;

use crate::{Shared, now_ms};
use answer::{Pairs, rows};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/minutes", get(minutes))
        .route("/api/v1/trades", get(trades))
        .route("/api/v1/gaps", get(gaps))
        .route("/api/v1/status", get(status))
        .layer(CompressionLayer::new())
        .route("/api/v1/events", get(crate::events::events))
}

async fn minutes(State(shared): State<Shared>, pairs: Pairs) -> Response {
    rows(shared, pairs, |store, wanted| store.minutes(wanted)).await
}

async fn trades(State(shared): State<Shared>, pairs: Pairs) -> Response {
    rows(shared, pairs, |store, wanted| store.trades(wanted)).await
}

async fn gaps(State(shared): State<Shared>, pairs: Pairs) -> Response {
    answer::gaps(shared, pairs).await
}

async fn status(State(shared): State<Shared>) -> Response {
    let status = shared.view.borrow().status(now_ms());
    ([(header::CACHE_CONTROL, "no-store")], Json(status)).into_response()
}

/// An error as JSON.
pub(crate) fn refuse(code: StatusCode, text: &str) -> Response {
    (code, Json(json!({ "error": text }))).into_response()
}
