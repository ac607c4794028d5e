//! Rounds, in homes of twenty: the first thing that is lost, doubled or wrong ends the campaign.

use super::plan::{self, Rate};
use super::round::{Past, ready};
use super::shelf::{Shelf, Stores};
use super::tally::Tally;
use super::verdict::all_is_right;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Rounds that share directories and processes: what is compared each time stays small.
const HOME: u64 = 20;

/// So many times at the end of a home an aggregator falls behind and dies.
const LAGGARDS: u64 = 4;

/// What to play.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// Everything random follows from it.
    pub seed: u64,
    /// Number of the first round.
    pub first: u64,
    /// How many rounds.
    pub rounds: u64,
}

/// What failed.
#[derive(Debug)]
pub struct Failure {
    /// In which round.
    pub round: u64,
    /// The first round of its home.
    pub home: u64,
    /// What.
    pub error: anyhow::Error,
}

impl Campaign {
    /// Plays everything, and tells of each home as it ends.
    pub async fn run(self, tally: &mut Tally) -> Result<(), Failure> {
        let begun = Instant::now();
        let (mut number, end) = (self.first, self.first + self.rounds);
        while number < end {
            let home = number;
            let last = (number - number % HOME + HOME).min(end);
            let result = self.home(&mut number, last, tally).await;
            tally.took = begun.elapsed();
            result.map_err(|error| Failure { round: number, home, error })?;
            eprintln!(
                "seed {}: {} rounds verified, {} trades journaled, {} s",
                self.seed,
                tally.rounds(),
                tally.journaled,
                tally.took.as_secs()
            );
        }
        tally.clean = true;
        Ok(())
    }

    /// The rounds of one home; `number` is the one that is played.
    async fn home(self, number: &mut u64, last: u64, tally: &mut Tally) -> Result<()> {
        let which = *number / HOME;
        let stores = if which.is_multiple_of(2) { Stores::Two } else { Stores::One };
        let name = format!("chaos-{}-{}", self.seed, *number);
        let shelf = Shelf::start(&name, self.seed.wrapping_add(which), stores).await?;
        tally.homes += 1;
        let mut past = Past::default();
        let result = async {
            ready(&shelf).await?;
            shelf.feeder.play(Rate::Steady);
            past.judge(&shelf, &[0, 1]).await.context("before any attack")?;
            while *number < last {
                let round = plan::round(self.seed, *number);
                let verdict = past.play(&shelf, &round).await;
                verdict.with_context(|| format!("round {number}: {round:?}"))?;
                tally.round(&round);
                tally.stored += 2 * past.ledger.entries.len() as u64;
                tally.minutes += 2 * past.ledger.minutes.len() as u64;
                *number += 1;
            }
            all_is_right(&shelf, &past.ledger, &[0, 1]).await.context("at the end of the home")?;
            for n in 0..LAGGARDS {
                let alive = Duration::from_millis((which * 37 + n * 83) % 250);
                let dies = past.lagging_one_dies(&shelf, ((which + n) % 2) as usize, alive).await;
                dies.with_context(|| format!("a lagging one died after {alive:?}"))?;
                tally.laggards += 1;
                shelf.all_run().await?;
            }
            Ok(())
        };
        let result: Result<()> = result.await;
        if result.is_err() {
            shelf.home.keep();
        }
        result?;
        let trades = |sent: usize| past.ledger.frames[sent].frame.trades.len() as u64;
        tally.samples += past.samples;
        tally.kills += past.kills;
        tally.sent += (0..past.ledger.frames.len()).map(trades).sum::<u64>();
        tally.journaled += past.ledger.entries.len() as u64;
        Ok(())
    }
}
