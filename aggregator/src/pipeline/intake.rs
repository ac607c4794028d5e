//! What a life hears and reads, and what the consumer makes of it.

use std::time::Instant;

use super::End;
use super::life::Life;
use crate::consumer::{Action, Fetched};

impl Life<'_> {
    pub(super) fn hear(&mut self, payload: &[u8]) -> Vec<Action> {
        self.decoder.recycle(self.consumer.used());
        match self.decoder.decode(payload) {
            Ok(batch) => {
                self.unreadable = None;
                self.consumer.hear(batch, Instant::now())
            }
            Err(error) => {
                self.pipeline.metrics.undecodable.inc();
                let text = format!("a batch on the bus cannot be read: {error}");
                if self.unreadable.as_ref() != Some(&text) {
                    tracing::warn!(source = %self.pipeline.source, "{text}");
                    self.unreadable = Some(text);
                }
                Vec::new()
            }
        }
    }

    pub(super) fn read(&mut self, item: Fetched) -> Vec<Action> {
        match &item {
            Fetched::Batch(_) | Fetched::Head(_) => {}
            Fetched::Failed(why) => {
                self.fetch = None;
                self.pipeline.metrics.fetch_failures.inc();
                let text = format!("the journal cannot be read: {why}");
                if self.trouble.as_ref() != Some(&text) {
                    tracing::warn!(source = %self.pipeline.source, "{text}; it is tried again");
                    self.trouble = Some(text);
                }
            }
            Fetched::End => (self.fetch, self.trouble) = (None, None),
            Fetched::Gone(_) | Fetched::Beyond(_) => self.fetch = None,
        }
        self.consumer.read(item, Instant::now())
    }

    /// Does what the consumer decided.
    pub(super) async fn act(&mut self, actions: Vec<Action>) -> Option<End> {
        for action in actions {
            match action {
                Action::Fetch(from) => self.begin_fetch(from),
                Action::Write(batch) => {
                    self.handed_over = Instant::now();
                    self.written = Some(self.pipeline.parts.writer.write(batch).await);
                }
                Action::Publish(minutes) => {
                    let newest = &mut self.pipeline.newest;
                    newest.publish(&self.pipeline.source, &self.pipeline.parts.publisher, &minutes);
                }
                Action::ShowAll => self.show_all = true,
                Action::AskStore => return Some(End::AskStore),
            }
        }
        let discarded = &self.pipeline.metrics.discarded_epochs;
        discarded.inc_by(self.consumer.take_discarded());
        None
    }

    fn begin_fetch(&mut self, from: u64) {
        match self.pipeline.inbox.link().journal {
            Some(url) => {
                self.pipeline.metrics.fetches.inc();
                self.fetch = Some(self.pipeline.parts.fetcher.start(&url, from));
            }
            // Not announced yet.
            None => {
                self.fetch = None;
                self.consumer.journal_unknown(Instant::now());
            }
        }
    }
}
