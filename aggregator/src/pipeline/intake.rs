//! What a life hears and reads, and what the reader makes of it.

use std::time::Instant;

use tickberry_wire::decode;

use super::life::Life;
use crate::fetch::Fetched;
use crate::inbox::Link;
use crate::reader::Order;

impl Life<'_> {
    pub(super) fn hear(&mut self, payload: &[u8]) {
        match decode(payload) {
            Ok(batch) => {
                let orders = self.reader.live(batch);
                self.obey(orders);
            }
            Err(error) => {
                self.pipeline.metrics.undecodable.inc();
                let text = format!("a batch on the bus cannot be read: {error}");
                if self.trouble.as_ref() != Some(&text) {
                    tracing::warn!(source = %self.pipeline.source, "{text}");
                    self.trouble = Some(text);
                }
            }
        }
    }

    pub(super) fn told(&mut self) {
        let Link { epoch, committed, up, .. } = self.pipeline.inbox.link();
        if up != self.up {
            self.up = up;
            if up {
                // A broker that was away may have forgotten what it retained.
                self.show_all = true;
            }
            let orders = if up {
                self.reader.bus_up()
            } else {
                self.reader.bus_down(Instant::now());
                Vec::new()
            };
            self.obey(orders);
        }
        if let Some(epoch) = epoch {
            let orders = self.reader.told(epoch, committed);
            self.obey(orders);
        }
    }

    pub(super) fn read(&mut self, item: Fetched) {
        let now = Instant::now();
        if !matches!(item, Fetched::Batch(_) | Fetched::Head(_)) {
            self.fetch = None;
        }
        let orders = match item {
            Fetched::Head(head) => {
                self.head = Some(head);
                return;
            }
            Fetched::Batch(batch) => self.reader.fetched(batch),
            Fetched::End => {
                self.trouble = None;
                let orders = self.reader.fetch_ended(self.head.take(), now);
                self.obey(orders);
                return self.told();
            }
            Fetched::Gone(first) => {
                tracing::warn!(source = %self.pipeline.source, next = self.reader.next(), first,
                    "the journal no longer holds what is next; it goes on with its first record");
                self.reader.gone(first)
            }
            Fetched::Beyond(head) => self.reader.beyond(head),
            Fetched::Failed(why) => {
                self.pipeline.metrics.fetch_failures.inc();
                let text = format!("the journal cannot be read: {why}");
                if self.trouble.as_ref() != Some(&text) {
                    tracing::warn!(source = %self.pipeline.source, "{text}; it is tried again");
                    self.trouble = Some(text);
                }
                self.reader.fetch_failed(now);
                Vec::new()
            }
        };
        self.obey(orders);
    }

    pub(super) fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Deliver(batch, committed) => self.book.deliver(batch, committed),
                Order::Commit(committed) => self.book.commit(committed),
                Order::Discard(next) => {
                    self.pipeline.metrics.discarded_epochs.inc();
                    tracing::info!(source = %self.pipeline.source, next, "an epoch ended before its last records were committed");
                    self.book.discard();
                }
                Order::Lose(end, reason) => self.book.lose(end, reason),
                Order::Break(at) => {
                    tracing::error!(source = %self.pipeline.source, stored = self.pipeline.stored,
                        "the journal does not continue what the store holds: it is another one, or was restored from a backup; \
                         its records are taken as new ones, and windows written before are left as they are");
                    self.book.break_history(at);
                }
                Order::Fetch(from) => self.begin_fetch(from),
            }
        }
    }

    pub(super) fn begin_fetch(&mut self, from: u64) {
        self.head = None;
        match self.pipeline.inbox.link().journal {
            Some(url) => {
                self.pipeline.metrics.fetches.inc();
                self.fetch = Some(self.pipeline.parts.fetcher.start(&url, from));
            }
            // Not announced yet.
            None => {
                self.fetch = None;
                self.reader.fetch_failed(Instant::now());
            }
        }
    }
}
