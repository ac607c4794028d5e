//! The journal over HTTP, read from an offset to its committed end.

use super::Client;
use crate::oracle::{Sent, Trade};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use tickberry_wire::{Batch, Body, decode};

/// What a journal holds from some offset on.
#[derive(Debug, Default)]
pub struct Journal {
    /// Trades and price updates by (epoch, offset), texts as they were sent.
    pub trades: BTreeMap<(i64, i64), Sent>,
    /// First offsets and numbers of records that can't be had any more.
    pub lost: Vec<(u64, u64)>,
    /// Everything else, in order.
    pub others: Vec<Batch>,
    /// Next offset behind what was read.
    pub end: u64,
}

impl Journal {
    /// Reads `/api/v1/journal/{source}?from=` to the end; an error if an offset is missing or comes twice.
    pub async fn read(client: &Client, source: &str, from: u64) -> Result<Journal> {
        let body = client.body(&format!("/api/v1/journal/{source}?from={from}")).await?;
        let mut journal = Journal { end: from, ..Journal::default() };
        let mut rest = body.as_slice();
        let mut first = true;
        while !rest.is_empty() {
            let (length, after) = rest.split_at_checked(4).context("the stream ends within a length")?;
            let length = u32::from_le_bytes(length.try_into()?) as usize;
            let (bytes, after) = after.split_at_checked(length).context("the stream ends within a batch")?;
            rest = after;
            let batch = decode(bytes).map_err(|e| anyhow::anyhow!("offset {}: {e}", journal.end))?;
            // The first batch may begin before what was asked for; after it each begins where the last ended.
            let begins = if first { batch.first_offset <= from } else { batch.first_offset == journal.end };
            ensure!(begins, "after offset {} comes {}", journal.end, batch.first_offset);
            first = false;
            journal.take(batch);
        }
        Ok(journal)
    }

    fn take(&mut self, batch: Batch) {
        self.end = batch.end_offset();
        match &batch.body {
            Body::Trades(trades) => {
                let epoch = batch.epoch.get() as i64;
                for (offset, trade) in (batch.first_offset..).zip(trades) {
                    let sent = Sent {
                        symbol: trade.symbol.as_str().to_owned(),
                        time_ms: trade.time_ms,
                        price: trade.price.to_string(),
                        volume: trade.volume.to_string(),
                    };
                    self.trades.insert((epoch, offset as i64), sent);
                }
            }
            Body::Lost { count, .. } => self.lost.push((batch.first_offset, *count)),
            _ => self.others.push(batch),
        }
    }

    /// Its trades for the oracle.
    pub fn exact(&self) -> Result<Vec<Trade>> {
        let exact = |((epoch, offset), sent): (&(i64, i64), &Sent)| Trade::new(sent, *epoch, *offset);
        self.trades.iter().map(exact).collect::<Result<_, String>>().map_err(anyhow::Error::msg)
    }

    /// Its trades as sent, in the order of their identity.
    pub fn sent(&self) -> Vec<Sent> {
        self.trades.values().cloned().collect()
    }

    /// An error unless every published trade is here under its identity, digit for digit.
    pub fn holds(&self, published: &BTreeMap<(i64, i64), Sent>) -> Result<()> {
        let wrong: Vec<_> =
            published.iter().filter(|(id, sent)| self.trades.get(*id) != Some(*sent)).collect();
        if let Some((id, sent)) = wrong.first() {
            let have = self.trades.get(*id);
            bail!(
                "{} of {} published trades are not in the journal; the first: {id:?} {sent:?}, there: {have:?}",
                wrong.len(),
                published.len()
            );
        }
        Ok(())
    }
}
