//! One life: what it consists of, and the loop that waits for whatever comes next.

use std::time::{Duration, Instant};

use tickberry_store::Cursor;
use tickberry_wire::Epoch;
use tickberry_wire::json::LiveJson;
use tickberry_wire::topic::Topic;
use tokio::time::{MissedTickBehavior, interval};

use super::output::{Writing, finished};
use super::stopping::Stopping;
use super::{End, Pipeline};
use crate::book::Book;
use crate::fetch::{Fetch, Fetched};
use crate::inbox::Heard;
use crate::live::Pace;
use crate::reader::{JournalHead, Reader};
use crate::retention;

/// Rows at which a batch is written before its time: the journal is being read, and the store sets the pace.
const CHUNK: usize = 2_000;
/// Rows at which no more is read from the journal until the store has taken some.
const FULL: usize = 10_000;

/// From one cursor on.
pub(super) struct Life<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) book: Book,
    pub(super) reader: Reader,
    pub(super) fetch: Option<Fetch>,
    pub(super) pace: Pace,
    pub(super) watermark: &'a retention::Watermark,
    /// The batch under way, with the cursor it brings and its rows.
    pub(super) writing: Option<Writing>,
    /// The cursor the store holds.
    pub(super) cursor: Option<Cursor>,
    /// The store took everything so far. While false, no rows are kept.
    pub(super) attached: bool,
    /// When a store that is away is tried again.
    pub(super) probe_at: Option<Instant>,
    /// What is wrong with the journal, for the status.
    pub(super) trouble: Option<String>,
    /// What the journal said of itself at the beginning of the answer under way.
    pub(super) head: Option<JournalHead>,
    /// Everything is to be published again once nothing is missing: a new life, or a new broker.
    pub(super) show_all: bool,
    /// Whether the reader takes the way to the broker for open.
    pub(super) up: bool,
}

impl<'a> Life<'a> {
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        cursor: Option<Cursor>,
        watermark: &'a retention::Watermark,
    ) -> Self {
        let config = &pipeline.parts.config;
        let (book, error) = Book::open(config.fold(), &pipeline.source, cursor.as_ref());
        if let Some(error) = error {
            tracing::warn!(source = %pipeline.source, "{error}");
        }
        let proof = cursor.as_ref().and_then(|c| {
            let epoch = Epoch::from_raw(c.epoch).filter(|e| e.get() != 0)?;
            Some((c.stored, epoch))
        });
        let reader = Reader::new(book.fold().next_offset(), proof, Instant::now());
        pipeline.stored = cursor.as_ref().map_or(0, |c| c.stored);
        Self {
            pipeline,
            book,
            reader,
            fetch: None,
            pace: Pace::default(),
            watermark,
            writing: None,
            cursor,
            attached: true,
            probe_at: None,
            trouble: None,
            head: None,
            show_all: true,
            up: true,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let mut commits = interval(self.pipeline.parts.config.commit_interval);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.pipeline.parts.shutdown.clone();
        let mut stopping: Option<Stopping> = None;
        loop {
            let wake = self.wake_at(stopping.as_ref());
            tokio::select! {
                () = shutdown.cancelled(), if stopping.is_none() => stopping = Some(Stopping::new(Instant::now())),
                result = finished(&mut self.writing) => {
                    if let Some(end) = self.wrote(result) { return end }
                }
                heard = self.pipeline.inbox.next() => match heard {
                    Heard::Batch(payload) => {
                        self.hear(&payload);
                        stopping.iter_mut().for_each(|s| s.heard(Instant::now()));
                    }
                    Heard::Link => self.told(),
                },
                item = next(&mut self.fetch), if self.book.rows_waiting() < FULL => self.read(item),
                _ = commits.tick() => self.write(true).await,
                () = tokio::time::sleep_until(wake.into()) => {
                    if let Some(end) = self.wake().await { return end }
                }
            }
            if self.book.rows_waiting() >= CHUNK && !self.reader.is_live() {
                self.write(false).await;
            }
            self.guard();
            self.show();
            self.post();
            if stopping.as_ref().is_some_and(|s| s.is_over(Instant::now(), self.book.is_waiting())) {
                return self.finish().await;
            }
        }
    }

    fn wake_at(&self, stopping: Option<&Stopping>) -> Instant {
        let fallback = Instant::now() + Duration::from_secs(3600);
        let times = [
            self.reader.wake_at(),
            self.pace.next(),
            self.probe_at,
            stopping.map(|s| s.wake_at(Instant::now())),
        ];
        times.into_iter().flatten().min().unwrap_or(fallback)
    }

    async fn wake(&mut self) -> Option<End> {
        let now = Instant::now();
        let orders = self.reader.tick(now);
        self.obey(orders);
        if self.probe_at.is_some_and(|at| at <= now) {
            return self.probe().await;
        }
        None
    }

    /// Publishes the live messages that are due, once nothing is missing.
    fn show(&mut self) {
        if !self.reader.is_live() {
            self.book.hide();
            return;
        }
        if std::mem::take(&mut self.show_all) {
            self.book.show();
            let Pipeline { newest, source, parts, .. } = &mut *self.pipeline;
            newest.publish(source, &parts.publisher, &self.book.newest());
        }
        for symbol in self.book.take_symbols() {
            self.pace.note(symbol);
        }
        for symbol in self.pace.due(Instant::now()) {
            let Some(live) = self.book.live(&symbol) else { continue };
            let source = &self.pipeline.source;
            let message = LiveJson {
                source: source.clone(),
                symbol: symbol.clone(),
                last_price: live.last_price,
                last_time_ms: live.last_time_ms,
                last_kind: live.last_kind,
                minute: live.minute.map(|m| m.to_json(source)),
            };
            let payload = serde_json::to_vec(&message).expect("numbers and texts serialize");
            let topic = Topic::Live(source.clone(), symbol).path();
            self.pipeline.parts.publisher.publish(topic, payload.into(), true);
        }
    }

    pub(super) fn post(&mut self) {
        let metrics = &self.pipeline.metrics;
        let counters = self.book.fold().counters();
        metrics.consumed.set(self.reader.next());
        metrics.committed.set(self.reader.committed());
        metrics.stored.set(self.pipeline.stored);
        metrics.records.set(counters.records);
        metrics.revisions.set(counters.revisions);
        metrics.late_beyond.set(counters.late_beyond);
        metrics.implausible.set(counters.implausible);
        metrics.suspected_copies.set(counters.suspected_copies);
        metrics.lost.set(counters.lost);
        self.pipeline.post(Some((&self.reader, self.trouble.as_ref())));
    }
}

/// The next item of the fetch; for ever pending while there is none.
async fn next(fetch: &mut Option<Fetch>) -> Fetched {
    match fetch {
        Some(fetch) => fetch.next().await,
        None => std::future::pending().await,
    }
}
