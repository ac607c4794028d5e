//! The journal over HTTP: `GET /api/v1/journal/{source}?from=OFFSET[&to=OFFSET][&format=json]`.
//!
//! The body is a sequence of (length, u32 little endian; encoded batch), from the batch that contains `from` to
//! what was committed when the request came, or to the batch that contains `to - 1`; with `format=json` one object a
//! record and line. Offsets that are lost come as a batch that says so. 410 tells the oldest offset there is, 416 the
//! journal's head. Nothing is read from disk
//! before the client has taken what came before, and nothing is read on the runtime's own threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::json;
use tickberry_wire::{GapReason, Source};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::timeout;

pub mod body;
mod lines;

use crate::journal::{Batches, JournalState, ReadError, Reader};

/// Bytes handed to the connection at a time.
const CHUNK: usize = 128 * 1024;
/// Readings at once; each holds a few hundred KiB.
const MAX_READERS: usize = 32;
/// Of these so many read and unpack at a time, the others wait for their turn: the live stream shares the processor with
/// them, and must not share it with all.
const TURNS: usize = 1;
/// One that does not get its turn in this time reads all the same: another may wait for a bad sector.
const LONGEST_TURN: Duration = Duration::from_secs(1);
/// The content type of the body.
pub const CONTENT_TYPE: &str = "application/vnd.tickberry.batches";

#[derive(Clone)]
struct Served {
    source: Source,
    reader: Reader,
    permits: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// The route, for one source's journal.
pub fn routes(source: Source, reader: Reader) -> Router {
    let (permits, turns) = (Arc::new(Semaphore::new(MAX_READERS)), Arc::new(Semaphore::new(TURNS)));
    let served = Served { source, reader, permits, turns };
    Router::new().route("/api/v1/journal/{source}", get(journal)).with_state(served)
}

async fn journal(
    State(served): State<Served>,
    Path(source): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if source != served.source.as_str() {
        let error =
            format!("no journal of {source:?} here; this is the gateway of {:?}", served.source.as_str());
        return (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response();
    }
    let state = served.reader.state();
    let range = match Range::parse(&query, state) {
        Ok(range) => range,
        Err(error) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
    };
    let Ok(permit) = served.permits.clone().try_acquire_owned() else {
        let error = format!("{MAX_READERS} readings are under way; try again in a second");
        let headers = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, Json(json!({ "error": error }))).into_response();
    };
    // Not beyond what the header says is committed: a consumer would take that for another journal.
    let to = range.to.map_or(state.committed, |to| to.min(state.committed));
    let batches = match served.reader.read(range.from, Some(to)) {
        Ok(batches) => batches,
        Err(error) => return refuse(error),
    };
    let lines = range.lines.then_some(served.source);
    match (Reading { batches, lines, turns: served.turns, _permit: permit }).next().await {
        Ok(Ok((reading, first))) => {
            (headers(state, range.lines), Body::from_stream(reading.stream(first))).into_response()
        }
        Ok(Err(error)) => refuse(error),
        Err(error) => {
            tracing::error!(%error, "reading the journal ended abnormally");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Clone, Copy)]
struct Range {
    from: u64,
    to: Option<u64>,
    /// JSON lines instead of batches.
    lines: bool,
}

impl Range {
    fn parse(query: &HashMap<String, String>, state: JournalState) -> Result<Self, String> {
        let offset = |key: &str| match query.get(key) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| format!("{key}={text}: use an offset, such as {key}={}", state.first)),
        };
        if let Some(key) = query.keys().find(|key| !["from", "to", "format"].contains(&key.as_str())) {
            return Err(format!("{key}: there are from=OFFSET, to=OFFSET and format=batches or json"));
        }
        let lines = match query.get("format").map(String::as_str) {
            None | Some("batches") => false,
            Some("json") => true,
            Some(other) => return Err(format!("format={other}: use batches (the default) or json")),
        };
        // Without a start, all that there is: for a person with curl.
        Ok(Self { from: offset("from")?.unwrap_or(state.first), to: offset("to")?, lines })
    }
}

fn headers(state: JournalState, lines: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(if lines { "application/x-ndjson" } else { CONTENT_TYPE }),
    );
    for (name, value) in [
        ("tickberry-epoch", state.epoch.get()),
        ("tickberry-first", state.first),
        ("tickberry-head", state.head),
        ("tickberry-committed", state.committed),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    headers
}

fn refuse(error: ReadError) -> Response {
    let text = error.to_string();
    match error {
        ReadError::Gone { from, first } => {
            let reason = GapReason::LostRange.as_str();
            let body = json!({ "error": text, "from": from, "first": first, "reason": reason });
            (StatusCode::GONE, Json(body)).into_response()
        }
        ReadError::Disk { .. } => {
            let headers = [(header::RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, headers, Json(json!({ "error": text }))).into_response()
        }
        ReadError::Ahead { head, .. } => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Json(json!({ "error": text, "head": head }))).into_response()
        }
    }
}

struct Reading {
    batches: Batches,
    /// The source's name, for JSON lines.
    lines: Option<Source>,
    turns: Arc<Semaphore>,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    /// The next part of the body; empty at the end.
    fn chunk(&mut self) -> Result<Bytes, ReadError> {
        let Some(source) = &self.lines else { return body::part(&mut self.batches, CHUNK) };
        let mut out = Vec::new();
        while out.len() < CHUNK {
            let Some(item) = self.batches.next_item()? else { break };
            lines::write(source, &item, &mut out);
        }
        Ok(out.into())
    }

    /// Waits for its turn and reads the next part.
    async fn next(mut self) -> Result<Result<(Self, Bytes), ReadError>, JoinError> {
        let turn = timeout(LONGEST_TURN, self.turns.clone().acquire_owned()).await;
        tokio::task::spawn_blocking(move || {
            // It lasts as long as the work, also where nobody waits for the outcome any more.
            let _turn = turn;
            self.chunk().map(|chunk| (self, chunk))
        })
        .await
    }

    fn stream(self, first: Bytes) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
        stream::unfold(Some((self, first)), |state| async {
            let (reading, ready) = state?;
            if ready.is_empty() {
                return None;
            }
            // The next part is read while this one is being sent, and no further.
            match reading.next().await {
                Ok(Ok(next)) => Some((Ok(ready), Some(next))),
                // The connection breaks off; the client asks again and is told.
                Ok(Err(error)) => Some((Err(std::io::Error::other(error)), None)),
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        })
    }
}
