//! Rows of the store as an answer: at once when there is a limit, streamed when there is none.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tickberry_store::{GapRow, Query as Wanted, StoreError, StoreReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pages::Pages;
use super::query::{self, MAX_LIMIT};
use super::record::{Format, Record};
use super::refuse;
use crate::Shared;

/// How long a request waits for others that read the store.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;
/// Which table is read.
pub(crate) type Get<R> = fn(&dyn StoreReader, &Wanted) -> Result<Vec<R>, StoreError>;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("other requests keep the store busy; try again in a few seconds")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the read ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Answers with rows that have one time each.
pub(crate) async fn rows<R: Record + Send + 'static>(shared: Shared, pairs: Pairs, get: Get<R>) -> Response {
    let query = match parse(&shared, pairs) {
        Ok(query) => query,
        Err(refusal) => return *refusal,
    };
    let (format, limit) = (query.format, query.limit);
    let wanted = wanted(query);
    let answer = match limit {
        Some(limit) => at_once(&shared, wanted, limit, format, get).await,
        None => streamed(shared.clone(), wanted, format, get).await,
    };
    answer.unwrap_or_else(|error| failed(&shared, &error))
}

/// Gaps overlap the range's start, so they are not paged; there are few.
pub(crate) async fn gaps(shared: Shared, pairs: Pairs) -> Response {
    let query = match parse(&shared, pairs) {
        Ok(query) => query,
        Err(refusal) => return *refusal,
    };
    let (format, limit) = (query.format, query.limit.unwrap_or(MAX_LIMIT));
    let get: Get<GapRow> = |store, wanted| store.gaps(wanted);
    let answer = at_once(&shared, wanted(query), limit, format, get).await;
    answer.unwrap_or_else(|error| failed(&shared, &error))
}

fn parse(shared: &Shared, pairs: Pairs) -> Result<query::Query, Box<Response>> {
    shared.metrics.requests.inc();
    let parsed = match pairs {
        Err(error) => Err(refuse(StatusCode::BAD_REQUEST, &error.body_text())),
        Ok(Query(pairs)) => query::parse(&pairs).map_err(|error| {
            let body = json!({ "error": error.to_string(), "parameter": error.parameter,
                               "value": error.value, "allowed": error.allowed });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }),
    };
    parsed.map_err(|refusal| {
        shared.metrics.requests_refused.inc();
        Box::new(refusal)
    })
}

fn wanted(query: query::Query) -> Wanted {
    Wanted {
        newest: query.from_ms.is_none(),
        source: query.source,
        symbol: Some(query.symbol),
        from_ms: query.from_ms.unwrap_or(i64::MIN),
        to_ms: query.to_ms.unwrap_or(i64::MAX),
        limit: 0,
    }
}

fn failed(shared: &Shared, error: &Unanswered) -> Response {
    shared.metrics.requests_failed.inc();
    tracing::warn!(%error, "a request of the read API failed");
    refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

fn answer(format: Format, truncated: bool, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE.as_str(), format.content_type()),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        // Rows that are left out are never left out silently.
        ("tickberry-truncated", if truncated { "true" } else { "false" }),
    ];
    (headers, body).into_response()
}

async fn at_once<R: Record + Send + 'static>(
    shared: &Shared,
    wanted: Wanted,
    limit: usize,
    format: Format,
    get: Get<R>,
) -> Result<Response, Unanswered> {
    let (text, more) = read(shared, move |store| {
        // One more than asked for tells whether there would have been more.
        let mut rows = get(store, &Wanted { limit: limit + 1, ..wanted })?;
        let more = rows.len() > limit;
        if more && wanted.newest {
            rows.drain(..rows.len() - limit);
        }
        rows.truncate(limit);
        Ok((format.head::<R>() + &format.rows(&rows, true) + format.tail(), more))
    })
    .await?;
    Ok(answer(format, more, text.into()))
}

/// Where a streamed answer is.
struct Export<R> {
    shared: Shared,
    pages: Pages,
    format: Format,
    get: Get<R>,
    /// Nothing was sent yet.
    first: bool,
    ended: bool,
    /// Its place among those that go on.
    _place: OwnedSemaphorePermit,
}

async fn streamed<R: Record + Send + 'static>(
    shared: Shared,
    wanted: Wanted,
    format: Format,
    get: Get<R>,
) -> Result<Response, Unanswered> {
    let place = patiently(&shared.exports).await?;
    let pages = read(&shared, move |store| {
        let of_symbol =
            store.series()?.into_iter().filter(|one| Some(&*one.symbol) == wanted.symbol.as_deref());
        let first_ms = of_symbol.map(|one| one.first_ms).min();
        Ok(Pages::new(wanted, first_ms))
    });
    let pages = pages.await?;
    let export = Export { shared, pages, format, get, first: true, ended: false, _place: place };
    // The first page is read before the answer begins, so that a store that is away is an error of the answer.
    let (text, export) = export.step().await?;
    let begin = stream::iter([Ok(Bytes::from(format.head::<R>() + &text))]);
    let rest = stream::unfold(Some(export), |export| async move {
        let export = export.filter(|export| !export.ended)?;
        match export.step().await {
            Ok((text, export)) => Some((Ok(Bytes::from(text)), Some(export))),
            // The connection is cut: a short answer must not pass for a whole one.
            Err(error) => {
                tracing::warn!(%error, "a streamed answer of the read API ends early");
                Some((Err(error), None))
            }
        }
    });
    // Fused, because a compressing layer asks once more after the end, and `unfold` panics then.
    Ok(answer(format, false, Body::from_stream(begin.chain(rest).fuse())))
}

impl<R: Record + Send + 'static> Export<R> {
    /// The next page's text, or the end's.
    async fn step(mut self) -> Result<(String, Self), Unanswered> {
        let (get, mut pages) = (self.get, self.pages);
        let read = read(&self.shared, move |store| {
            let page = pages.next(|wanted| get(store, wanted))?;
            Ok((pages, page))
        });
        let (pages, page) = read.await?;
        self.pages = pages;
        let text = match page {
            Some(rows) => self.format.rows(&rows, std::mem::take(&mut self.first)),
            None => {
                self.ended = true;
                self.format.tail().into()
            }
        };
        Ok((text, self))
    }
}

/// Runs a read on a thread that may block; few at a time, because each holds its rows in memory.
async fn read<T: Send + 'static>(
    shared: &Shared,
    get: impl FnOnce(&dyn StoreReader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Unanswered> {
    let place = patiently(&shared.readers).await?;
    let store = shared.store.clone();
    let task = tokio::task::spawn_blocking(move || {
        let result = get(store.as_ref());
        drop(place);
        result
    });
    Ok(task.await??)
}

async fn patiently(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Unanswered> {
    match tokio::time::timeout(PATIENCE, places.clone().acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Unanswered::Busy),
    }
}
