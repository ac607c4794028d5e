//! What a refresh costs: each query against a month of data, CPU time of the servers. Ignored: it takes minutes.
//!
//!     cargo test -p tickberry-tests --test grafana -- --ignored --nocapture cost

use crate::lab::BUCKET;
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tickberry_tests::grafana::{
    Asked, Kind, Moment, SOURCE, TRADES_BUCKET, ask, calm, dashboards, of_dashboard, pipeline,
};
use tickberry_tests::harness::{Grafana, GrafanaOptions, Influx, Process, TempHome, eventually, turn};
use tickberry_tests::influxql::{Point, Range};

const DAY_MS: i64 = 86_400_000;
/// As many symbols as a busy watch list has, and as many trades a second.
const SYMBOLS: [&str; 10] = [
    "BINANCE:BTCUSDT",
    "BINANCE:ETHUSDT",
    "BINANCE:SOLUSDT",
    "BINANCE:XRPUSDT",
    "BINANCE:BNBUSDT",
    "BINANCE:DOGEUSDT",
    "BINANCE:ADAUSDT",
    "AAPL",
    "MSFT",
    "NVDA",
];
const TRADES_PER_SECOND: i64 = 33;
const RUNS: u32 = 50;

/// CPU time of all threads so far.
fn cpu(process: &Process) -> Result<Duration> {
    let tasks = format!("/proc/{}/task", process.pid()?);
    let mut ns = 0;
    for task in std::fs::read_dir(tasks)? {
        // A thread may end in between.
        if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
            ns += text.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(ns))
}

/// Size of all files below a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Waits until the server has done what it does after writes.
async fn idle(process: &Process) {
    let mut before = cpu(process).unwrap();
    let mut calm = 0;
    eventually(Duration::from_secs(300), "the server is idle", async || {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = cpu(process)?;
        let used = now - before;
        before = now;
        calm = if used < Duration::from_millis(20) { calm + 1 } else { 0 };
        ensure!(calm >= 5, "{used:?} in 0.5 s");
        Ok(())
    })
    .await
    .unwrap();
}

/// Thirty days of minutes and pipeline, one day of trades: more of them lie in files that a query of minutes never opens.
async fn fill(influx: &Influx, now_ms: i64) -> (usize, usize) {
    let (mut rng, mut lines, mut minutes, mut trades) = (StdRng::seed_from_u64(5), Vec::new(), 0, 0);
    for start_ms in (now_ms - 30 * DAY_MS..now_ms).step_by(60_000) {
        let start_ms = start_ms.div_euclid(60_000) * 60_000;
        for symbol in SYMBOLS {
            let price = 100.0 + f64::from(rng.random_range(0..100_000)) / 100.0;
            let point =
                Point::new("minute_trades", &[("source", SOURCE), ("symbol", symbol)], start_ms * 1_000_000)
                    .float("open", price)
                    .float("high", price + 1.25)
                    .float("low", price - 1.5)
                    .float("close", price + 0.25)
                    .float("volume", f64::from(rng.random_range(1..1_000_000)) / 1e5)
                    .integer("trade_count", rng.random_range(1..400))
                    .float("vwap", price + rng.random_range(-1.0..1.0))
                    .float("avg_price", price + rng.random_range(-1.0..1.0))
                    .float("coverage", if rng.random_bool(0.001) { 0.5 } else { 1.0 })
                    .integer("revision", i64::from(rng.random_bool(0.01)))
                    .integer("final", i64::from(start_ms + 60_000 < now_ms));
            lines.push(point.line());
        }
        if start_ms % (6 * 3_600_000) < 60_000 {
            let gap = Point::new("feed_gaps", &[("source", SOURCE), ("symbol", "*")], start_ms * 1_000_000);
            lines.push(
                gap.integer("start_ms", start_ms)
                    .integer("end_ms", start_ms + 9_000)
                    .text("reason", "disconnect")
                    .line(),
            );
        }
        for step in 0..4 {
            let moment =
                Moment { count: (start_ms + step * 15_000) / 1_000, ..calm(start_ms + step * 15_000) };
            lines.extend(pipeline(&moment).iter().map(Point::line));
        }
        if lines.len() > 50_000 {
            minutes += lines.len();
            influx.write(BUCKET, &std::mem::take(&mut lines)).await.unwrap();
        }
    }
    minutes += lines.len();
    influx.write(BUCKET, &std::mem::take(&mut lines)).await.unwrap();
    for second in 0..DAY_MS / 1_000 {
        for i in 0..TRADES_PER_SECOND {
            let time_ns =
                (now_ms - DAY_MS + second * 1_000 + i * 30) * 1_000_000 + second * TRADES_PER_SECOND + i;
            let symbol = SYMBOLS[rng.random_range(0..SYMBOLS.len())];
            let mut line = format!("trades,source={SOURCE},symbol={symbol} epoch=1i,journal_offset={i}i");
            let price = 100.0 + f64::from(rng.random_range(0..100_000)) / 100.0;
            write!(line, ",price={price},volume=0.5,received_ms={}i {time_ns}", time_ns / 1_000_000).unwrap();
            lines.push(line);
        }
        if lines.len() > 50_000 {
            trades += lines.len();
            influx.write(TRADES_BUCKET, &std::mem::take(&mut lines)).await.unwrap();
        }
    }
    trades += lines.len();
    influx.write(TRADES_BUCKET, &lines).await.unwrap();
    (minutes, trades)
}

/// CPU time of one asking, in ms: of InfluxDB, of Grafana.
async fn measure(influx: &Influx, grafana: &Grafana, asked: &Asked, range: &Range) -> (f64, f64) {
    for _ in 0..3 {
        ask(grafana, "tickberry", asked, range).await.unwrap();
    }
    let before = (cpu(&influx.process).unwrap(), cpu(&grafana.process).unwrap());
    for _ in 0..RUNS {
        ask(grafana, "tickberry", asked, range).await.unwrap();
    }
    let ms = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e3 / f64::from(RUNS);
    (ms(cpu(&influx.process).unwrap(), before.0), ms(cpu(&grafana.process).unwrap(), before.1))
}

#[tokio::test]
#[ignore = "measures; takes minutes"]
async fn cost_of_a_refresh() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-cost");
    let influx = Influx::start(&home).await.unwrap();
    let minutes_id = influx.bucket_kept(BUCKET, 5 * 365 * 86_400).await.unwrap();
    let trades_id = influx.bucket_kept(TRADES_BUCKET, 7 * 86_400).await.unwrap();
    let token = influx.reader(&[&minutes_id, &trades_id]).await.unwrap();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let (minutes, trades) = fill(&influx, now_ms).await;
    println!("{minutes} points of minutes and pipeline, {trades} trades");
    let mut options = GrafanaOptions::new(BUCKET, &token);
    // Rules would be asked in between.
    options.provisioning = home.join("provisioning");
    for folder in ["datasources", "dashboards"] {
        let from = tickberry_tests::harness::project_files()
            .join("provisioning")
            .join(folder)
            .join("tickberry.yaml");
        std::fs::create_dir_all(options.provisioning.join(folder)).unwrap();
        std::fs::copy(from, options.provisioning.join(folder).join("tickberry.yaml")).unwrap();
    }
    let grafana = Grafana::start(&home, &influx.base(), &options).await.unwrap();
    idle(&influx.process).await;
    idle(&grafana.process).await;
    for (name, id) in [(BUCKET, &minutes_id), (TRADES_BUCKET, &trades_id)] {
        println!("{name}: {:.1} MB on disk", bytes(&home.join("engine/data").join(id)) as f64 / 1e6);
    }
    for (file, board) in dashboards().unwrap() {
        let spans = if file == "market.json" {
            [15 * 60_000, DAY_MS, 30 * DAY_MS]
        } else {
            [3_600_000, DAY_MS, 30 * DAY_MS]
        };
        let mut sums = [0.0; 4];
        println!(
            "\n{file}: ms of one core; the default range (InfluxDB, Grafana), a day, 30 days (InfluxDB)\n"
        );
        let asked = of_dashboard(&board).unwrap();
        for asked in asked.iter().filter(|asked| asked.kind != Kind::Variable && asked.always) {
            let mut ms = Vec::new();
            for (i, span) in spans.into_iter().enumerate() {
                let interval_ms = asked.interval_ms.max(span / asked.steps);
                let range = Range { from_ms: now_ms - span, to_ms: now_ms, interval_ms, now_ms };
                let (of_influx, of_grafana) = measure(&influx, &grafana, asked, &range).await;
                ms.push(of_influx);
                if i == 0 {
                    ms.push(of_grafana);
                }
            }
            sums.iter_mut().zip(&ms).for_each(|(sum, ms)| *sum += ms);
            println!("| {} | {:.1} | {:.1} | {:.1} | {:.1} |", asked.name, ms[0], ms[1], ms[2], ms[3]);
        }
        println!("| sum | {:.1} | {:.1} | {:.1} | {:.1} |", sums[0], sums[1], sums[2], sums[3]);
    }
}
