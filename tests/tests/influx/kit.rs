//! What several of these tests want to know.

use anyhow::{Context, Result, ensure};
use tickberry_tests::harness::{Client, InfluxStore, Journal, SOURCE, TempHome, Up, UpOptions};
use tickberry_tests::oracle::{Sent, days, matched, minutes, same};

/// Options of an `up` whose store is `influx`.
pub(crate) fn options(home: &TempHome, feed: std::net::SocketAddr, influx: &InfluxStore) -> UpOptions {
    let mut options = UpOptions::new(home, feed);
    options.environment.extend(influx.environment());
    options
}

/// All three tables of numbers against the oracle.
pub(crate) async fn compare(influx: &InfluxStore, sent: &[Sent]) -> Result<()> {
    let rows = influx.trades().await?;
    let trades = matched(sent, &rows).map_err(anyhow::Error::msg).context("trades")?;
    same(&minutes(&trades), &influx.minutes().await?).map_err(anyhow::Error::msg).context("minute_trades")?;
    let days = days(&trades);
    same(&days, &influx.days(&days).await?).map_err(anyhow::Error::msg).context("daily_trades")
}

/// The store holds what the journal has, each trade under its identity once, and the windows of just those.
pub(crate) async fn agree(influx: &InfluxStore, http: &Client) -> Result<usize> {
    let journal = Journal::read(http, SOURCE, 0).await?;
    ensure!(journal.lost.is_empty(), "lost: {:?}", journal.lost);
    let rows = influx.trades().await?;
    let identities = rows.iter().map(|row| (row.epoch, row.offset));
    ensure!(
        identities.eq(journal.trades.keys().copied()),
        "{} stored, {} in the journal",
        rows.len(),
        journal.trades.len()
    );
    matched(&journal.sent(), &rows).map_err(anyhow::Error::msg)?;
    same(&minutes(&journal.exact()?), &influx.minutes().await?).map_err(anyhow::Error::msg)?;
    Ok(rows.len())
}

/// Resident bytes of a process.
pub(crate) fn resident(up: &Up) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.process.pid()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
