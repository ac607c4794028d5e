//! How far each source is, and how the process and its host are, for everybody: one retained message, at most four
//! times a second.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use tickberry_service::Shutdown;
use tickberry_service::health::{Health, PERIOD_MS, Sampler};
use tickberry_service::mqtt::{Publisher, Will};
use tickberry_wire::Source;
use tickberry_wire::counted::StreamCounts;
use tickberry_wire::json::{Presence, StatusJson, StreamStatus};
use tickberry_wire::topic::Topic;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Shortest time between two status messages.
const PACE: Duration = Duration::from_millis(250);

/// Longest time between two: what is said of the host changes although nothing arrives.
const BEAT: Duration = Duration::from_millis(PERIOD_MS.unsigned_abs());

/// The status, and what it costs to have it.
#[derive(Serialize)]
struct Report {
    streams: Vec<StreamReport>,
    health: Health,
}

/// A stream, and what was counted of it.
#[derive(Serialize)]
struct StreamReport {
    #[serde(flatten)]
    status: StreamStatus,
    counted: StreamCounts,
}

impl StreamReport {
    fn new(status: StreamStatus, metrics: &Metrics) -> Self {
        let of_source = metrics.of(&status.source);
        let counted = StreamCounts {
            fetches: of_source.fetches.get(),
            fetch_failures: of_source.fetch_failures.get(),
            revisions: of_source.revisions.get(),
            late_records: of_source.late_beyond.get(),
            implausible_records: of_source.implausible.get(),
            lost_records: of_source.lost.get(),
            discarded_batches: of_source.discarded.get(),
            undecodable_batches: of_source.undecodable.get(),
            store_writes: of_source.writes.get(),
            store_seconds: of_source.write_seconds.get(),
            store_failures: of_source.write_failures.get(),
        };
        Self { status, counted }
    }
}

/// Where pipelines post how far they are.
#[derive(Clone, Default)]
pub(crate) struct Board {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    streams: Mutex<BTreeMap<Source, StreamStatus>>,
    changed: Notify,
}

impl Board {
    /// Says how far a source is; wakes the publisher if that is news.
    pub(crate) fn post(&self, status: StreamStatus) {
        let mut streams = self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.get(&status.source) != Some(&status) {
            streams.insert(status.source.clone(), status);
            self.inner.changed.notify_one();
        }
    }

    /// Publishes again although nothing changed: the broker may have forgotten, or told our last will.
    pub(crate) fn repeat(&self) {
        self.inner.changed.notify_one();
    }

    pub(crate) fn streams(&self) -> Vec<StreamStatus> {
        self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Topic and words of this aggregator's status.
#[derive(Clone)]
pub(crate) struct Voice {
    node: String,
    topic: String,
}

impl Voice {
    pub(crate) fn new(node: &str) -> Self {
        Self { node: node.into(), topic: Topic::Status("aggregator".into(), node.into()).path() }
    }

    /// What the broker says when we vanish.
    pub(crate) fn will(&self) -> Will {
        Will { topic: self.topic.clone(), payload: self.payload(None).into() }
    }

    fn payload(&self, report: Option<Report>) -> Vec<u8> {
        let status = StatusJson {
            service: Cow::Borrowed("aggregator"),
            node: Cow::Borrowed(&self.node),
            state: if report.is_some() { Presence::Online } else { Presence::Offline },
            detail: report,
        };
        serde_json::to_vec(&status).expect("numbers and texts serialize")
    }

    /// Publishes the board until the end, then says goodbye.
    pub(crate) async fn run(
        self,
        board: Board,
        publisher: Publisher,
        metrics: Metrics,
        mut sampler: Sampler,
        ended: Shutdown,
    ) {
        let mut online = || {
            let streams = board.streams().into_iter().map(|status| StreamReport::new(status, &metrics));
            let report = Report { streams: streams.collect(), health: sampler.look(wall_ms()) };
            Bytes::from(self.payload(Some(report)))
        };
        loop {
            tokio::select! {
                () = board.inner.changed.notified() => {}
                () = tokio::time::sleep(BEAT) => {}
                () = ended.cancelled() => break,
            }
            // A message that is dropped is made up for by the next, or by `repeat` once the broker is back.
            publisher.publish(self.topic.clone(), online(), true);
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = ended.cancelled() => break,
            }
        }
        publisher.publish(self.topic.clone(), online(), true);
        publisher.publish(self.topic.clone(), self.payload(None).into(), true);
    }
}

/// For people and for points only; nothing is decided by it.
fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_will_says_offline_and_nothing_else() {
        let will = Voice::new("pi4").will();
        assert_eq!(will.topic, "tickberry/v1/status/aggregator/pi4");
        assert_eq!(&will.payload[..], br#"{"service":"aggregator","node":"pi4","state":"offline"}"#);
    }

    #[test]
    fn only_news_wake_the_publisher() {
        let board = Board::default();
        let status = StreamStatus {
            source: Source::new("finnhub").unwrap(),
            epoch: 1,
            consumed: 2,
            stored: 2,
            store: "sqlite".into(),
            lost: Some(0),
            doubled: Some(0),
            message: None,
        };
        board.post(status.clone());
        let mut woken = tokio_test_notified(&board);
        assert!(woken());
        board.post(status.clone());
        assert!(!woken());
        board.post(StreamStatus { stored: 3, ..status });
        assert!(woken());
    }

    /// Whether a wake-up waits.
    fn tokio_test_notified(board: &Board) -> impl FnMut() -> bool {
        use std::future::Future;
        let inner = board.inner.clone();
        move || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(inner.changed.notified()).poll(&mut context).is_ready()
        }
    }
}
