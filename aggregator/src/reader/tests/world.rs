//! A gateway with its journal, a bus, and the one who takes what the reader hands on.

use crate::reader::{JournalHead, Order, Reader};
use crate::records::Records;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tickberry_wire::{Batch, Body, Control, Decimal, Epoch, EpochStart, GapReason, Symbol, Trade};

pub(super) struct World {
    pub(super) epoch: Epoch,
    pub(super) journal: Vec<Batch>,
    pub(super) committed: u64,
    pub(super) bus: Vec<Batch>,
    pub(super) now: Instant,
    pub(super) reader: Reader,
    fetch: Option<Fetch>,
    pub(super) taken: Taken,
    /// Ranges that nobody can have any more: gone from the ring, or damaged.
    pub(super) holes: Vec<(u64, u64)>,
    /// Records that were called committed and are not there any more are no bug of the reader.
    pub(super) lied: bool,
    epochs: u32,
    pub(super) fetches: u32,
}

struct Fetch {
    from: u64,
    /// Known once the request was answered.
    head: Option<JournalHead>,
}

/// What was handed on: the part that is durable, and the overlay.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) durable: Vec<Records>,
    pub(super) overlay: VecDeque<Records>,
    pub(super) end: u64,
    pub(super) lost: Vec<(u64, u64)>,
    pub(super) breaks: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let mut world = Self {
            epoch: Epoch::new(0, 0),
            journal: Vec::new(),
            committed: 0,
            bus: Vec::new(),
            now,
            reader: Reader::new(None, None, now),
            fetch: None,
            taken: Taken::default(),
            holes: Vec::new(),
            lied: false,
            epochs: 100,
            fetches: 0,
        };
        world.begin_epoch(None);
        world
    }

    pub(super) fn head(&self) -> u64 {
        self.journal.last().map_or(0, Batch::end_offset)
    }

    pub(super) fn first(&self) -> u64 {
        self.journal.first().map_or(0, |batch| batch.first_offset)
    }

    fn append(&mut self, first_offset: u64, body: Body) {
        let batch = Batch {
            epoch: self.epoch,
            first_offset,
            committed: self.committed,
            elapsed_ms: 0,
            anchor_ms: None,
            body,
        };
        self.journal.push(batch.clone());
        self.bus.push(batch);
    }

    pub(super) fn trades(&mut self, count: u64) {
        let trade = Trade {
            symbol: Symbol::new("A").unwrap(),
            time_ms: 0,
            price: Decimal::ZERO,
            volume: Decimal::ZERO,
            conditions: None,
        };
        self.append(self.head(), Body::Trades(vec![trade; count as usize]));
    }

    pub(super) fn flush(&mut self) {
        self.committed = self.head();
        let (epoch, head) = (self.epoch, self.committed);
        let body = Body::Commit;
        let commit =
            Batch { epoch, first_offset: head, committed: head, elapsed_ms: 0, anchor_ms: None, body };
        self.bus.push(commit);
    }

    fn begin_epoch(&mut self, previous: Option<(Epoch, u64)>) {
        // Numbers of epochs need not rise.
        self.epochs = self.epochs.wrapping_mul(7919) % 100_003;
        self.epoch = Epoch::new(self.epochs.into(), 1);
        let start = EpochStart { previous, simulated: false };
        self.append(previous.map_or(0, |(_, end)| end), Body::Control(Control::EpochStart(start)));
        // It is durable before the epoch gives an offset.
        self.committed = self.head();
    }

    /// The gateway dies and starts again; of the batches that were not durable so many survive.
    pub(super) fn crash(&mut self, survivors: usize) {
        let durable = self.journal.iter().filter(|batch| batch.end_offset() <= self.committed).count();
        self.journal.truncate(durable + survivors);
        self.committed = self.head();
        let previous = (self.journal.last().unwrap().epoch, self.head());
        if self.fetch.take_if(|fetch| fetch.head.is_some()).is_some() {
            self.reader.fetch_failed(self.now);
        }
        self.begin_epoch(Some(previous));
    }

    /// The journal is put back to an older state, or the disk lied about flushes.
    pub(super) fn restore(&mut self, batches: usize) {
        self.lied = true;
        self.journal.truncate(batches.max(1));
        self.committed = self.head();
        self.crash(0);
    }

    /// The ring gives up its oldest batches.
    pub(super) fn overwrite(&mut self, batches: usize) {
        let durable = self.journal.iter().filter(|batch| batch.end_offset() <= self.committed).count();
        let gone = batches.min(durable.saturating_sub(1));
        if gone > 0 {
            self.holes.push((self.first(), self.journal[gone].first_offset));
            self.journal.drain(..gone);
        }
    }

    /// A durable batch rots. (Epoch starts are spared: their damage is the next test's.)
    pub(super) fn damage(&mut self, index: usize) {
        let committed = self.committed;
        let Some(batch) = self.journal.get_mut(index) else { return };
        if batch.end_offset() <= committed {
            self.holes.push((batch.first_offset, batch.end_offset()));
            batch.body = Body::Lost { count: batch.len(), reason: GapReason::Quarantine };
        }
    }

    pub(super) fn deliver(&mut self, index: usize, keep: bool) {
        if self.bus.is_empty() {
            return;
        }
        let index = index % self.bus.len();
        let batch = if keep { self.bus[index].clone() } else { self.bus.remove(index) };
        let orders = self.reader.live(records(&batch));
        self.obey(orders);
    }

    pub(super) fn tell(&mut self) {
        let orders = self.reader.told(self.epoch, self.committed);
        self.obey(orders);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        let orders = self.reader.tick(self.now);
        self.obey(orders);
    }

    pub(super) fn fail_fetch(&mut self) {
        if self.fetch.take().is_some() {
            self.reader.fetch_failed(self.now);
        }
    }

    /// One item of the answer under way, if there is one.
    pub(super) fn answer(&mut self) -> bool {
        let state = JournalHead { epoch: self.epoch, committed: self.committed };
        let (first, head) = (self.first(), self.head());
        let Some(fetch) = &mut self.fetch else { return false };
        let orders = match fetch.head {
            None if fetch.from < first => {
                self.fetch = None;
                self.reader.gone(first)
            }
            None if fetch.from > head => {
                self.fetch = None;
                self.reader.beyond(head)
            }
            told => {
                let told = *fetch.head.insert(told.unwrap_or(state));
                let readable = |b: &&Batch| b.end_offset() > fetch.from && b.end_offset() <= told.committed;
                match self.journal.iter().find(readable).cloned() {
                    Some(batch) => {
                        fetch.from = batch.end_offset();
                        self.reader.fetched(records(&batch))
                    }
                    None => {
                        self.fetch = None;
                        self.reader.fetch_ended(Some(told), self.now)
                    }
                }
            }
        };
        self.obey(orders);
        true
    }

    /// Answers until there is nothing to answer.
    pub(super) fn drain(&mut self) {
        let enough = 100 + 10 * self.journal.len();
        for _ in 0..enough {
            if !self.answer() {
                return;
            }
        }
        panic!("the journal is read again and again: {:?}", self.reader);
    }

    pub(super) fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Fetch(from) => {
                    self.fetches += 1;
                    self.fetch = Some(Fetch { from, head: None });
                }
                order => self.taken.take(order),
            }
        }
        if !self.taken.is_fresh() {
            assert_eq!(self.taken.next(), self.reader.next());
            assert_eq!(
                self.taken.end,
                self.reader.committed(),
                "the overlay begins where the durable part ends"
            );
        }
    }

    /// A new reader from the cursor, as after a restart of the aggregator.
    pub(super) fn restart(&mut self) {
        let proof = self.taken.durable.last().map(|batch| (self.taken.end, batch.head().epoch));
        let lost_since = self.taken.lost.last().is_some_and(|(_, end)| *end == self.taken.end);
        self.taken.overlay.clear();
        let proof = proof.filter(|_| !lost_since);
        let next = (self.taken.end > 0).then_some(self.taken.end);
        self.reader = Reader::new(next, proof, self.now);
        self.fetch = None;
    }

    /// Everything works again for long enough.
    pub(super) fn heal(&mut self) {
        let orders = self.reader.bus_up();
        self.obey(orders);
        for _ in 0..30 {
            self.flush();
            while !self.bus.is_empty() {
                self.deliver(0, false);
            }
            self.tell();
            self.drain();
            self.pass(10_000);
            self.drain();
        }
    }
}

/// What decoding the batch gives.
pub(super) fn records(batch: &Batch) -> Records {
    batch.try_into().unwrap()
}

impl Taken {
    pub(super) fn next(&self) -> u64 {
        self.overlay.back().map_or(self.end, |batch| batch.head().end_offset())
    }

    fn is_fresh(&self) -> bool {
        self.durable.is_empty() && self.overlay.is_empty() && self.end == 0
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Deliver(batch, committed) => {
                let (first, end) = (batch.head().first_offset, batch.head().end_offset());
                if self.is_fresh() {
                    self.end = first;
                }
                assert!(first <= self.next(), "a hole before {first}");
                assert!(end > self.next(), "{first} is a double");
                if first < self.next() {
                    assert!(matches!(batch.body(), Some(Body::Lost { .. })), "only lost ranges overlap");
                }
                self.overlay.push_back(batch);
                self.commit(committed);
            }
            Order::Commit(committed) => self.commit(committed),
            Order::Discard(next) => {
                assert!(!self.overlay.is_empty());
                self.overlay.clear();
                assert_eq!(self.end, next);
            }
            Order::Lose(end, _) => {
                self.overlay.clear();
                assert!(end > self.end);
                self.lost.push((self.end, end));
                self.end = end;
            }
            Order::Break(at) => {
                self.overlay.clear();
                self.durable.clear();
                self.lost.clear();
                self.end = at;
                self.breaks += 1;
            }
            Order::Fetch(_) => unreachable!(),
        }
    }

    fn commit(&mut self, committed: u64) {
        while let Some(batch) = self.overlay.pop_front_if(|batch| batch.head().end_offset() <= committed) {
            self.end = batch.head().end_offset();
            self.durable.push(batch);
        }
    }
}
