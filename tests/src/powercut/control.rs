//! The negative control: the journal is on a disk that lies about flushes, the store on one that does not.  The cut takes what
//! was reported as committed: the checks must see it, and so must the program, since its store knows better.

use super::campaign::{new_machine, verify};
use super::disk::Card;
use super::lab::Lab;
use super::machine::Machine;
use super::plan::Moment;
use super::verdict::journal_is_right;
use crate::chaos::ledger::Ledger;
use crate::chaos::plan::Rate;
use crate::harness::{Journal, SOURCE, eventually};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

/// What the aggregator says of a journal that ends before its cursor.
const NOTICED: &str = "the journal does not continue what the store holds";
/// How long trades come, at least.
const STREAM: Moment = Moment::Stream(Duration::from_millis(1_500));
/// So many records have to be in the store before the disk is cut off.
const STORED: u64 = 100;

/// What the machine's first process says when the store's disk was written.
const SYNCED: &str = "POWERCUT SYNCED";

/// What was lost and how it was noticed.
#[derive(Debug)]
pub struct Noticed {
    /// What the check of the journal says.
    pub check: String,
    /// What the program says on its console.
    pub program: String,
    /// What the journal answers to somebody who reads on from the store's cursor.
    pub answer: String,
    /// Trades in the store that the journal has no more.
    pub orphans: usize,
}

/// An honest life, a cut, a life on a lying disk, a cut: an error unless that one is noticed.
pub async fn lying_disk_is_noticed(lab: &Lab, seed: u64) -> Result<Noticed> {
    let mut machine = new_machine(lab, &format!("powercut-control-{seed}"), seed, 2).await?;
    let result = play(&mut machine).await;
    if result.is_err() {
        machine.home.keep();
    }
    machine.off().await?;
    result
}

/// Lets trades come until so much is in the store.
async fn stored(machine: &mut Machine, end: u64) -> Result<()> {
    machine.feeder.play(Rate::Trickle);
    let guest = machine.guest()?;
    eventually(Duration::from_secs(60), "the store takes what comes", async || {
        guest.must_be_well(None)?;
        let stored = guest.http.metric("tickberry_aggregator_stored_offset").await?;
        ensure!(stored >= Some(end as f64), "stored {stored:?} of {end}");
        Ok(())
    })
    .await
}

/// Waits until what is in the store now is on its disk, whatever the kernel would have had in mind.
async fn synced(machine: &mut Machine) -> Result<()> {
    let guest = machine.guest()?;
    let times = |serial: String| serial.matches(SYNCED).count();
    let before = times(guest.serial());
    eventually(Duration::from_secs(60), "the store's disk is written", async || {
        guest.must_be_well(None)?;
        // The first to end may have begun before.
        ensure!(times(guest.serial()) >= before + 2, "not yet");
        Ok(())
    })
    .await
}

async fn play(machine: &mut Machine) -> Result<Noticed> {
    let mut ledger = Ledger::default();
    machine.on(Card::Honest).await?;
    machine.guest()?.ready(None).await?;
    let honest = machine.cut_at(STREAM, Rate::Trickle, 0).await.context("on an honest disk")?;

    machine.on(Card::Lying).await?;
    verify(machine, &mut ledger, &[honest]).await.context("on an honest disk")?;
    stored(machine, ledger.end + STORED).await?;
    synced(machine).await?;
    let lied = machine.cut_at(STREAM, Rate::Trickle, ledger.end).await.context("on a lying disk")?;
    let (promised, committed) = (lied.watch.promised(), lied.watch.committed);

    machine.on(Card::Honest).await?;
    machine.guest()?.ready(Some(NOTICED)).await?;
    let check = match journal_is_right(machine, &mut ledger, &[lied]).await {
        Ok(_) => bail!("{} trades were promised by a lying disk, and the check sees no loss", promised.len()),
        Err(error) => format!("{error:#}"),
    };
    ensure!(check.contains("reported as committed"), "the check fails for another reason: {check}");

    let Machine { guest, home, .. } = machine;
    let guest = guest.as_mut().context("the machine is off")?;
    let program = eventually(Duration::from_secs(30), "the program notices it", async || {
        guest.must_be_well(Some(NOTICED))?;
        let serial = guest.serial();
        let at = serial.find(NOTICED).with_context(|| format!("the console says:\n{serial}"))?;
        Ok(serial[at..].split(';').next().unwrap_or_default().to_owned())
    })
    .await?;
    // What the store was told before is still there, and nothing is there twice.
    let journal = Journal::read(&guest.http, SOURCE, 0).await?;
    let rows = guest.database("store", home).await?.trades()?;
    let orphans = rows.iter().filter(|row| !journal.trades.contains_key(&(row.epoch, row.offset)));
    let orphans: Vec<_> = orphans.collect();
    ensure!(!orphans.is_empty(), "the store holds nothing of what the disk forgot: this shows nothing");
    let strange = orphans.iter().find(|row| row.offset as u64 >= committed);
    ensure!(strange.is_none(), "the store holds what was never reported as committed: {strange:?}");
    let cursor = orphans.iter().map(|row| row.offset + 1).max().unwrap_or_default();
    let (status, body) = guest.http.get(&format!("/api/v1/journal/{SOURCE}?from={cursor}")).await?;
    let answer = format!("{status} {}", String::from_utf8_lossy(&body).trim());
    ensure!(answer.starts_with("416 "), "the journal was asked for offset {cursor} and answers {answer}");
    Ok(Noticed { check, program, answer, orphans: orphans.len() })
}
