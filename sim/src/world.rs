//! A world: its parts, how time passes in it, and how what one part says gets to the others.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tickberry_aggregator::consumer::{Action, Fetched, Told};
use tickberry_aggregator::window::FoldConfig;
use tickberry_gateway::journal::model::Fault;
use tickberry_wire::Source;

use crate::aggregator::{Aggregator, Fetch, Writing};
use crate::breaks::Sabotage;
use crate::feed::Feed;
use crate::gateway::{Gateway, Said};
use crate::ledger::{Broken, Ledger};
use crate::network::{Message, Weather};
use crate::random::Random;
use crate::schedule::Settings;
use crate::store::Store;

/// What makes a comparison with an undisturbed fold say less: see [`crate::verify`].
#[derive(Clone, Debug, Default)]
pub struct Damage {
    /// Bits flipped.
    pub flipped: bool,
    /// A gateway died whose journal was in memory: what it called committed is gone.
    pub memory_lost: bool,
    /// A gateway died after a failed sync: what the next one read may not be on the platter.
    pub sync_doubted: bool,
    /// The ring or a loss took records before an aggregator had read them, or had to read them again.
    pub gone: bool,
}

impl Damage {
    /// Whether the whole store must equal the undisturbed fold.
    pub fn is_none(&self) -> bool {
        !(self.flipped || self.memory_lost || self.sync_doubted || self.gone)
    }
}

/// Everything.
pub struct World {
    /// What is the same all the time.
    pub settings: Settings,
    /// What is broken on purpose.
    pub sabotage: Sabotage,
    /// Milliseconds since the beginning.
    pub now: u64,
    origin: Instant,
    /// The source.
    pub source: Source,
    /// The feed.
    pub feed: Feed,
    /// The gateway's host.
    pub gateway: Gateway,
    /// Which life of the gateway this is.
    pub life: u64,
    /// The fault of its disk.
    pub fault: Fault,
    /// The broker retains the last status.
    pub retained: Option<Message>,
    /// The network.
    pub weather: Weather,
    /// The journal can be reached over HTTP.
    pub reach: bool,
    /// Aggregators.
    pub aggregators: Vec<Aggregator>,
    /// Their store.
    pub store: Store,
    /// Of a hundred writes, how many fail.
    pub store_fails: u64,
    /// What the gateway said.
    pub ledger: Ledger,
    /// What went wrong that cannot be made good.
    pub damage: Damage,
    /// Lives that ended, of whatever.
    pub crashes: u64,
    /// Where the last epoch began.
    pub epoch_first: u64,
    /// The journal is in memory, as far as the gateway has said.
    pub in_memory: bool,
    /// Damaged records and torn tails the gateway counted.
    pub counted: u64,
}

impl World {
    /// A world before anything happened.
    pub fn new(settings: Settings, sabotage: Sabotage) -> Self {
        let aggregators = (0..settings.aggregators).map(|_| Aggregator::default()).collect();
        let mut world = Self {
            gateway: Gateway::new(&settings),
            settings,
            sabotage,
            now: 0,
            origin: Instant::now(),
            source: Source::new("finnhub").expect("a plain name"),
            feed: Feed::default(),
            life: 0,
            fault: Fault::None,
            retained: None,
            weather: Weather::default(),
            reach: true,
            aggregators,
            store: Store::default(),
            store_fails: 0,
            ledger: Ledger::default(),
            damage: Damage::default(),
            crashes: 0,
            epoch_first: 0,
            in_memory: false,
            counted: 0,
        };
        if sabotage == Sabotage::SyncDoesNothing {
            world.set_fault(Fault::None);
        }
        for aggregator in &mut world.aggregators {
            aggregator.start_at = Some(0);
        }
        world
    }

    /// The folds' configuration.
    pub fn fold(&self) -> FoldConfig {
        FoldConfig { lateness_ms: 2_000, kept_ms: self.settings.kept_ms }
    }

    /// Now, for the aggregators.
    pub fn at(&self) -> Instant {
        self.origin + Duration::from_millis(self.now)
    }

    /// Breaks or mends the gateway's disk.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = if self.sabotage == Sabotage::SyncDoesNothing { Fault::SyncLies } else { fault };
        self.gateway.disk.set_fault(self.fault);
    }

    /// Lets time pass. Long stretches go by in larger steps, as for a process that is stopped now and then.
    pub fn pass(&mut self, ms: u64, random: &mut Random) -> Result<(), Broken> {
        let end = self.now + ms;
        let step = (ms / 40).clamp(250, 30_000);
        while self.now < end {
            self.now = (self.now + step).min(end);
            self.settle(random)?;
        }
        Ok(())
    }

    /// Everything that is due happens.
    pub fn settle(&mut self, random: &mut Random) -> Result<(), Broken> {
        self.run_gateway(random)?;
        for i in 0..self.aggregators.len() {
            self.run_aggregator(i, random)?;
        }
        Ok(())
    }

    fn run_gateway(&mut self, random: &mut Random) -> Result<(), Broken> {
        if self.gateway.start_at.is_some_and(|at| at <= self.now) {
            self.start_gateway(random)?;
        }
        while let Some(said) = self.gateway.due(self.now, self.fault, random) {
            self.heed(said, random)?;
        }
        if let Some(state) = self.gateway.state() {
            let status = Message::Status(self.sabotage.epoch(state.epoch), state.committed);
            self.publish(&status, random);
            self.retained = Some(status);
        }
        Ok(())
    }

    /// The gateway's process said something, or its host's power went.
    pub fn heed(&mut self, said: Said, random: &mut Random) -> Result<(), Broken> {
        if said.off {
            self.power_cut(random);
            return Ok(());
        }
        let durable = said.state.is_some_and(|state| state.durable);
        for payload in said.outputs {
            let payload = self.sabotage.payload(payload);
            self.ledger.published(&payload)?;
            if let Some((epoch, end)) = tickberry_wire::peek(&payload)
                .ok()
                .and_then(|h| (h.count == 1).then(|| self.ledger.before(h.epoch.get())).flatten())
            {
                self.ledger.ended(epoch, end, durable);
            }
            self.publish(&Message::Batch(payload), random);
        }
        if let Some(mut state) = said.state {
            state.epoch = self.sabotage.epoch(state.epoch);
            self.ledger.state(state);
            self.in_memory = !state.durable;
            if state.durable {
                self.gateway.sync_failed = false;
            }
        }
        match self.gateway.dropped() {
            0 => Ok(()),
            n => Err(format!("{n} records were dropped")),
        }
    }

    fn publish(&mut self, message: &Message, random: &mut Random) {
        for aggregator in &mut self.aggregators {
            aggregator.line.send(message, self.weather, self.now, random);
        }
    }

    fn run_aggregator(&mut self, i: usize, random: &mut Random) -> Result<(), Broken> {
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
        let cursor = self.store.rows().cursor.clone();
        self.aggregators[i].begin(config, &self.source, cursor, at)
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
        let at = self.at();
        let most = if random.percent(30) { random.within(1, 40) } else { u64::MAX };
        for _ in 0..most {
            let (life, reach, up) = (self.life, self.reach, self.gateway.is_up());
            let aggregator = &mut self.aggregators[i];
            if !aggregator.consumer.as_ref().is_some_and(|c| c.wants_journal()) {
                return Ok(());
            }
            let Some(fetch) = &mut aggregator.fetch else { return Ok(()) };
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
                        Some(reader) => aggregator.fetch = Some(Fetch::begin(&reader, from, self.life)),
                        None => aggregator.read(Fetched::Failed("unreachable".into()), at),
                    }
                }
                Action::Write(batch) => {
                    let fails = random.percent(self.store_fails);
                    let slow = if random.percent(20) { 3_000 } else { 300 };
                    let applied_at = now + random.below(slow);
                    self.aggregators[i].writing = Some(Writing {
                        batch: Rc::new(self.sabotage.batch(batch)),
                        applied_at,
                        answered_at: applied_at + random.below(slow),
                        applied: !fails || random.percent(50),
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
            if writing.applied {
                let batch = writing.batch.clone();
                self.store_takes(batch)?;
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
