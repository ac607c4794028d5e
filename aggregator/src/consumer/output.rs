//! What a consumer gives to the store, and what it does when the store does not take it.

use std::time::{Duration, Instant};

use tickberry_store::{Cursor, WriteBatch};

use super::{Action, Consumer, FULL};
use crate::book::Page;

/// Rows at which a batch is written before its time: the journal is being read, and the store sets the pace.
const CHUNK: usize = 2_000;
/// While live: rows beyond which the store counts as away.
const OVERFULL: usize = 50_000;
/// A write that takes longer makes a message.
const SLOW: Duration = Duration::from_secs(5);

/// A batch under way.
pub(super) struct Writing {
    /// What it brings the store to.
    end: Cursor,
    /// The cursor that goes with it.
    cursor: Cursor,
    rows: usize,
    since: Instant,
}

impl Consumer {
    /// It is time for a transaction. Each shell decides when: seldom spares the card.
    pub fn commit_due(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.write(true, now, &mut actions);
        self.guard(now, &mut actions);
        actions
    }

    /// The store took the batch; gives its rows.
    pub fn written(&mut self, now: Instant, actions: &mut Vec<Action>) -> usize {
        let Some(Writing { end, cursor, rows, .. }) = self.writing.take() else { return 0 };
        self.settling.acknowledged(end, now);
        self.cursor = Some(cursor);
        if !self.attached {
            actions.push(Action::AskStore);
        }
        rows
    }

    /// The store did not take the batch, or did not say so. It is tried again after this pause.
    pub fn write_failed(&mut self, pause: Duration, now: Instant) {
        self.writing = None;
        self.detach();
        self.probe_at = Some(now + pause);
    }

    /// Whether a batch is under way.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether the store took everything so far.
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// What is wrong with a store that says nothing.
    pub fn store_is_slow(&self, now: Instant) -> Option<String> {
        let since = now.saturating_duration_since(self.writing.as_ref()?.since);
        (since > SLOW && self.attached)
            .then(|| format!("the store has been busy with one batch for {} s", since.as_secs()))
    }

    /// Hands the store what has changed, unless a batch is under way.
    fn write(&mut self, due: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.writing.is_some() {
            return;
        }
        // While the store is being caught up, open windows would be written again and again for nobody. The cursor
        // that reaches what is known to be committed brings them all: from there on the store is whole.
        let known = self.told.committed.max(self.head.map_or(0, |head| head.committed));
        let all = self.reader.is_live() || self.book.next() >= known;
        let Page { minutes, batch } = self.book.turn_page(all);
        if !minutes.is_empty() {
            actions.push(Action::Publish(minutes));
        }
        let Some(mut batch) = batch else { return };
        let cursor = self.settling.cursor(&batch.cursor, now);
        if batch.rows() == 0 {
            // Nothing of it can vanish that has not been acknowledged already.
            self.settling.acknowledged(batch.cursor.clone(), now);
            if !due || self.cursor.as_ref().is_some_and(|c| c.stored == cursor.stored) {
                return;
            }
        }
        let end = std::mem::replace(&mut batch.cursor, cursor);
        self.begin(batch, end, now, actions);
    }

    fn begin(&mut self, batch: WriteBatch, end: Cursor, now: Instant, actions: &mut Vec<Action>) {
        let cursor = batch.cursor.clone();
        self.writing = Some(Writing { end, cursor, rows: batch.rows(), since: now });
        actions.push(Action::Write(batch));
    }

    fn detach(&mut self) {
        self.attached = false;
        self.book.forget_rows();
    }

    /// Tries a store that is away with the cursor it should hold already.
    pub(super) fn probe(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.probe_at = None;
        match self.cursor.clone() {
            Some(cursor) => self.begin(WriteBatch::new(cursor.clone()), cursor, now, actions),
            None => actions.push(Action::AskStore),
        }
    }

    /// After each event: keeps what waits within its bounds.
    pub(super) fn guard(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // While live it is up to the shell when, as long as that is not too many.
        let enough = if self.reader.is_live() { FULL } else { CHUNK };
        if self.book.rows_waiting() >= enough {
            self.write(false, now, actions);
        }
        // Only behind a batch under way: its answer, whichever it is, leads back to the store.
        if let Some(writing) = &self.writing
            && self.book.rows_waiting() > OVERFULL
        {
            let seconds = now.saturating_duration_since(writing.since).as_secs();
            tracing::warn!(source = %self.source, seconds, "the store does not keep up; it is filled from the journal later");
            self.detach();
        }
        if self.book.is_overfull() {
            let next = self.book.discard();
            self.reader.rewind(next.unwrap_or(0), now);
        }
    }
}
