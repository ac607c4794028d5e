//! One source, from the bus and the journal to the store and back to the bus: the thin shell around
//! [`Consumer`](crate::consumer::Consumer). It waits and tells, that decides.
//!
//! A *life* is that of one consumer: from a cursor of the store until the store has to be asked again.

mod intake;
mod life;
mod output;
mod stopping;

use std::time::{Duration, Instant};

use tickberry_service::Shutdown;
use tickberry_service::mqtt::Publisher;
use tickberry_store::{Cursor, StoreError};
use tickberry_wire::json::StreamStatus;
use tickberry_wire::{Epoch, Source};

use crate::Config;
use crate::backoff::Backoff;
use crate::fetch::Fetcher;
use crate::inbox::Inbox;
use crate::metrics::{Metrics, SourceMetrics};
use crate::newest::Newest;
use crate::reader::Reader;
use crate::retention;
use crate::status::Board;
use crate::writer::{Held, Writer};
use life::Life;

/// A store that has taken everything for so long is well again.
const HEALTHY: Duration = Duration::from_secs(20);

/// What pipelines share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: &'static str,
    pub(crate) publisher: Publisher,
    pub(crate) writer: Writer,
    pub(crate) fetcher: Fetcher,
    pub(crate) board: Board,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
}

/// See the module.
pub(crate) struct Pipeline {
    source: Source,
    parts: Parts,
    inbox: Inbox,
    metrics: SourceMetrics,
    newest: Newest,
    /// The store holds everything below; what is known of it between lives.
    stored: u64,
    /// What is wrong with the store, for the status.
    store_trouble: Option<String>,
    /// When it failed last, and how that was logged.
    failed: Option<(Instant, String)>,
    retry: Backoff,
}

/// Why a life ended.
enum End {
    Shutdown,
    /// The store has to be asked where it is.
    AskStore,
}

impl Pipeline {
    pub(crate) fn new(source: Source, parts: Parts, inbox: Inbox) -> Self {
        let metrics = parts.metrics.of(&source);
        Self {
            source,
            parts,
            inbox,
            metrics,
            newest: Newest::default(),
            stored: 0,
            store_trouble: None,
            failed: None,
            retry: Backoff::default(),
        }
    }

    /// Runs until the shutdown.
    pub(crate) async fn run(mut self) {
        let (_retention, watermark) =
            retention::start(self.source.clone(), self.parts.writer.clone(), self.metrics.retained.clone());
        loop {
            let Some((cursor, settle)) = self.ask_store().await else { return };
            let life = Life::new(&mut self, cursor, settle, &watermark);
            if let End::Shutdown = life.run().await {
                return;
            }
        }
    }

    /// The source's cursor and what a batch takes to settle, as soon as the store answers; `None` at the shutdown.
    async fn ask_store(&mut self) -> Option<(Option<Cursor>, Duration)> {
        loop {
            match self.parts.writer.ask().await {
                Ok(Held { cursors, settle }) => {
                    let cursor = cursors.into_iter().find(|c| *c.source == *self.source.as_str());
                    return Some((cursor, settle));
                }
                Err(error) => self.trouble(&error),
            }
            self.post(None);
            tokio::select! {
                () = tokio::time::sleep(self.retry.next()) => {}
                () = self.parts.shutdown.cancelled() => return None,
            }
        }
    }

    fn trouble(&mut self, error: &StoreError) {
        self.metrics.write_failures.inc();
        let text = error.to_string();
        // A disk that is nearly full takes a little again and again: that is one trouble, not many.
        if self.failed.as_ref().is_none_or(|(_, logged)| *logged != text) {
            tracing::warn!(source = %self.source, "the store does not take data; tried again until it does: {text}");
        }
        self.failed = Some((Instant::now(), text.clone()));
        self.store_trouble = Some(text);
    }

    /// The store took a batch.
    fn well(&mut self) {
        self.store_trouble = None;
        if self.failed.as_ref().is_some_and(|(at, _)| at.elapsed() > HEALTHY) {
            tracing::info!(source = %self.source, "the store takes data again");
            self.failed = None;
            self.retry = Backoff::default();
        }
    }

    fn post(&self, reading: Option<(&Reader, Option<&String>)>) {
        let (reader, trouble) = reading.unzip();
        self.parts.board.post(StreamStatus {
            source: self.source.clone(),
            epoch: reader.and_then(Reader::epoch).map_or(0, Epoch::get),
            consumed: reader.map_or(self.stored, Reader::next),
            stored: self.stored,
            store: self.parts.store.into(),
            lost: Some(self.metrics.lost.get()),
            doubled: Some(self.metrics.doubled.get()),
            message: self.store_trouble.clone().or_else(|| trouble.flatten().cloned()),
        });
    }
}
