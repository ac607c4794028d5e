//! One life: what it consists of, and the loop that waits for whatever comes next.

use std::time::{Duration, Instant};

use tickberry_store::Cursor;
use tickberry_wire::json::LiveJson;
use tickberry_wire::topic::Topic;
use tokio::time::{MissedTickBehavior, interval};

use super::output::finished;
use super::stopping::Stopping;
use super::{End, Pipeline};
use crate::consumer::{Consumer, Fetched};
use crate::fetch::Fetch;
use crate::inbox::Heard;
use crate::live::Pace;
use crate::records::Decoder;
use crate::retention;
use crate::writer::Written;

/// From one cursor on.
pub(super) struct Life<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) consumer: Consumer,
    /// For what comes over the bus.
    pub(super) decoder: Decoder,
    pub(super) fetch: Option<Fetch>,
    pub(super) pace: Pace,
    pub(super) watermark: &'a retention::Watermark,
    /// The answer to the batch under way.
    pub(super) written: Option<Written>,
    /// When that was handed over.
    pub(super) handed_over: Instant,
    /// What is wrong with the journal, for the status.
    pub(super) trouble: Option<String>,
    /// Why the last message of the bus cannot be read.
    pub(super) unreadable: Option<String>,
    /// Everything is to be published again once nothing is missing: a new life, or a new broker.
    pub(super) show_all: bool,
}

impl<'a> Life<'a> {
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        cursor: Option<Cursor>,
        settle: Duration,
        watermark: &'a retention::Watermark,
    ) -> Self {
        let fold = pipeline.parts.config.fold();
        let told = pipeline.inbox.link().told();
        let now = Instant::now();
        let (consumer, error) = Consumer::new(fold, &pipeline.source, cursor, settle, told, now);
        if let Some(error) = error {
            tracing::warn!(source = %pipeline.source, "{error}");
        }
        pipeline.stored = consumer.stored();
        Self {
            pipeline,
            consumer,
            decoder: Decoder::default(),
            fetch: None,
            pace: Pace::default(),
            watermark,
            written: None,
            handed_over: now,
            trouble: None,
            unreadable: None,
            show_all: true,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let mut commits = interval(self.pipeline.parts.config.commit_interval);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.pipeline.parts.shutdown.clone();
        let mut stopping: Option<Stopping> = None;
        loop {
            let wake = self.wake_at(stopping.as_ref());
            let actions = tokio::select! {
                () = shutdown.cancelled(), if stopping.is_none() => {
                    stopping = Some(Stopping::new(Instant::now()));
                    Vec::new()
                }
                result = finished(&mut self.written) => self.wrote(result),
                heard = self.pipeline.inbox.next() => match heard {
                    Heard::Batch(payload) => {
                        stopping.iter_mut().for_each(|s| s.heard(Instant::now()));
                        self.hear(&payload)
                    }
                    Heard::Link => {
                        let told = self.pipeline.inbox.link().told();
                        self.consumer.tell(told, Instant::now())
                    }
                },
                item = next(&mut self.fetch), if self.consumer.wants_journal() => self.read(item),
                _ = commits.tick() => self.consumer.commit_due(Instant::now()),
                () = tokio::time::sleep_until(wake.into()) => self.consumer.tick(Instant::now()),
            };
            if let Some(end) = self.act(actions).await {
                return end;
            }
            self.watch_store();
            self.show();
            self.post();
            if stopping.as_ref().is_some_and(|s| s.is_over(Instant::now(), self.consumer.book().is_waiting()))
            {
                return self.finish().await;
            }
        }
    }

    fn wake_at(&self, stopping: Option<&Stopping>) -> Instant {
        let fallback = Instant::now() + Duration::from_secs(3600);
        let times = [self.consumer.wake_at(), self.pace.next(), stopping.map(|s| s.wake_at(Instant::now()))];
        times.into_iter().flatten().min().unwrap_or(fallback)
    }

    /// Publishes the live messages that are due, once nothing is missing.
    fn show(&mut self) {
        let is_live = self.consumer.reader().is_live();
        let book = self.consumer.book_mut();
        if !is_live {
            book.hide();
            return;
        }
        if std::mem::take(&mut self.show_all) {
            book.show();
            let Pipeline { newest, source, parts, .. } = &mut *self.pipeline;
            newest.publish(source, &parts.publisher, &book.newest());
        }
        for symbol in book.take_symbols() {
            self.pace.note(symbol);
        }
        for symbol in self.pace.due(Instant::now()) {
            let Some(live) = book.live(&symbol) else { continue };
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
        let (reader, counters) = (self.consumer.reader(), self.consumer.book().fold().counters());
        metrics.consumed.set(reader.next());
        metrics.committed.set(reader.committed());
        metrics.stored.set(self.pipeline.stored);
        metrics.records.set(counters.records);
        metrics.revisions.set(counters.revisions);
        metrics.late_beyond.set(counters.late_beyond);
        metrics.implausible.set(counters.implausible);
        metrics.suspected_copies.set(counters.suspected_copies);
        metrics.lost.set(counters.lost);
        self.pipeline.post(Some((reader, self.trouble.as_ref().or(self.unreadable.as_ref()))));
    }
}

/// The next item of the fetch; for ever pending while there is none.
async fn next(fetch: &mut Option<Fetch>) -> Fetched {
    match fetch {
        Some(fetch) => fetch.next().await,
        None => std::future::pending().await,
    }
}
