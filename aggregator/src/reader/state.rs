//! The reader's state.

use super::held::Held;
use crate::records::Records;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tickberry_wire::{Body, Control, Epoch, GapReason};

/// First pause before the journal is asked again; doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// While the bus is away the journal is asked this often.
const POLL: Duration = Duration::from_secs(1);
/// So many messages of an epoch that is over make it worth asking again.
const DOUBT: u32 = 100;
/// Epochs known to have ended; their late messages mean nothing.
const ENDED_EPOCHS: usize = 16;

/// What to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// The next record(s), with what is known to be committed.
    Deliver(Records, u64),
    /// Everything delivered below is durable.
    Commit(u64),
    /// What was delivered from this offset on never became durable: forget it. It is the next offset again.
    Discard(u64),
    /// The records up to here cannot be had. What was delivered and is not committed is among them.
    Lose(u64, GapReason),
    /// The journal does not continue what was delivered; its next record is this one.
    Break(u64),
    /// Read the journal from here, in the place of any reading under way.
    Fetch(u64),
}

/// What the journal said of itself at the beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// Its epoch.
    pub epoch: Epoch,
    /// The next offset that is not durable yet.
    pub committed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is missing; batches come from the bus.
    Live,
    /// The journal is being read.
    Fetching,
    /// The journal is to be read at this time, or, unless it failed, as soon as there is more to read.
    Waiting { at: Instant, failed: bool },
}

/// One source's place in its journal.
#[derive(Debug)]
pub struct Reader {
    next: u64,
    /// From which offset on records were of which epoch (`None`: not known), as far back as the overlay goes.
    marks: VecDeque<(u64, Option<Epoch>)>,
    /// Everything below is durable, as far as is known. May be beyond `next`.
    committed: u64,
    /// Nothing was ever delivered: begin where the journal begins.
    fresh: bool,
    /// What the cursor says: the record before this offset is of this epoch.
    proof: Option<(u64, Epoch)>,
    phase: Phase,
    held: Held,
    /// An epoch that was heard of and that the journal has to decide about, with the reading under way or the next.
    suspect: Option<Epoch>,
    hint: Option<Epoch>,
    /// The epoch of what was held when the reading under way began: the journal has to decide about it, too.
    held_then: Option<Epoch>,
    /// What the journal called its epoch last.
    journal: Option<Epoch>,
    ended: VecDeque<Epoch>,
    /// Messages of ended epochs.
    stale: u32,
    pause: Duration,
    /// Whether the reading under way brought anything.
    progress: bool,
    bus_up: bool,
}

impl Reader {
    /// A reader that begins at an offset, or, at the first start of all, where the journal begins. `proof` is the end
    /// and the epoch of the cursor: another journal is told by them.
    pub fn new(next: Option<u64>, proof: Option<(u64, Epoch)>, now: Instant) -> Self {
        Self {
            next: next.unwrap_or(0),
            // A cursor that needs nothing again says which epoch it goes on in.
            marks: proof
                .filter(|(end, _)| Some(*end) == next)
                .map(|(_, epoch)| (0, Some(epoch)))
                .into_iter()
                .collect(),
            committed: next.unwrap_or(0),
            fresh: next.is_none(),
            proof,
            phase: Phase::Waiting { at: now, failed: false },
            held: Held::default(),
            suspect: None,
            hint: None,
            held_then: None,
            journal: None,
            ended: VecDeque::new(),
            stale: 0,
            pause: SHORTEST,
            progress: false,
            bus_up: true,
        }
    }

    /// The next offset.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The epoch of the record before it, where known.
    pub fn epoch(&self) -> Option<Epoch> {
        self.marks.back().and_then(|(_, epoch)| *epoch)
    }

    /// The end of what was delivered and is durable.
    pub fn committed(&self) -> u64 {
        self.committed.min(self.next)
    }

    /// Whether nothing is missing, so that what comes over the bus is handed on at once.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// When [`Reader::tick`] is wanted.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Order> {
        match self.phase {
            Phase::Waiting { at, .. } if at <= now => vec![self.fetch()],
            _ => Vec::new(),
        }
    }

    /// A batch came over the bus.
    pub fn live(&mut self, batch: Records) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.ended.contains(&batch.head().epoch) {
            self.stale = self.stale.wrapping_add(1);
            if !self.stale.is_multiple_of(DOUBT) {
                return orders;
            }
        }
        let ours = self.epoch() == Some(batch.head().epoch);
        if ours {
            self.learn(batch.head().committed, &mut orders);
        }
        match self.phase {
            Phase::Live if ours && batch.head().first_offset <= self.next => {
                self.take(batch, false, &mut orders)
            }
            Phase::Live if self.continues(&batch) => self.take(batch, false, &mut orders),
            Phase::Live => {
                self.hold(batch);
                orders.push(self.fetch());
            }
            Phase::Fetching => self.hold(batch),
            Phase::Waiting { failed, .. } => {
                self.hold(batch);
                if !failed && self.committed > self.next {
                    orders.push(self.fetch());
                }
            }
        }
        orders
    }

    /// The gateway's status says how far it is.
    pub fn told(&mut self, epoch: Epoch, committed: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        let ours = self.epoch() == Some(epoch);
        if ours {
            self.learn(committed, &mut orders);
        }
        if self.ended.contains(&epoch) || self.phase == Phase::Fetching {
            return orders;
        }
        let failed = matches!(self.phase, Phase::Waiting { failed: true, .. });
        let unheard = !ours && self.journal != Some(epoch) && self.hint != Some(epoch);
        if unheard || (!failed && committed > self.next) {
            if !ours {
                self.hint = Some(epoch);
            }
            orders.push(self.fetch());
        }
        orders
    }

    /// The way to the broker is up again: what was missed meanwhile is in the journal.
    pub fn bus_up(&mut self) -> Vec<Order> {
        self.bus_up = true;
        match self.phase {
            Phase::Live | Phase::Waiting { failed: false, .. } => vec![self.fetch()],
            _ => Vec::new(),
        }
    }

    /// The way to the broker is down: the journal is asked now and then.
    pub fn bus_down(&mut self, now: Instant) {
        self.bus_up = false;
        if self.phase == Phase::Live {
            self.phase = Phase::Waiting { at: now + POLL, failed: false };
        }
    }

    /// The journal gave a batch.
    pub fn fetched(&mut self, batch: Records) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.phase != Phase::Fetching || batch.head().end_offset() <= self.next {
            return orders;
        }
        if !self.belongs(&batch) {
            self.doubt(&mut orders);
            return orders;
        }
        if batch.head().first_offset > self.next && !self.fresh {
            self.lose(batch.head().first_offset, &mut orders);
        }
        self.progress = true;
        self.take(batch, true, &mut orders);
        orders
    }

    /// The journal gave all that was committed.
    pub fn fetch_ended(&mut self, journal: Option<JournalHead>, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.phase != Phase::Fetching {
            return orders;
        }
        if let Some(journal) = journal {
            self.journal = Some(journal.epoch);
            let held = self.proof.is_some_and(|(end, _)| journal.committed < end);
            if held || self.epoch().is_none() && journal.committed < self.next {
                // What the store holds, or what was told as lost, was durable once, and is not there. The offsets up to
                // there will be given anew, and what has them then would not be stored. With a pause: the journal may
                // begin beyond what it has made durable, until its disk gets on.
                self.retract(&mut orders);
                self.wait(now, true);
                return orders;
            }
            let other = self.epoch().is_some_and(|epoch| epoch != journal.epoch);
            if other && (self.next > self.committed || journal.committed <= self.next) {
                // All is read, and still it is not of the journal's epoch: its first record must have been elsewhere.
                self.doubt(&mut orders);
                return orders;
            }
            self.ended.retain(|ended| *ended != journal.epoch);
            for heard in [self.suspect.take(), self.held_then.take()].into_iter().flatten() {
                if heard != journal.epoch && Some(heard) != self.epoch() {
                    self.end(heard);
                }
            }
        }
        if let Some(journal) = journal
            && self.epoch().is_none()
            && journal.committed <= self.next
        {
            // What was read last is lost, but what follows is of the journal's own epoch.
            self.marks.push_back((self.next, Some(journal.epoch)));
        }
        if self.held.epoch().is_some_and(|epoch| self.ended.contains(&epoch)) {
            self.held.clear();
        }
        self.join(&mut orders);
        if self.held.is_empty() && self.bus_up {
            self.phase = Phase::Live;
            self.pause = SHORTEST;
        } else if self.held.is_empty() {
            self.phase = Phase::Waiting { at: now + POLL, failed: false };
        } else if self.progress && self.committed > self.next {
            orders.push(self.fetch());
        } else {
            // What is between is not committed yet; it will be, within a flush interval.
            if self.progress {
                self.pause = SHORTEST;
            }
            let missing = self.committed > self.next;
            self.wait(now, missing);
        }
        orders
    }

    /// The journal begins only at `first`.
    pub fn gone(&mut self, first: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.phase != Phase::Fetching {
            return orders;
        }
        if first > self.next {
            if self.fresh {
                (self.next, self.proof) = (first, None);
                self.marks.clear();
            } else {
                self.lose(first, &mut orders);
            }
            self.committed = self.committed.max(first);
        }
        orders.push(self.fetch());
        orders
    }

    /// The journal ends before what is next.
    pub fn beyond(&mut self, head: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.phase != Phase::Fetching {
            return orders;
        }
        if self.committed() > head {
            self.discard(&mut orders);
        }
        self.doubt(&mut orders);
        orders
    }

    /// The journal could not be read.
    pub fn fetch_failed(&mut self, now: Instant) {
        if self.phase == Phase::Fetching {
            self.hint = self.hint.or(self.suspect.take());
            self.wait(now, true);
        }
    }

    /// What was delivered from `next` on could not be kept, and is to be delivered again.
    pub fn rewind(&mut self, next: u64, now: Instant) {
        self.next = self.next.min(next);
        self.committed = self.committed.min(self.next);
        while self.marks.back().is_some_and(|(from, _)| *from >= self.next) {
            self.marks.pop_back();
        }
        self.held.clear();
        self.wait(now, false);
    }

    /// So much is durable of the epoch at hand.
    fn learn(&mut self, committed: u64, orders: &mut Vec<Order>) {
        let before = self.committed();
        self.committed = self.committed.max(committed);
        if self.committed() > before {
            orders.push(Order::Commit(self.committed()));
        }
    }

    /// Hands on what a batch adds. `durable`: it comes from the journal.
    fn take(&mut self, batch: Records, durable: bool, orders: &mut Vec<Order>) {
        if batch.head().end_offset() <= self.next {
            return;
        }
        // Which epochs lost records were of, nobody knows.
        let epoch = Some(batch.head().epoch).filter(|_| !matches!(batch.body(), Some(Body::Lost { .. })));
        if epoch != self.epoch() {
            if let (Some(ended), Some(_)) = (self.epoch(), epoch) {
                self.end(ended);
            }
            self.ended.retain(|ended| Some(*ended) != epoch);
            self.marks.push_back((self.next, epoch));
            // What the epoch before called durable beyond its end says nothing of this one.
            self.committed = self.committed.min(self.next);
        }
        let known = if durable { batch.head().end_offset() } else { batch.head().committed };
        self.committed = self.committed.max(known);
        self.fresh = false;
        self.next = batch.head().end_offset();
        let committed = self.committed();
        while self.marks.get(1).is_some_and(|(from, _)| *from < committed) {
            self.marks.pop_front();
        }
        orders.push(Order::Deliver(batch, committed));
    }

    /// Hands on what is held and follows.
    fn join(&mut self, orders: &mut Vec<Order>) {
        while let Some(batch) = self.held.take(self.next) {
            if batch.head().end_offset() <= self.next {
                continue;
            }
            if self.epoch() == Some(batch.head().epoch) || self.continues(&batch) {
                self.take(batch, false, orders);
            } else {
                // Of an epoch the journal does not know yet. It will, when it has its first record.
                self.hint = Some(batch.head().epoch);
                self.held.push(batch);
                return;
            }
        }
    }

    fn hold(&mut self, batch: Records) {
        let ours = self.epoch() == Some(batch.head().epoch);
        if !ours {
            self.hint = Some(batch.head().epoch);
        }
        // A record of the epoch at hand does not push out those of its possible successor.
        let other = self.held.epoch().is_some_and(|held| held != batch.head().epoch);
        if !(other && ours) {
            self.held.push(batch);
        }
    }

    /// Whether the batch begins the epoch that follows on what was delivered, with nothing lost between.
    fn continues(&self, batch: &Records) -> bool {
        let Some(Body::Control(Control::EpochStart(start))) = batch.body() else { return false };
        batch.head().first_offset == self.next
            && self.epoch().is_some()
            && start.previous == self.epoch().map(|epoch| (epoch, self.next))
    }

    /// Whether a batch of the journal follows on what was delivered. In the middle of a reading it does: then it is the
    /// journal that was delivered, and reading it again would not make it another.
    fn belongs(&self, batch: &Records) -> bool {
        if matches!(batch.body(), Some(Body::Lost { .. })) {
            // It proves nothing of the overlay before it.
            return self.next <= self.committed;
        }
        if batch.head().first_offset < self.next {
            // Batches are never cut otherwise.
            return false;
        }
        if let Some((end, epoch)) = self.proof
            && batch.head().first_offset < end
            && end <= batch.head().end_offset()
        {
            return batch.head().epoch == epoch;
        }
        match self.epoch() {
            Some(epoch) if batch.head().first_offset == self.next && !self.progress => {
                batch.head().epoch == epoch || begins_behind(batch, epoch)
            }
            _ => true,
        }
    }

    /// What was delivered is not what the journal holds. Where that can be for the overlay, it goes; else it is another
    /// journal, or an older copy of ours with a new life, and all of it is read.
    fn doubt(&mut self, orders: &mut Vec<Order>) {
        self.retract(orders);
        orders.push(self.fetch());
    }

    fn retract(&mut self, orders: &mut Vec<Order>) {
        if !self.discard(orders) {
            orders.push(Order::Break(0));
            (self.next, self.committed, self.proof, self.fresh) = (0, 0, None, true);
            self.marks.clear();
            self.held.clear();
        }
    }

    /// Takes the overlay back; false where there is none.
    fn discard(&mut self, orders: &mut Vec<Order>) -> bool {
        if self.committed >= self.next {
            return false;
        }
        self.next = self.committed;
        while self.marks.back().is_some_and(|(from, _)| *from >= self.next) {
            self.marks.pop_back();
        }
        orders.push(Order::Discard(self.next));
        true
    }

    fn lose(&mut self, first: u64, orders: &mut Vec<Order>) {
        orders.push(Order::Lose(first, GapReason::LostRange));
        self.next = first;
        // What is behind it still has to be the history that the store holds.
        self.proof = self.proof.filter(|(end, _)| *end > first);
        self.marks.clear();
    }

    fn end(&mut self, epoch: Epoch) {
        if !self.ended.contains(&epoch) {
            self.ended.push_back(epoch);
        }
        if self.ended.len() > ENDED_EPOCHS {
            self.ended.pop_front();
        }
    }

    fn fetch(&mut self) -> Order {
        self.phase = Phase::Fetching;
        self.progress = false;
        self.suspect = self.hint.take().or(self.suspect);
        self.held_then = self.held.epoch();
        Order::Fetch(self.next)
    }

    fn wait(&mut self, now: Instant, failed: bool) {
        self.phase = Phase::Waiting { at: now + self.pause, failed };
        self.pause = (self.pause * 2).min(LONGEST);
    }
}

/// Whether the batch is the first record of the epoch behind `epoch`.
fn begins_behind(batch: &Records, epoch: Epoch) -> bool {
    match batch.body() {
        Some(Body::Control(Control::EpochStart(start))) => {
            start.previous == Some((epoch, batch.head().first_offset))
        }
        _ => false,
    }
}
