//! What must be there after a cut and a start.

use super::machine::{Cut, Machine};
use super::watch::Watch;
use crate::chaos::ledger::Ledger;
use crate::chaos::verdict::stored_is_right;
use crate::harness::{Client, Journal, SOURCE, eventually};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Trades whose commit had been reported before the cut, each found as it was.
    pub promised: usize,
    /// Trades that had been told of, but not as committed, and are gone.
    pub lost: usize,
    /// Trades that had been told of, not as committed, and are there all the same.
    pub kept: usize,
    /// How long before the cut the oldest lost frame was sent, at most.
    pub oldest: Duration,
    /// Whether the start cut a torn tail.
    pub torn: bool,
}

/// The journal holds all that was reported as committed before these cuts, and what it held before; its reader is told of no
/// loss. Gives what became of each cut.
pub async fn journal_is_right(
    machine: &mut Machine,
    ledger: &mut Ledger,
    cuts: &[Cut],
) -> Result<Vec<Found>> {
    let http = machine.guest()?.http.clone();
    let journal = Journal::read(&http, SOURCE, 0).await.context("read from its beginning")?;
    ensure!(journal.lost.is_empty(), "records are lost: {:?}", journal.lost);
    for cut in cuts {
        let committed = cut.watch.committed;
        ensure!(
            journal.end >= committed,
            "it ends at offset {}, and all below {committed} was reported as committed",
            journal.end
        );
        journal.holds(&cut.watch.promised()).context("reported as committed")?;
    }
    for entry in &ledger.entries {
        let have = journal.trades.get(&entry.id);
        ensure!(have == Some(&entry.sent), "{:?} was {:?} and is {have:?}", entry.id, entry.sent);
    }
    let known = journal.trades.keys().filter(|id| (id.1 as u64) < ledger.end).count();
    ensure!(known == ledger.entries.len(), "{known} trades where {} were", ledger.entries.len());
    the_gateway_knows_no_damage(&http).await?;

    ledger.frames.extend(machine.feeder.sent(ledger.frames.len()));
    let mut found: Vec<Found> = cuts.iter().map(|cut| told(&cut.watch, &journal)).collect();
    let mut newer = Journal { end: journal.end, ..Journal::default() };
    newer.trades = journal.trades.into_iter().filter(|(id, _)| id.1 as u64 >= ledger.end).collect();
    ledger.take(&newer)?;
    ledger.nothing_received_is_missing()?;
    ledger.reckon_days();

    for (cut, found) in cuts.iter().zip(&mut found) {
        cut.watch.only_the_last_flush_is_open()?;
        found.oldest = oldest_loss(ledger, cut);
    }
    if let Some(last) = found.last_mut() {
        last.torn = http.metric("tickberry_gateway_journal_torn_tails_total").await? > Some(0.0);
    }
    Ok(found)
}

fn told(watch: &Watch, journal: &Journal) -> Found {
    let (lost, kept) = watch.unpromised_in(journal);
    Found { promised: watch.promised().len(), lost, kept, ..Found::default() }
}

/// How long before the cut the oldest frame was sent that had gone to the machine and is not there. Part of that is the way
/// through a calculated network card: it is told, not judged.
fn oldest_loss(ledger: &Ledger, cut: &Cut) -> Duration {
    let gone = |n: &usize| ledger.missed.contains(n) || *n >= ledger.next_frame;
    let lost = cut.watch.frames().find(|n| ledger.frames[*n].connection.is_some() && gone(n));
    lost.and_then(|frame| cut.watch.age(frame, cut.at)).unwrap_or_default()
}

async fn the_gateway_knows_no_damage(http: &Client) -> Result<()> {
    let zero =
        ["damaged_ranges_total", "damaged_records_total", "unreadable_segments_total", "disk_errors_total"];
    for name in zero {
        let name = format!("tickberry_gateway_journal_{name}");
        let value = http.metric(&name).await?;
        ensure!(value == Some(0.0), "{name} is {value:?}");
    }
    let durable = http.metric("tickberry_gateway_journal_durable").await?;
    ensure!(durable == Some(1.0), "the journal is not durable: {durable:?}");
    Ok(())
}

/// The store holds the journal's trades, each once, and the windows that follow from them; nothing was given up for lost.
pub async fn store_is_right(machine: &mut Machine, ledger: &Ledger) -> Result<()> {
    let Machine { guest, home, store, .. } = machine;
    let guest = guest.as_mut().context("the machine is off")?;
    eventually(Duration::from_secs(60), "the store is right", async || {
        guest.must_be_well(None)?;
        let stored = guest.http.metric("tickberry_aggregator_stored_offset").await?;
        ensure!(
            stored >= Some(ledger.end as f64),
            "stored below {stored:?}, the journal ends at {}",
            ledger.end
        );
        let database = guest.database(store, home).await?;
        stored_is_right(&database, ledger, 0)
    })
    .await?;
    let lost = guest.http.metric("tickberry_aggregator_lost_records").await?;
    ensure!(lost == Some(0.0), "the aggregator gave {lost:?} records up for lost");
    Ok(())
}
