//! Waits until everything has settled, and compares it with what must be.

use super::ledger::Ledger;
use super::plan::Part;
use super::shelf::{Shelf, Stores};
use crate::harness::{Database, Heard, Journal, SOURCE, TABLES, eventually};
use crate::oracle::{Sent, TradeRow, same};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tickberry_wire::{Body, decode};

/// Far beyond the longest pause of any part between two attempts.
const SETTLED: Duration = Duration::from_secs(100);
/// A frame may be lost with its connection; then another one is sent.
const MARKER: Duration = Duration::from_millis(400);

/// Pauses the feed, waits until the journal holds its last frame and the stores of the aggregators hold the journal,
/// and adds to the ledger.
pub async fn settle(shelf: &Shelf, ledger: &mut Ledger, aggregators: &[usize]) -> Result<()> {
    shelf.feeder.pause();
    let mut marker = (None, tokio::time::Instant::now());
    eventually(SETTLED, "the journal holds the last frame", async || {
        shelf.all_live().await?;
        if marker.0.is_none() || marker.1.elapsed() > MARKER {
            marker = (shelf.feeder.one(), tokio::time::Instant::now());
        }
        let gateway = shelf.machine(Part::Gateway).lock().await.http.clone();
        let journal = Journal::read(&gateway, SOURCE, ledger.end).await?;
        ledger.frames.extend(shelf.feeder.sent(ledger.frames.len()));
        ledger.take(&journal)?;
        let last = ledger.frames.len();
        ensure!(marker.0.is_some() && ledger.next_frame == last, "{} of {last} frames", ledger.next_frame);
        Ok(())
    })
    .await?;
    for n in aggregators {
        let http = shelf.machine(Part::Aggregator(*n)).lock().await.http.clone();
        eventually(SETTLED, &format!("aggregator {n} has stored {}", ledger.end), async || {
            shelf.all_live().await?;
            let stored = http.metric("tickberry_aggregator_stored_offset").await?;
            ensure!(stored >= Some(ledger.end as f64), "stored {stored:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What the broker told everybody is in the journal. Gives back what lies behind the ledger's end.
pub fn published_is_journaled(ledger: &Ledger, heard: Vec<Heard>) -> Result<Vec<Heard>> {
    let mut beyond = Vec::new();
    for message in heard {
        let batch = decode(&message.payload).map_err(|e| anyhow::anyhow!("{}: {e}", message.topic))?;
        if batch.end_offset() > ledger.end || batch.committed > ledger.end {
            beyond.push(message);
            continue;
        }
        let Body::Trades(trades) = &batch.body else { continue };
        for (offset, t) in (batch.first_offset as i64..).zip(trades) {
            let id = (batch.epoch.get() as i64, offset);
            let entry = ledger.at(offset).filter(|entry| entry.id == id);
            let entry = entry.with_context(|| format!("{id:?} was published and is not in the journal"))?;
            let Sent { symbol, time_ms, price, volume } = &entry.sent;
            let equal = t.symbol.as_str() == symbol
                && t.time_ms == *time_ms
                && t.price.to_string() == *price
                && t.volume.to_string() == *volume;
            ensure!(equal, "{id:?} was published as {t:?}, the journal has {:?}", entry.sent);
        }
    }
    Ok(beyond)
}

/// The trades from an offset on, the number of all, and every minute.
pub fn stored_is_right(database: &Database, ledger: &Ledger, from: usize) -> Result<()> {
    let count = database.number("SELECT COUNT(*) FROM trades")?;
    ensure!(
        count == ledger.entries.len() as i64,
        "{count} trades stored, {} journaled",
        ledger.entries.len()
    );
    let first = ledger.entries.get(from).map_or(i64::MAX, |entry| entry.id.1);
    let rows = database.trades_from(first)?;
    let entries = &ledger.entries[from..];
    ensure!(
        rows.len() == entries.len(),
        "{} rows from offset {first} on, {} journaled",
        rows.len(),
        entries.len()
    );
    for (row, entry) in rows.iter().zip(entries) {
        let TradeRow { source, epoch, offset, symbol, time_ms, price, volume } = row;
        let equal = source == SOURCE
            && (*epoch, *offset) == entry.id
            && *symbol == entry.sent.symbol
            && *time_ms == entry.sent.time_ms
            && (price.to_bits(), volume.to_bits()) == (entry.reals.0.to_bits(), entry.reals.1.to_bits());
        ensure!(equal, "stored {row:?}, journaled {entry:?}");
    }
    same(&ledger.minutes, &database.minutes()?).map_err(anyhow::Error::msg).context("minute_trades")?;
    same(&ledger.days, &database.days(&ledger.days)?).map_err(anyhow::Error::msg).context("daily_trades")?;
    ledger.missed_are_told(&database.gaps()?).context("feed_gaps")
}

/// At the end of a home: the whole journal again, every row again, the windows from scratch, and, where there are two
/// stores, both the same byte for byte: coverage, revisions and gaps as well.
pub async fn all_is_right(shelf: &Shelf, ledger: &Ledger, aggregators: &[usize]) -> Result<()> {
    let gateway = shelf.machine(Part::Gateway).lock().await.http.clone();
    let mut again = Ledger::of(ledger.frames.clone());
    again.take(&Journal::read(&gateway, SOURCE, 0).await?).context("the journal read again")?;
    ensure!(again.entries.len() == ledger.entries.len(), "the journal read again has other trades");
    again.nothing_received_is_missing()?;
    again.reckon_days();
    for n in aggregators {
        stored_is_right(&shelf.database(*n).await?, &again, 0).with_context(|| format!("aggregator {n}"))?;
    }
    if shelf.stores == Stores::One || aggregators.len() < 2 {
        return Ok(());
    }
    // A tick may be with one of them already.
    eventually(Duration::from_secs(20), "both stores are the same", async || {
        let (one, other) = (shelf.database(0).await?, shelf.database(1).await?);
        for (table, order) in TABLES {
            let (a, b) = (one.dump(table, order, &[])?, other.dump(table, order, &[])?);
            let differing = a.lines().zip(b.lines()).find(|(a, b)| a != b);
            ensure!(a == b, "{table}: the first rows that differ: {differing:#?}");
        }
        Ok(())
    })
    .await
}

/// What a store holds is committed: first the store is asked, then the journal, which never takes a commit back. False
/// where one of them does not answer at the moment.
pub async fn only_committed_is_stored(shelf: &Shelf, n: usize) -> Result<bool> {
    let Ok(database) = shelf.database(n).await else { return Ok(false) };
    let Ok(newest) = database.number("SELECT COALESCE(MAX(journal_offset), -1) FROM trades") else {
        return Ok(false);
    };
    let gateway = shelf.machine(Part::Gateway).lock().await.http.clone();
    let path = format!("/api/v1/journal/{SOURCE}?from=0&to=1");
    let ask = gateway.number_in_header(&path, "tickberry-committed");
    let Ok(Ok(committed)) = tokio::time::timeout(Duration::from_millis(300), ask).await else {
        return Ok(false);
    };
    ensure!(newest < committed as i64, "aggregator {n} holds offset {newest}, committed is {committed}");
    Ok(true)
}
