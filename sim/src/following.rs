//! An aggregator's process in its world: what reaches it, and what becomes of what it decides.

use std::rc::Rc;

use tickberry_aggregator::consumer::{Action, Fetched, Told};

use crate::aggregator::{Fetch, Writing};
use crate::ledger::Broken;
use crate::network::Message;
use crate::random::Random;
use crate::world::World;

/// Items that a fetch brings at once, at the most.
const MOST_ITEMS: u64 = 20_000;

impl World {
    /// What is due in an aggregator's process happens.
    pub(crate) fn run_aggregator(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        let (now, at) = (self.now, self.at());
        if self.aggregators[i].start_at.is_some_and(|start| start <= now) {
            let aggregator = &mut self.aggregators[i];
            (aggregator.start_at, aggregator.ask_at) = (None, Some(now));
            self.connect(i);
        }
        if self.aggregators[i].ask_at.is_some_and(|ask| ask <= now) {
            self.ask_store(i, random)?;
        }
        self.answer(i, random)?;
        while let Some(message) = self.aggregators[i].line.receive(now) {
            self.aggregators[i].hear(&message, at);
            self.act(i, random)?;
        }
        self.read_journal(i, random)?;
        let aggregator = &mut self.aggregators[i];
        let Some(consumer) = &mut aggregator.consumer else { return Ok(()) };
        if consumer.wake_at().is_some_and(|wake| wake <= at) {
            aggregator.actions.extend(consumer.tick(at));
        }
        if aggregator.commit_at <= now {
            aggregator.commit_at = now + self.settings.commit_ms;
            aggregator.actions.extend(consumer.commit_due(at));
        }
        self.act(i, random)?;
        self.read_journal(i, random)?;
        self.answer(i, random)
    }

    fn ask_store(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        let (now, at, config) = (self.now, self.at(), self.fold());
        if random.percent(self.store_fails) {
            self.aggregators[i].ask_at = Some(now + random.within(250, 3_000));
            return Ok(());
        }
        self.store.take_restarted();
        let cursor = self.store.rows().cursor.clone();
        self.aggregators[i].known = self.store.key();
        let settle = self.sabotage.settle(self.store.settle());
        self.aggregators[i].begin(config, &self.source, cursor, settle, at)
    }

    /// The connection to the broker is made.
    pub fn connect(&mut self, i: usize) {
        let at = self.at();
        let aggregator = &mut self.aggregators[i];
        aggregator.line.up = true;
        let told = match &self.retained {
            Some(Message::Status(epoch, committed)) => {
                Told { epoch: Some(*epoch), committed: *committed, up: true }
            }
            _ => Told { up: true, ..aggregator.told },
        };
        aggregator.tell(told, at);
    }

    fn read_journal(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        let (now, at) = (self.now, self.at());
        let most = if random.percent(30) { random.within(1, 40) } else { MOST_ITEMS };
        for _ in 0..most {
            let (life, reach, up) = (self.life, self.reach, self.gateway.is_up());
            let aggregator = &mut self.aggregators[i];
            if !aggregator.consumer.as_ref().is_some_and(|c| c.wants_journal()) {
                return Ok(());
            }
            let Some(fetch) = aggregator.fetch.as_mut().filter(|f| f.asked_at < now) else { return Ok(()) };
            let alive = up && reach && fetch.life == life;
            let Some(item) = fetch.next(alive, random) else { return Ok(()) };
            let item = match item {
                Fetched::Batch(batch) if self.sabotage.skips(&batch) => continue,
                item => item,
            };
            self.damage.gone |= matches!(item, Fetched::Gone(_));
            self.aggregators[i].read(item, at);
            self.act(i, random)?;
        }
        Ok(())
    }

    /// Does what a consumer decided.
    pub fn act(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        let (now, at) = (self.now, self.at());
        let mut todo = std::mem::take(&mut self.aggregators[i].actions).into_iter();
        while let Some(action) = todo.next() {
            match action {
                Action::Fetch(from) => {
                    let reader = self.gateway.reader().filter(|_| self.reach);
                    let aggregator = &mut self.aggregators[i];
                    match reader {
                        Some(reader) => aggregator.fetch = Some(Fetch::begin(&reader, from, self.life, now)),
                        None => aggregator.read(Fetched::Failed("unreachable".into()), at),
                    }
                }
                Action::Write(batch) => {
                    let broken = self.store.take_restarted();
                    let fails = broken || random.percent(self.store_fails);
                    let slow = if random.percent(20) { 3_000 } else { 300 };
                    let applied_at = now + random.below(slow);
                    self.aggregators[i].writing = Some(Writing {
                        batch: Rc::new(self.sabotage.batch(batch)),
                        applied_at,
                        answered_at: applied_at + random.below(slow),
                        applied: !fails || !broken && random.percent(50),
                        ok: !fails,
                        done: false,
                    });
                }
                Action::Publish(_) | Action::ShowAll => {}
                Action::AskStore => {
                    let aggregator = &mut self.aggregators[i];
                    (aggregator.consumer, aggregator.fetch, aggregator.writing) = (None, None, None);
                    aggregator.ask_at = Some(now);
                    aggregator.actions.clear();
                    return Ok(());
                }
            }
            // What a failed fetch led to comes before the rest.
            let more = std::mem::take(&mut self.aggregators[i].actions);
            if !more.is_empty() {
                todo = more.into_iter().chain(todo).collect::<Vec<_>>().into_iter();
            }
        }
        Ok(())
    }

    fn answer(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
        let (now, at) = (self.now, self.at());
        let Some(writing) = &mut self.aggregators[i].writing else { return Ok(()) };
        if writing.applied_at <= now && !writing.done {
            writing.done = true;
            let (batch, applied, ok) = (writing.batch.clone(), writing.applied, writing.ok);
            let taken = !applied || self.store_takes(i, batch)?;
            let aggregator = &mut self.aggregators[i];
            if !ok {
                aggregator.known = None;
            }
            if let Some(writing) = &mut aggregator.writing {
                writing.ok &= taken;
            }
        }
        if let Some(writing) = &self.aggregators[i].writing
            && writing.answered_at <= now
        {
            let ok = writing.ok;
            self.aggregators[i].answered(ok, random, at);
            self.act(i, random)?;
        }
        Ok(())
    }
}
