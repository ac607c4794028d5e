//! A world: its parts, how time passes in it, and how what one part says gets to the others.

use std::time::{Duration, Instant};

use tickberry_aggregator::window::FoldConfig;
use tickberry_gateway::journal::model::Fault;
use tickberry_wire::Source;

use crate::aggregator::Aggregator;
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
            store: Store::new(settings.settle_ms),
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
            self.gateway.sync_failed =
                !state.durable && (self.gateway.sync_failed || self.fault == Fault::SyncFails);
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
}
