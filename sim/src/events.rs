//! What each event does to a world.

use std::rc::Rc;

use tickberry_gateway::journal::model::Fault;
use tickberry_gateway::journal::{Item, Opened};
use tickberry_store::WriteBatch;
use tickberry_wire::GapReason;

use crate::ledger::Broken;
use crate::random::Random;
use crate::schedule::{Event, Kind};
use crate::world::World;

impl World {
    /// Lets an event happen, and what follows from it at once.
    ///
    /// # Errors
    /// With the promise that was broken.
    pub fn happen(&mut self, event: &Event) -> Result<(), Broken> {
        let mut random = Random::new(event.salt);
        match event.kind {
            Kind::Frame => self.frame(false, &mut random)?,
            Kind::LargeFrame => self.frame(true, &mut random)?,
            Kind::Repeat => {
                let trades = self.feed.repeat();
                let said = self.gateway.call(self.now, |recorder, at| recorder.trades(trades, at));
                self.heed(said, &mut random)?;
            }
            Kind::Pass(ms) => self.pass(ms, &mut random)?,
            Kind::Feed(up) => {
                let said = self.gateway.call(self.now, |recorder, at| {
                    if up {
                        recorder.alive(at);
                    } else {
                        recorder.lost(Some(at.mono_ms), GapReason::Disconnect);
                    }
                });
                self.heed(said, &mut random)?;
            }
            Kind::KillGateway => self.kill_gateway(&mut random),
            Kind::CutGateway(operations) => self.gateway.disk.cut_power_after(operations),
            Kind::KillAggregator(i) => self.kill_aggregator(i, &mut random)?,
            Kind::CutStore(commits) => self.cut_store(commits, &mut random)?,
            Kind::RestartStore => self.restart_store(&mut random),
            Kind::RestoreStore => {
                let commits = random.below(self.store.commits() + 1);
                self.cut_store(commits, &mut random)?;
            }
            Kind::CutAll(commits) => {
                self.power_cut(&mut random);
                self.restart_broker(&mut random);
                self.cut_store(commits, &mut random)?;
            }
            Kind::RestartBroker => self.restart_broker(&mut random),
            Kind::Line(i, up) => self.line(i, up),
            Kind::Weather(lost, doubled, late_ms) => {
                self.weather = crate::network::Weather { lost, doubled, late_ms };
            }
            Kind::Reach(reach) => self.reach = reach,
            Kind::BreakFetch(i) => {
                if let Some(fetch) = &mut self.aggregators[i].fetch {
                    fetch.life = u64::MAX;
                }
            }
            Kind::Disk(fault) => self.set_fault(fault),
            Kind::Flip => self.flip(&mut random),
            Kind::StepClock(ms) => self.gateway.wall_error_ms += ms,
            Kind::Clock1970(unset) => self.gateway.unset = unset,
            Kind::Store(fails) => self.store_fails = fails,
        }
        self.settle(&mut random)
    }

    fn frame(&mut self, many: bool, random: &mut Random) -> Result<(), Broken> {
        let now = self.gateway.exchange_ms(self.now);
        let trades = self.feed.frame(now, self.settings.symbols, self.settings.kept_ms, many, random);
        let said = self.gateway.call(self.now, |recorder, at| recorder.trades(trades, at));
        self.heed(said, random)?;
        self.now += random.below(400);
        Ok(())
    }

    /// The gateway's process dies.
    pub fn kill_gateway(&mut self, random: &mut Random) {
        if !self.gateway.is_up() {
            return;
        }
        self.crashes += 1;
        self.life += 1;
        self.damage.memory_lost |= std::mem::take(&mut self.in_memory);
        self.damage.sync_doubted |= self.gateway.sync_failed || self.fault == Fault::SyncFails;
        self.gateway.kill(random);
        self.gateway.start_at = Some(self.now + random.below(4_000));
    }

    /// The power of the gateway's host goes.
    pub fn power_cut(&mut self, random: &mut Random) {
        self.crashes += 1;
        self.life += 1;
        self.damage.memory_lost |= std::mem::take(&mut self.in_memory);
        self.gateway.cut();
        // What is read now is on the platter.
        self.gateway.sync_failed = false;
        self.gateway.start_at = Some(self.now + random.below(4_000));
    }

    /// The gateway's process starts.
    pub fn start_gateway(&mut self, random: &mut Random) -> Result<(), Broken> {
        let (opened, said) = self.gateway.start(self.now, random)?;
        if let Some(opened) = opened {
            self.look_at(&opened)?;
        }
        self.heed(said, random)
    }

    /// What a start found must be what was there.
    fn look_at(&mut self, opened: &Opened) -> Result<(), Broken> {
        let first = opened.state.head - 1;
        if let Some(reader) = self.gateway.reader() {
            // A disk that fails may have kept what was written to it long before.
            let from = if self.settings.disk_faults { 0 } else { self.epoch_first };
            let from = from.clamp(reader.state().first, first);
            let mut batches = reader.read_uncommitted(from, Some(first)).map_err(|e| e.to_string())?;
            while let Some(item) = batches.next_item().map_err(|e| e.to_string())? {
                if let Item::Batch { payload, .. } = item {
                    self.ledger.found(payload);
                }
            }
        }
        self.epoch_first = first;
        // What could not be synced at this start can be read all the same (docs/journal.md, "What it cannot do").
        self.damage.sync_doubted |= self.fault == Fault::SyncFails && opened.recovered > 0;
        let lost: u64 = opened.lost.iter().map(|range| range.to - range.from).sum();
        self.counted += lost + u64::from(opened.torn) + opened.unreadable;
        if lost > 0 && !self.may_lose() && !self.damage.memory_lost {
            return Err(format!("no bit was flipped, and yet is lost: {:?}", opened.lost));
        }
        if let Some((epoch, end)) = opened.previous {
            let promised = self.ledger.durable_end(epoch.get());
            if end < promised && !self.may_lose() && self.settings.segments > 10 {
                return Err(format!("epoch {} was committed to {promised} and ends at {end}", epoch.get()));
            }
            for range in &opened.lost {
                self.ledger.lost(range.from, range.to);
            }
            self.ledger.ended(epoch.get(), end, opened.state.durable);
        }
        if opened.state.durable && self.fault == Fault::None && opened.error.is_some() {
            return Err(format!("a start in memory on a good disk: {:?}", opened.error));
        }
        Ok(())
    }

    /// Whether something happened that may cost committed records.
    pub fn may_lose(&self) -> bool {
        self.damage.flipped || self.damage.sync_doubted
    }

    fn kill_aggregator(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        if !self.aggregators[i].is_up() {
            return Ok(());
        }
        self.crashes += 1;
        // What was handed to the store may have got there: nobody hears.
        if let Some(writing) = self.aggregators[i].writing.take()
            && !writing.done
            && writing.applied
            && random.percent(50)
        {
            self.store_takes(i, writing.batch)?;
        }
        self.aggregators[i].kill();
        self.aggregators[i].start_at = Some(self.now + random.below(4_000));
        Ok(())
    }

    fn cut_store(&mut self, commits: u64, random: &mut Random) -> Result<(), Broken> {
        for i in 0..self.aggregators.len() {
            self.kill_aggregator(i, random)?;
        }
        self.crashes += 1;
        self.store.forget(commits);
        Ok(())
    }

    /// The store's process dies and is there again; connections to it break.
    fn restart_store(&mut self, random: &mut Random) {
        self.crashes += 1;
        self.store.restart(self.now, random);
        for writing in self.aggregators.iter_mut().filter_map(|a| a.writing.as_mut()) {
            writing.ok = false;
        }
    }

    fn restart_broker(&mut self, random: &mut Random) {
        self.crashes += 1;
        self.retained = None;
        for i in 0..self.aggregators.len() {
            self.line(i, false);
            if random.percent(80) {
                self.line(i, true);
            }
        }
    }

    /// An aggregator's connection to the broker breaks or is made.
    pub fn line(&mut self, i: usize, up: bool) {
        if self.aggregators[i].line.up == up || !self.aggregators[i].is_up() {
            return;
        }
        if up {
            return self.connect(i);
        }
        let at = self.at();
        let aggregator = &mut self.aggregators[i];
        aggregator.line.cut();
        let told = tickberry_aggregator::consumer::Told { up: false, ..aggregator.told };
        aggregator.tell(told, at);
    }

    fn flip(&mut self, random: &mut Random) {
        let names = self.gateway.disk.names();
        let Some(name) = names.get(random.below(names.len() as u64) as usize) else { return };
        let bytes = self.gateway.disk.bytes(name);
        // Where something is written; zeros behind it are nobody's.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let pos = random.below(used as u64) as usize;
        if self.gateway.disk.flip(name, pos, 1 << random.below(8)) {
            self.damage.flipped = true;
        }
    }

    /// The store takes a batch of an aggregator, or says that another is ahead: nothing in it may be uncommitted, or another record than its identity says.
    ///
    /// # Errors
    /// With the row that should not be there.
    pub fn store_takes(&mut self, i: usize, batch: Rc<WriteBatch>) -> Result<bool, Broken> {
        for row in &batch.trades {
            let id = (row.epoch, row.journal_offset);
            let Some((of, trade)) = self.ledger.committed_trade(id.0, id.1) else {
                return Err(format!("stored, and not committed: epoch {} offset {}", id.0, id.1));
            };
            let same = *row.symbol == *trade.symbol.as_str()
                && row.time_ms == trade.time_ms
                && row.price == trade.price.to_f64()
                && row.volume == trade.volume.to_f64()
                && row.received_ms == of.received_ms();
            if !same {
                return Err(format!("stored is {row:?}, the record is {trade:?}"));
            }
        }
        if batch.cursor.stored > self.ledger.highest() {
            let (stored, highest) = (batch.cursor.stored, self.ledger.highest());
            return Err(format!("the cursor is at {stored}, committed is {highest}"));
        }
        Ok(self.store.write(batch, &mut self.aggregators[i].known, self.now))
    }
}
