//! How a life's batches get to the store, and what is said about a store that does not take them.

use std::time::Instant;

use tickberry_store::{Receipt, StoreError};

use super::End;
use super::life::Life;
use crate::consumer::Action;
use crate::writer::Written;

impl Life<'_> {
    pub(super) fn wrote(&mut self, result: Result<Receipt, StoreError>) -> Vec<Action> {
        self.written = None;
        match result {
            Ok(receipt) => {
                let mut actions = Vec::new();
                let rows = self.consumer.written(Instant::now(), &mut actions);
                let metrics = &self.pipeline.metrics;
                metrics.writes.inc();
                metrics.write_seconds.inc_by(self.handed_over.elapsed().as_secs_f64());
                metrics.rows.inc_by(rows as u64);
                metrics.doubled.inc_by(receipt.doubled);
                metrics.expired.inc_by(receipt.left_out.expired);
                metrics.refused.inc_by(receipt.left_out.refused);
                self.pipeline.stored = self.consumer.stored();
                self.watermark.set(self.consumer.book().fold().watermark());
                if self.consumer.is_attached() {
                    self.pipeline.well();
                }
                actions
            }
            Err(error) => {
                self.pipeline.trouble(&error);
                self.consumer.write_failed(self.pipeline.retry.next(), Instant::now());
                Vec::new()
            }
        }
    }

    /// A store that says nothing is told about, too.
    pub(super) fn watch_store(&mut self) {
        if let Some(text) = self.consumer.store_is_slow(Instant::now()) {
            self.pipeline.store_trouble = Some(text);
        }
    }

    /// The last transaction.
    pub(super) async fn finish(mut self) -> End {
        for last in [false, true] {
            if last && self.consumer.is_attached() {
                let actions = self.consumer.commit_due(Instant::now());
                self.act(actions).await;
            }
            if self.written.is_some() {
                let result = finished(&mut self.written).await;
                // The consumer is over anyhow.
                drop(self.wrote(result));
            }
        }
        self.post();
        End::Shutdown
    }
}

/// The answer to the batch under way; for ever pending while there is none.
pub(super) async fn finished(written: &mut Option<Written>) -> Result<Receipt, StoreError> {
    match written {
        Some(written) => written.await.expect("the store's thread answers each job"),
        None => std::future::pending().await,
    }
}
