//! One source from one cursor of the store on: what is read, folded and written, and when. Pure: events and the time
//! go in, [`Action`]s come out.
//!
//! A consumer begins with the cursor the store holds and is over when the store has to be asked again
//! ([`Action::AskStore`]): after any failed write nobody knows what it holds, so the kept hour is read again from
//! there, which costs a fraction of a second. While the store is away the consumer goes on without keeping rows for
//! it: the page stays live, memory stays as it is, and the journal keeps what the store lacks.
//!
//! The service's pipelines and the simulation drive the same consumer.

mod output;
mod settling;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use tickberry_store::{Cursor, WriteBatch};
use tickberry_wire::{Epoch, Source};

use crate::book::Book;
use crate::reader::{JournalHead, Order, Reader};
use crate::records::{Records, Used};
use crate::window::{FoldConfig, Minute, ResumeError};
use output::Writing;
use settling::Settling;

/// Rows at which no more is read from the journal until the store has taken some, and at which a live consumer does not
/// wait until a transaction is due.
const FULL: usize = 10_000;

/// What a fetch brings: what the journal says of itself, batches, then one of the others, which is its last.
#[derive(Debug)]
pub enum Fetched {
    /// Comes first, where the journal says it.
    Head(JournalHead),
    /// The next committed batch.
    Batch(Records),
    /// All that was committed when the answer began has come.
    End,
    /// The range is gone; this is the first offset there is.
    Gone(u64),
    /// The journal ends before the offset asked for: it is another one, or was restored from a backup.
    Beyond(u64),
    /// Anything else: what, in words.
    Failed(String),
}

/// What is known of the source's gateway and of the way to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Its epoch, as its status said last.
    pub epoch: Option<Epoch>,
    /// The next offset not yet durable.
    pub committed: u64,
    /// Whether the connection to the broker stands.
    pub up: bool,
}

/// What to do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Read the journal from here, in the place of any reading under way. Where it cannot be read, say
    /// [`Fetched::Failed`].
    Fetch(u64),
    /// Hand this to the store; the answer goes to [`Consumer::written`] or [`Consumer::write_failed`].
    Write(WriteBatch),
    /// Final minutes that are new, or changed.
    Publish(Vec<Minute>),
    /// The way to the broker is open again, and it may have forgotten what it retained.
    ShowAll,
    /// Begin a new consumer from the cursor the store holds.
    AskStore,
}

/// See the module.
pub struct Consumer {
    source: Source,
    book: Book,
    reader: Reader,
    /// The batch under way.
    writing: Option<Writing>,
    settling: Settling,
    /// The cursor the store holds.
    cursor: Option<Cursor>,
    /// The store took everything so far. While false, no rows are kept.
    attached: bool,
    /// When a store that is away is tried again.
    probe_at: Option<Instant>,
    /// What the journal said of itself at the beginning of the answer under way.
    head: Option<JournalHead>,
    /// Whether the reader takes the way to the broker for open.
    up: bool,
    told: Told,
    discarded: u64,
}

impl Consumer {
    /// A consumer that goes on from the store's cursor, or begins with the journal. `settle`: how long what the store
    /// has acknowledged may still vanish from it. A cursor whose state cannot be used costs the windows under way, and
    /// is told.
    pub fn new(
        config: FoldConfig,
        source: &Source,
        cursor: Option<Cursor>,
        settle: Duration,
        told: Told,
        now: Instant,
    ) -> (Self, Option<ResumeError>) {
        let (book, error) = Book::open(config, source, cursor.as_ref());
        let proof = cursor.as_ref().and_then(|c| {
            let epoch = Epoch::from_raw(c.epoch).filter(|e| e.get() != 0)?;
            Some((c.stored, epoch))
        });
        let consumer = Self {
            source: source.clone(),
            reader: Reader::new(book.fold().next_offset(), proof, now),
            settling: Settling::new(settle, cursor.clone().unwrap_or_else(|| book.cursor())),
            book,
            writing: None,
            cursor,
            attached: true,
            probe_at: None,
            head: None,
            up: true,
            told,
            discarded: 0,
        };
        (consumer, error)
    }

    /// What was read and folded.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What was folded, for who decodes what comes next.
    pub fn used(&mut self) -> &mut Used {
        self.book.used()
    }

    /// What was read and folded, for who shows the live part of it.
    pub(crate) fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// The place in the journal.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The cursor the store holds, as far as is known.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Epochs that ended before their last records were committed, since this was asked before.
    pub fn take_discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded)
    }

    /// The store holds everything below.
    pub fn stored(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |c| c.stored)
    }

    /// Whether a fetch may go on: false while the store has to take some rows first.
    pub fn wants_journal(&self) -> bool {
        self.book.rows_waiting() < FULL
    }

    /// When [`Consumer::tick`] is wanted.
    pub fn wake_at(&self) -> Option<Instant> {
        [self.reader.wake_at(), self.probe_at].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let orders = self.reader.tick(now);
        self.obey(orders, &mut actions);
        if self.probe_at.is_some_and(|at| at <= now) {
            self.probe(now, &mut actions);
        }
        self.guard(now, &mut actions);
        actions
    }

    /// A batch came over the bus.
    pub fn hear(&mut self, batch: Records, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let orders = self.reader.live(batch);
        self.obey(orders, &mut actions);
        self.guard(now, &mut actions);
        actions
    }

    /// The gateway, or the way to it, is another.
    pub fn tell(&mut self, told: Told, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.told = told;
        self.listen(now, &mut actions);
        self.guard(now, &mut actions);
        actions
    }

    /// The fetch brought something.
    pub fn read(&mut self, item: Fetched, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match item {
            Fetched::Head(head) => self.head = Some(head),
            Fetched::Batch(batch) => {
                let orders = self.reader.fetched(batch);
                self.obey(orders, &mut actions);
            }
            Fetched::End => {
                let orders = self.reader.fetch_ended(self.head.take(), now);
                self.obey(orders, &mut actions);
                self.listen(now, &mut actions);
            }
            Fetched::Gone(first) => {
                tracing::warn!(source = %self.source, next = self.reader.next(), first,
                    "the journal no longer holds what is next; it goes on with its first record");
                let orders = self.reader.gone(first);
                self.obey(orders, &mut actions);
            }
            Fetched::Beyond(head) => {
                let orders = self.reader.beyond(head);
                self.obey(orders, &mut actions);
            }
            Fetched::Failed(_) => self.reader.fetch_failed(now),
        }
        self.guard(now, &mut actions);
        actions
    }

    /// Nobody has said yet where the journal is: the fetch that was ordered cannot begin.
    pub fn journal_unknown(&mut self, now: Instant) {
        self.reader.fetch_failed(now);
    }

    fn listen(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Told { epoch, committed, up } = self.told;
        if up != self.up {
            self.up = up;
            if up {
                actions.push(Action::ShowAll);
                let orders = self.reader.bus_up();
                self.obey(orders, actions);
            } else {
                self.reader.bus_down(now);
            }
        }
        if let Some(epoch) = epoch {
            let orders = self.reader.told(epoch, committed);
            self.obey(orders, actions);
        }
    }

    fn obey(&mut self, orders: Vec<Order>, actions: &mut Vec<Action>) {
        for order in orders {
            match order {
                Order::Deliver(batch, committed) => self.book.deliver(batch, committed),
                Order::Commit(committed) => self.book.commit(committed),
                Order::Discard(next) => {
                    self.discarded += 1;
                    tracing::info!(source = %self.source, next, "an epoch ended before its last records were committed");
                    self.book.discard();
                }
                Order::Lose(end, reason) => self.book.lose(end, reason),
                Order::Break(at) => {
                    tracing::error!(source = %self.source, stored = self.stored(),
                        "the journal does not continue what the store holds: it is another one, or was restored from a backup; \
                         its records are taken as new ones, and windows written before are left as they are");
                    self.book.break_history(at);
                }
                Order::Fetch(from) => {
                    self.head = None;
                    actions.push(Action::Fetch(from));
                }
            }
        }
    }
}
