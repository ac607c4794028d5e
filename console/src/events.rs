//! `/api/v1/events`: the view, streamed. Each viewer pulls what is newer than what it has, at most every
//! `MIN_STEP`; so there is no queue that could fill, and a viewer that does not read costs its socket.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use tickberry_service::Shutdown;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::view::{Selection, Update, View};
use crate::{Shared, now_ms};

/// Shortest time between two updates of one viewer: four a second.
pub const MIN_STEP: Duration = Duration::from_millis(250);
/// Longest: the page takes a longer silence for a lost connection.
pub const MAX_STEP: Duration = Duration::from_secs(5);
/// After this the browser tries again.
const RETRY: Duration = Duration::from_secs(2);

/// What a viewer may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    source: Option<String>,
    symbol: Option<String>,
}

pub(crate) async fn events(
    State(shared): State<Shared>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let wanted = match wanted {
        Ok(Query(wanted)) => wanted,
        Err(error) => {
            let text = format!("{}; allowed: `symbol`, `source`", error.body_text());
            return crate::api::refuse(StatusCode::BAD_REQUEST, &text);
        }
    };
    let Ok(permit) = shared.viewers.clone().try_acquire_owned() else {
        shared.metrics.viewers_refused.inc();
        let text = format!(
            "{} viewers are connected, which is all this console takes; close one, or raise console.max_viewers",
            shared.max_viewers
        );
        let mut refusal = crate::api::refuse(StatusCode::SERVICE_UNAVAILABLE, &text);
        refusal.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
        return refusal;
    };
    let view = shared.view.subscribe();
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let seen = view.borrow().resume(last);
    let viewer = Viewer {
        view,
        selection: Selection { source: wanted.source, symbol: wanted.symbol },
        seen,
        sent: None,
        stop: shared.stop.clone(),
    };
    let guard = Counted::new(&shared, permit);
    let stream = futures_util::stream::unfold((viewer, guard), |(mut viewer, guard)| async move {
        let step = viewer.next().await?;
        guard.shared.metrics.updates.inc();
        viewer.seen = step.update.version;
        viewer.sent = Some(Instant::now());
        Some((Ok::<_, Infallible>(step.event()), (viewer, guard)))
    });
    // Fused: whoever asks once more after the end gets the end, not a panic.
    let answer = Sse::new(stream.fuse()).keep_alive(KeepAlive::new().interval(MAX_STEP * 2));
    // Proxies that buffer would hold the stream back.
    ([("x-accel-buffering", "no"), ("cache-control", "no-store")], answer).into_response()
}

/// What is sent at a time.
struct Step {
    /// `snapshot`: everything; `update`: what has changed.
    name: &'static str,
    update: Update,
    id: String,
}

impl Step {
    fn event(self) -> Event {
        let json = serde_json::to_string(&self.update).expect("an update has string keys and finite numbers");
        Event::default().event(self.name).id(self.id).retry(RETRY).data(json)
    }
}

/// One who looks.
struct Viewer {
    view: watch::Receiver<View>,
    selection: Selection,
    /// The version they have.
    seen: u64,
    /// When they were last sent something.
    sent: Option<Instant>,
    stop: Shutdown,
}

impl Viewer {
    /// Waits for something worth sending; `None` at the end of the process.
    async fn next(&mut self) -> Option<Step> {
        let Some(sent) = self.sent else { return Some(self.take()) };
        let due = sent + MAX_STEP;
        let mut earliest = sent + MIN_STEP;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep_until(earliest) => {}
            }
            let changed = tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = timeout_at(due, self.view.changed()) => changed,
            };
            match changed {
                Ok(Err(_)) => return None,
                Err(_) => return Some(self.take()),
                Ok(Ok(())) => {
                    let step = self.take();
                    if !step.update.is_empty() {
                        return Some(step);
                    }
                    // What changed does not concern this viewer.
                    self.seen = step.update.version;
                    earliest = Instant::now() + MIN_STEP;
                }
            }
        }
    }

    fn take(&mut self) -> Step {
        let name = if self.seen == 0 { "snapshot" } else { "update" };
        let view = self.view.borrow_and_update();
        let update = view.update(&self.selection, self.seen, now_ms());
        let id = view.event_id(update.version);
        drop(view);
        // Whoever asked for no symbol in particular stays with the one they were shown first.
        if let Some((source, symbol)) = update.selected_key() {
            self.selection = Selection { source: Some(source.into()), symbol: Some(symbol.into()) };
        }
        Step { name, update, id }
    }
}

/// Counts a viewer while it is there.
struct Counted {
    shared: Shared,
    /// Their place among `max_viewers`.
    _place: OwnedSemaphorePermit,
}

impl Counted {
    fn new(shared: &Shared, permit: OwnedSemaphorePermit) -> Counted {
        shared.metrics.viewers.inc();
        Counted { shared: shared.clone(), _place: permit }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.metrics.viewers.dec();
    }
}
