//! A seed from its first event to the last comparison, and a shorter schedule for one that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tickberry_gateway::journal::model::Fault;

use crate::breaks::Sabotage;
use crate::ledger::Broken;
use crate::random::Random;
use crate::schedule::{Event, Kind, Settings, generate};
use crate::verify::Calm;
use crate::world::World;

/// What a world came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kills, power cuts and restarts.
    pub crashes: u64,
    /// The store was compared whole.
    pub whole: bool,
    /// Trades in the store at the end.
    pub trades: u64,
    /// Damage the gateway counted at its starts.
    pub counted: u64,
}

/// A world that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// The promise.
    pub broken: Broken,
    /// What had to happen for it.
    pub events: Vec<Event>,
}

/// Runs a seed.
///
/// # Errors
/// With the whole schedule; [`shrink`] makes it shorter.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Outcome, Failure> {
    let (settings, events) = generate(seed);
    attempt(&settings, &events, sabotage).map_err(|broken| Failure { seed, broken, events })
}

/// Runs a schedule. A panic is a broken promise, too.
///
/// # Errors
/// With the promise that was broken.
pub fn attempt(settings: &Settings, events: &[Event], sabotage: Sabotage) -> Result<Outcome, Broken> {
    let world = || live(settings.clone(), events, sabotage);
    catch_unwind(AssertUnwindSafe(world)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words")))
    })
}

fn live(settings: Settings, events: &[Event], sabotage: Sabotage) -> Result<Outcome, Broken> {
    let mut world = World::new(settings, sabotage);
    let mut random = Random::new(world.settings.seed ^ 0x656e_6421);
    world.settle(&mut random)?;
    for event in events {
        world.happen(event)?;
    }
    let calm = heal(&mut world, &mut random)?;
    world.verify(&calm)?;
    Ok(Outcome {
        crashes: world.crashes,
        whole: world.damage.is_none(),
        trades: world.store.rows().trades.len() as u64,
        counted: world.counted,
    })
}

/// Faults stop; everything catches up; then a few calm minutes. Gives the moment from which on there was no fault.
fn heal(world: &mut World, random: &mut Random) -> Result<Calm, Broken> {
    world.set_fault(Fault::None);
    if world.gateway.disk.is_off() {
        world.power_cut(random);
    }
    world.gateway.disk.cut_power_after(u64::MAX);
    (world.weather, world.reach, world.store_fails) = (Default::default(), true, 0);
    (world.gateway.unset, world.gateway.wall_error_ms) = (false, 0);
    world.pass(10_000, random)?;
    for i in 0..world.aggregators.len() {
        world.line(i, true);
    }
    catch_up(world, random)?;
    let now = world.gateway.exchange_ms(world.now);
    let consumers = world.aggregators.iter().filter_map(|a| a.consumer.as_ref());
    let calm = Calm {
        offset: world.gateway.state().map_or(0, |state| state.committed),
        watermarks: consumers.map(|c| c.book().fold().watermark()).collect(),
        from_ms: now - now.rem_euclid(60_000) + 120_000,
    };
    for _ in 0..12 {
        world.pass(20_000, random)?;
        world.happen(&Event { kind: Kind::Frame, salt: random.draw() })?;
    }
    world.pass(150_000, random)?;
    catch_up(world, random)?;
    Ok(calm)
}

/// Until every aggregator has stored all that is committed.
fn catch_up(world: &mut World, random: &mut Random) -> Result<(), Broken> {
    for _ in 0..120 {
        world.pass(1_000, random)?;
        let Some(state) = world.gateway.state() else { continue };
        let done = |stored: Option<u64>| stored == Some(state.committed);
        let quiet = state.head == state.committed && state.durable;
        if quiet && world.aggregators.iter().all(|a| done(a.stored()) && a.writing.is_none()) {
            return Ok(());
        }
    }
    let stored: Vec<_> = world.aggregators.iter().map(|a| a.stored()).collect();
    Err(format!("not caught up: {:?}, stored {stored:?}", world.gateway.state()))
}

/// Leaves events out as long as the world still breaks a promise.
pub fn shrink(failure: &Failure, sabotage: Sabotage) -> Failure {
    let (settings, _) = generate(failure.seed);
    let mut best = failure.clone();
    let mut size = best.events.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < best.events.len() {
            let mut fewer = best.events.clone();
            fewer.drain(from..(from + size).min(best.events.len()));
            match attempt(&settings, &fewer, sabotage) {
                Err(broken) => (best.broken, best.events) = (broken, fewer),
                Ok(_) => from += size,
            }
        }
        size /= 2;
    }
    best
}
