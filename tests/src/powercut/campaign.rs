//! Cuts, in homes of ten on one disk: the first thing that is lost, doubled or wrong ends the campaign.

use super::disk::Card;
use super::lab::Lab;
use super::machine::{Cut, Machine};
use super::plan::Moment;
use super::tally::Tally;
use super::verdict::{Found, journal_is_right, store_is_right};
use crate::chaos::feeder::Feeder;
use crate::chaos::ledger::Ledger;
use crate::generate::START_MS;
use crate::harness::{Host, TempHome};
use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Instant;

/// Cuts that share a disk: what is compared each time stays small.
const HOME: u64 = 10;

/// What to play.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// Everything random follows from it.
    pub seed: u64,
    /// Number of the first cut.
    pub first: u64,
    /// How many.
    pub cuts: u64,
}

/// What failed.
#[derive(Debug)]
pub struct Failure {
    /// Which cut.
    pub cut: u64,
    /// The first one on its disk.
    pub home: u64,
    /// What.
    pub error: anyhow::Error,
}

/// A machine with new disks and a feed of its own.
pub async fn new_machine(lab: &Lab, name: &str, seed: u64, disks: usize) -> Result<Machine> {
    let mut rng = StdRng::seed_from_u64(seed);
    // Midnight is somewhere among the cuts of a disk.
    let start_ms = START_MS - rng.random_range(0..300_000);
    let feeder = Feeder::start(Host::LOCAL, rng.random(), start_ms).await?;
    Machine::new(lab, TempHome::new(name), feeder, disks).await
}

impl Campaign {
    /// Plays everything, and tells of each disk as it is done with.
    pub async fn run(self, lab: &Lab, tally: &mut Tally) -> Result<(), Failure> {
        let begun = Instant::now();
        let (mut number, end) = (self.first, self.first + self.cuts);
        while number < end {
            let home = number;
            let last = (number - number % HOME + HOME).min(end);
            let result = self.home(lab, &mut number, last, tally).await;
            tally.took = begun.elapsed();
            result.map_err(|error| Failure { cut: number, home, error })?;
            eprintln!(
                "seed {}: {} cuts verified, {} committed trades, {} s",
                self.seed,
                tally.cuts,
                tally.promised,
                tally.took.as_secs()
            );
        }
        tally.clean = true;
        Ok(())
    }

    /// The cuts of one disk; `number` is the one that is played.
    async fn home(self, lab: &Lab, number: &mut u64, last: u64, tally: &mut Tally) -> Result<()> {
        let name = format!("powercut-{}-{number}", self.seed);
        let mut machine = new_machine(lab, &name, self.seed.wrapping_add(*number / HOME), 1).await?;
        tally.homes += 1;
        let result = self.cuts(&mut machine, number, last, tally).await;
        if result.is_err() {
            machine.home.keep();
        }
        machine.off().await?;
        result
    }

    async fn cuts(self, machine: &mut Machine, number: &mut u64, last: u64, tally: &mut Tally) -> Result<()> {
        let mut ledger = Ledger::default();
        // Those whose outcome is not known yet: a start that is cut off tells nothing, the next one does.
        let mut open: Vec<Cut> = Vec::new();
        loop {
            machine.on(Card::Honest).await.context("the machine does not start")?;
            let moment = Moment::of(self.seed, *number);
            if *number == last || !matches!(moment, Moment::Start(_)) {
                let moments: Vec<Moment> = open.iter().map(|cut| cut.moment).collect();
                let found = verify(machine, &mut ledger, &open).await;
                let found = found.with_context(|| format!("boot {}, after {moments:?}", machine.boots))?;
                for (cut, found) in open.drain(..).zip(&found) {
                    tally.cut(cut.moment, found);
                    tally.journaled += ledger.entries.len() as u64;
                    tally.minutes += ledger.minutes.len() as u64;
                }
            }
            if *number == last {
                machine.settled().await?;
                return verify(machine, &mut ledger, &[]).await.map(drop).context("at the end of the disk");
            }
            let cut = machine.cut_at(moment, Moment::rate(self.seed, *number), ledger.end).await;
            open.push(cut.with_context(|| format!("boot {}, until {moment:?}", machine.boots))?);
            *number += 1;
        }
    }
}

/// Waits until the program is ready and compares everything; gives what became of these cuts.
pub async fn verify(machine: &mut Machine, ledger: &mut Ledger, cuts: &[Cut]) -> Result<Vec<Found>> {
    machine.guest()?.ready(None).await?;
    let found = journal_is_right(machine, ledger, cuts).await.context("the journal")?;
    store_is_right(machine, ledger).await?;
    Ok(found)
}
