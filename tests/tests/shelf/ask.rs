//! What is asked of the shelf, from where it may be asked.

use std::path::Path;
use std::time::Duration;

use crate::kit::agree;
use crate::{CONSOLE, GATEWAY, STORE};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tickberry_tests::harness::influx_store::MINUTES;
use tickberry_tests::harness::lab::{Lab, RUN, address, enter};
use tickberry_tests::harness::{Client, InfluxStore, Journal, SOURCE, eventually};
use tickberry_tests::oracle::Windows;

/// A restart of the gateway costs less than this.
const RESTART_MS: i64 = 3_000;

/// What the store on the shelf holds, asked on its own host.
pub(crate) fn influx() -> Result<InfluxStore> {
    InfluxStore::running("127.0.0.1:8086".parse()?, &Path::new(RUN).join("secrets"))
}

/// Asks on the store's own host.
pub(crate) async fn on_store<T>(ask: impl AsyncFnOnce(InfluxStore) -> Result<T>) -> Result<T> {
    enter(&format!("tickberry-lab-{STORE}"))?;
    let answer = ask(influx()?).await;
    enter("tickberry-lab")?;
    answer
}

/// The gateway's own HTTP.
pub(crate) fn gateway() -> Result<Client> {
    Ok(Client::new(format!("{}:9181", address(GATEWAY)).parse()?))
}

/// The journal, and that the store holds just what is in it; how many trades.
pub(crate) async fn store_and_journal_agree() -> Result<usize> {
    // Gateway and store are for the hosts only, so this asks as one of them.
    on_store(async |influx| {
        eventually(Duration::from_secs(150), "store and journal agree", async || {
            agree(&influx, &gateway()?).await
        })
        .await
    })
    .await
}

pub(crate) async fn journal() -> Result<Journal> {
    on_store(async |_| Journal::read(&gateway()?, SOURCE, 0).await).await
}

/// `tickberry audit` on the shelf, over all there is.
pub(crate) async fn audited(lab: &Lab) -> Result<String> {
    let words = format!("tickberry audit --http {}:8080 --since 3000d", address(CONSOLE));
    let said = lab.on(CONSOLE, &words).await?;
    ensure!(said.contains(" 0 differ") && !said.contains(" 0 minutes equal"), "{said}");
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

/// Trades go on: the journal has more of them than at the first time that it answers.
pub(crate) async fn goes_on() -> Result<()> {
    on_store(async |_| {
        let mut before = None;
        eventually(Duration::from_secs(120), "trades arrive", async || {
            let now = Journal::read(&gateway()?, SOURCE, 0).await?.trades.len();
            let before = *before.get_or_insert(now);
            ensure!(now > before + 20, "{now}, {before} before");
            Ok(())
        })
        .await
    })
    .await
}

/// Each of these hosts has this version of the package.
pub(crate) async fn installed(lab: &Lab, hosts: &[&str], version: &str) -> Result<()> {
    for host in hosts {
        let have = lab.on(host, "dpkg-query --show --showformat '${Version}' tickberry").await?;
        ensure!(have.split('-').next() == Some(version), "{host} has {have}, not {version}");
    }
    Ok(())
}

/// What is for the hosts only does not answer to a machine beside them.
pub(crate) async fn closed_to_the_lan() -> Result<()> {
    for (host, port) in [(GATEWAY, 9181), (CONSOLE, 8883), (STORE, 8086)] {
        let place = format!("{}:{port}", address(host));
        let there = tokio::net::TcpStream::connect(&place);
        let answer = tokio::time::timeout(Duration::from_secs(2), there).await;
        ensure!(!matches!(answer, Ok(Ok(_))), "{place} lets anybody in");
    }
    let page = Client::new(format!("{}:8080", address(CONSOLE)).parse()?);
    page.body("/").await.map(drop).context("the page")
}

pub(crate) async fn windows() -> Result<Windows> {
    on_store(async |influx| influx.minutes().await).await
}

/// Those of them that no trade of this time or later can change: trades are late by a second at most here.
pub(crate) fn settled(mut windows: Windows, at_ms: i64) -> Windows {
    windows.retain(|(_, start_ms), _| start_ms + 60_000 + 5_000 <= at_ms);
    windows
}

/// Start and end, in ms, of the gaps between two times.
pub(crate) async fn gaps(influx: &InfluxStore, from_ms: i64, until_ms: i64) -> Result<Vec<(i64, i64)>> {
    let rows = influx.influxql(MINUTES, "SELECT start_ms, end_ms, reason FROM feed_gaps").await?;
    let number =
        |row: &std::collections::BTreeMap<String, Value>, name: &str| row.get(name).and_then(Value::as_i64);
    let all = rows.iter().filter_map(|row| Some((number(row, "start_ms")?, number(row, "end_ms")?)));
    Ok(all.filter(|(start, end)| *start > from_ms && *end < until_ms).collect())
}

/// The gap that the gateway's restart between two times has left: short, and its minute says so.
pub(crate) async fn restart_gap(from_ms: i64, until_ms: i64) -> Result<i64> {
    on_store(async |influx| {
        eventually(Duration::from_secs(90), "the restart is a gap", async || {
            let all = gaps(&influx, 0, i64::MAX).await?;
            let gaps = gaps(&influx, from_ms, until_ms).await?;
            ensure!(!gaps.is_empty(), "no gap between {from_ms} and {until_ms}: {all:?}");
            let longest = gaps.iter().map(|(start, end)| end - start).max().unwrap_or_default();
            ensure!(
                longest > 0 && longest < RESTART_MS,
                "{gaps:?} between {from_ms} and {until_ms}, of {all:?}"
            );
            let minute = gaps[0].0.div_euclid(60_000) * 60_000;
            let question = format!("SELECT coverage FROM minute_trades WHERE time = {minute}ms");
            let rows = influx.influxql(MINUTES, &question).await?;
            let covered: Vec<f64> = rows.iter().filter_map(|row| row.get("coverage")?.as_f64()).collect();
            let shown = !covered.is_empty() && covered.iter().all(|part| (0.9..1.0).contains(part));
            ensure!(shown, "coverage {covered:?} of the minute {minute} with {gaps:?}");
            Ok(longest)
        })
        .await
    })
    .await
}
