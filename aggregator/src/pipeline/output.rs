//! What a life gives to the store, and what it does when the store does not take it.

use std::time::{Duration, Instant};

use tickberry_store::{Cursor, StoreError};

use super::life::Life;
use super::{End, Pipeline};
use crate::book::Page;
use crate::writer::Written;

/// While live: rows beyond which the store counts as away.
const OVERFULL: usize = 50_000;
/// A write that takes longer makes a message.
const SLOW: Duration = Duration::from_secs(5);

/// A batch under way.
pub(super) struct Writing {
    pub(super) written: Written,
    pub(super) cursor: Cursor,
    pub(super) rows: usize,
    pub(super) since: Instant,
}

impl Life<'_> {
    /// Hands the store what has changed, unless a batch is under way.
    pub(super) async fn write(&mut self, due: bool) {
        if self.writing.is_some() {
            return;
        }
        // While the store is being caught up, open windows would be written again and again for nobody. The cursor
        // that reaches what is known to be committed brings them all: from there on the store is whole.
        let known = self.pipeline.inbox.link().committed.max(self.head.map_or(0, |head| head.committed));
        let all = self.reader.is_live() || self.book.next() >= known;
        let Page { minutes, batch } = self.book.turn_page(all);
        let Pipeline { newest, source, parts, .. } = &mut *self.pipeline;
        newest.publish(source, &parts.publisher, &minutes);
        let Some(batch) = batch else { return };
        if batch.rows() == 0
            && (!due || self.cursor.as_ref().is_some_and(|c| c.stored == batch.cursor.stored))
        {
            return;
        }
        let (cursor, rows) = (batch.cursor.clone(), batch.rows());
        let written = self.pipeline.parts.writer.write(batch).await;
        self.writing = Some(Writing { written, cursor, rows, since: Instant::now() });
    }

    pub(super) fn wrote(&mut self, result: Result<(), StoreError>) -> Option<End> {
        let Writing { cursor, rows, .. } = self.writing.take()?;
        let metrics = &self.pipeline.metrics;
        match result {
            Ok(()) => {
                metrics.writes.inc();
                metrics.rows.inc_by(rows as u64);
                self.pipeline.stored = cursor.stored;
                self.cursor = Some(cursor);
                self.watermark.set(self.book.fold().watermark());
                if !self.attached {
                    return Some(End::AskStore);
                }
                self.pipeline.well();
            }
            Err(error) => {
                self.pipeline.trouble(&error);
                self.detach();
                self.probe_at = Some(Instant::now() + self.pipeline.retry.next());
            }
        }
        None
    }

    pub(super) fn detach(&mut self) {
        self.attached = false;
        self.book.forget_rows();
    }

    /// Tries a store that is away with the cursor it should hold already.
    pub(super) async fn probe(&mut self) -> Option<End> {
        self.probe_at = None;
        let Some(cursor) = self.cursor.clone() else { return Some(End::AskStore) };
        let batch = tickberry_store::WriteBatch::new(cursor.clone());
        let written = self.pipeline.parts.writer.write(batch).await;
        self.writing = Some(Writing { written, cursor, rows: 0, since: Instant::now() });
        None
    }

    /// Keeps what waits within its bounds.
    pub(super) fn guard(&mut self) {
        if self.book.rows_waiting() > OVERFULL {
            let seconds = self.writing.as_ref().map_or(0, |w| w.since.elapsed().as_secs());
            self.pipeline.store_trouble = Some(format!("the store has not taken a batch for {seconds} s"));
            tracing::warn!(source = %self.pipeline.source, seconds, "the store does not keep up; it is filled from the journal later");
            self.detach();
        } else if self.attached
            && let Some(seconds) = self.writing.as_ref().map(|w| w.since.elapsed()).filter(|e| *e > SLOW)
        {
            let text = format!("the store has been busy with one batch for {} s", seconds.as_secs());
            self.pipeline.store_trouble = Some(text);
        }
        if self.book.is_overfull() {
            let next = self.book.discard();
            self.reader.rewind(next.unwrap_or(0), Instant::now());
        }
    }

    /// The last transaction.
    pub(super) async fn finish(mut self) -> End {
        if self.writing.is_some() {
            let result = finished(&mut self.writing).await;
            self.wrote(result);
        }
        if self.attached {
            self.write(true).await;
            if self.writing.is_some() {
                let result = finished(&mut self.writing).await;
                self.wrote(result);
            }
        }
        self.post();
        End::Shutdown
    }
}

/// The answer to the batch under way; for ever pending while there is none.
pub(super) async fn finished(writing: &mut Option<Writing>) -> Result<(), StoreError> {
    match writing {
        Some(writing) => (&mut writing.written).await.expect("the store's thread answers each job"),
        None => std::future::pending().await,
    }
}
