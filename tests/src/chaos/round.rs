//! One round: trades, attacks, healing, verdict.

use super::ledger::Ledger;
use super::plan::{Part, Parted, Rate, Round, Way};
use super::shelf::{PARTS, Shelf};
use super::steps::Step;
use super::verdict::{only_committed_is_stored, published_is_journaled, settle, stored_is_right};
use crate::harness::{Heard, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How long trades come before and after an aggregator begins to lag.
const LAGS_AFTER: Duration = Duration::from_millis(150);

/// What is known of a home's past.
#[derive(Debug, Default)]
pub struct Past {
    /// What was sent, journaled, and must be stored.
    pub ledger: Ledger,
    /// What was heard at the broker and is beyond the ledger's end.
    beyond: Vec<Heard>,
    /// How often a store was found to hold committed trades only, in the middle of an attack.
    pub samples: u64,
    /// Processes that were killed: a plan may kill one that is away already.
    pub kills: u64,
}

impl Past {
    /// Plays a round and gives its verdict.
    pub async fn play(&mut self, shelf: &Shelf, round: &Round) -> Result<()> {
        shelf.feeder.play(round.rate);
        let mut kills = 0;
        let attacks = async {
            let begun = Instant::now();
            for (at, step) in round.steps() {
                sleep_until(begun + at).await;
                kills += u64::from(make(shelf, &step).await.with_context(|| format!("{step:?}"))?);
            }
            Ok::<(), anyhow::Error>(())
        };
        let mut samples = 0;
        let sampling = async {
            loop {
                sleep(Duration::from_millis(100)).await;
                for n in 0..2 {
                    samples += u64::from(only_committed_is_stored(shelf, n).await?);
                }
            }
        };
        tokio::select! {
            done = attacks => done?,
            failed = sampling => {
                let failed: Result<()> = failed;
                failed?;
            }
        }
        self.samples += samples;
        self.kills += kills;
        shelf.all_run().await?;
        self.judge(shelf, &[0, 1]).await
    }

    /// Waits until all has settled and compares it.
    pub async fn judge(&mut self, shelf: &Shelf, aggregators: &[usize]) -> Result<()> {
        let known = self.ledger.entries.len();
        settle(shelf, &mut self.ledger, aggregators).await?;
        self.ledger.nothing_received_is_missing()?;
        self.ledger.reckon_days();
        let mut heard = std::mem::take(&mut self.beyond);
        heard.extend(shelf.tap.take());
        self.beyond = published_is_journaled(&self.ledger, heard)?;
        for n in aggregators {
            let database = shelf.database(*n).await?;
            stored_is_right(&database, &self.ledger, known).with_context(|| format!("aggregator {n}"))?;
        }
        Ok(())
    }

    /// One aggregator stops in the middle of a stream, the other goes on, the first comes back with what it had, hears
    /// nothing new and is killed for good: where both write into one store its words must not be the last.
    pub async fn lagging_one_dies(&mut self, shelf: &Shelf, lagging: usize, alive: Duration) -> Result<()> {
        let machine = shelf.machine(Part::Aggregator(lagging));
        let other = 1 - lagging;
        shelf.feeder.play(Rate::Full);
        sleep(LAGS_AFTER + alive / 2).await;
        shelf.stop_outside_a_transaction(lagging).await?;
        shelf.part(&[Way::AggregatorBus(lagging), Way::Journal(lagging)], Parted::Held);
        sleep(LAGS_AFTER).await;
        settle(shelf, &mut self.ledger, &[other]).await?;
        machine.lock().await.signal(Signal::CONT)?;
        sleep(alive).await;
        ensure!(machine.lock().await.kill().await?, "it was not there");
        self.kills += 1;
        shelf.feeder.play(Rate::Steady);
        sleep(LAGS_AFTER).await;
        self.ledger_from_scratch(shelf, other).await
    }

    async fn ledger_from_scratch(&mut self, shelf: &Shelf, n: usize) -> Result<()> {
        self.judge(shelf, &[n]).await?;
        stored_is_right(&shelf.database(n).await?, &self.ledger, 0)
    }
}

/// Waits until all processes answer.
pub async fn ready(shelf: &Shelf) -> Result<()> {
    for part in PARTS {
        eventually(Duration::from_secs(30), &format!("{part:?} is ready"), async || {
            shelf.all_live().await?;
            let http = shelf.machine(part).lock().await.http.clone();
            http.ready().await
        })
        .await?;
    }
    Ok(())
}

/// True if a process was killed.
async fn make(shelf: &Shelf, step: &Step) -> Result<bool> {
    match step {
        Step::Kill(part) => return shelf.machine(*part).lock().await.kill().await,
        Step::Start(part) => shelf.machine(*part).lock().await.start(&shelf.home)?,
        Step::Stop(part) => shelf.machine(*part).lock().await.signal(Signal::STOP)?,
        Step::Continue(part) => shelf.machine(*part).lock().await.signal(Signal::CONT)?,
        Step::Part(ways, how) => shelf.part(ways, *how),
        Step::Heal(ways) => shelf.heal(ways),
        Step::Reset => shelf.feeder.reset(),
    }
    Ok(false)
}
