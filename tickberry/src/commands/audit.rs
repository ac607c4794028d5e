//! `tickberry audit`: recompute the minutes from the journal and compare them, and the trades, with the store.

mod trades;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;
use tickberry_aggregator::frames::Frames;
use tickberry_aggregator::window::{Fold, FoldConfig};
use tickberry_service::config::duration;
use tickberry_service::exit::{Code, Failure};
use tickberry_wire::json::MinuteJson;
use tickberry_wire::{Body, Columns, Source, decode_columns};

use self::trades::{Found, Trades};
use super::status::{self, Stream};
use crate::cli::Audit;
use crate::config::File;

/// A late trade may revise a minute between reading the journal and reading the store; so differences are looked at again.
const LOOKS: usize = 3;
/// Batches between two collections of what the fold tells.
const BATCHES: usize = 4096;
/// Rows asked for at once.
const ROWS: usize = 50_000;
const MINUTE_MS: i64 = 60_000;

type Key = (String, i64);

pub(crate) async fn run(options: Audit, file: &File) -> Result<ExitCode, Failure> {
    let at = options.remote.http.unwrap_or(file.http.console);
    let since = duration::parse(&options.since)
        .map_err(|why| Failure::new(Code::Usage, format!("--since: {why}")))?;
    let since_ms =
        i64::try_from(since.as_millis()).map_err(|_| Failure::new(Code::Usage, "--since is too long"))?;
    let first = status::ask(at).await?;
    if first.streams.is_empty() {
        return Err(Failure::new(Code::Unavailable, "no store reports yet; try again in a moment"));
    }
    let mut equal = true;
    for stream in &first.streams {
        equal &= audit(at, &stream.source, since_ms, file.aggregator.fold()).await?;
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::from(Code::Failure as u8) })
}

async fn audit(at: SocketAddr, source: &str, since_ms: i64, config: FoldConfig) -> Result<bool, Failure> {
    let mut recomputed = Recomputed::new(at, source, config)?;
    let mut look = 1;
    loop {
        recomputed.read(stored(at, source).await?.stored).await?;
        let expected = recomputed.since(since_ms);
        let found = recomputed.stored(&expected).await?;
        let differences = compare(&expected, &found);
        let trades = recomputed.stored_trades(since_ms).await?;
        let is_equal = differences.is_empty() && trades.lost == 0 && trades.doubled == 0;
        if is_equal || look == LOOKS {
            let mut out = report(source, expected.len(), &differences, &recomputed, since_ms);
            let Found { trades, lost, doubled } = trades;
            out += &format!("{source}: {trades} trades, {lost} lost, {doubled} doubled\n");
            super::print(out.as_bytes())?;
            return Ok(is_equal);
        }
        look += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn stored(at: SocketAddr, source: &str) -> Result<Stream, Failure> {
    let streams = status::ask(at).await?.streams;
    let of_source = streams.into_iter().find(|stream| stream.source == source);
    of_source.ok_or_else(|| Failure::new(Code::Unavailable, format!("{source} is not reported any more")))
}

fn report(
    source: &str,
    minutes: usize,
    differences: &[String],
    recomputed: &Recomputed,
    since_ms: i64,
) -> String {
    let mut out: String = differences.iter().take(20).map(|line| format!("{source}: {line}\n")).collect();
    let newest = recomputed.newest();
    let gaps = recomputed.gaps.iter().filter(|(from, to)| *from > 0 && *to > newest - since_ms);
    let (count, total) = gaps.fold((0, 0), |(count, total), (from, to)| (count + 1, total + to - from));
    let equal = minutes - differences.len().min(minutes);
    out += &format!(
        "{source}: {equal} minutes equal, {} differ, {count} gaps ({})\n",
        differences.len(),
        duration::display(Duration::from_millis(u64::try_from(total).unwrap_or(0)))
    );
    out
}

/// The journal, folded again.
struct Recomputed {
    /// The console's address.
    at: SocketAddr,
    source: Source,
    fold: Fold,
    /// The batch at hand.
    columns: Columns,
    next: u64,
    /// Minutes before this may lack trades that the journal holds no more.
    whole_from_ms: Option<i64>,
    minutes: BTreeMap<Key, MinuteJson>,
    trades: Trades,
    /// Offsets that the journal does not hold any more: the store may.
    unknown: Vec<Range<u64>>,
    gaps: Vec<(i64, i64)>,
}

impl Recomputed {
    fn new(at: SocketAddr, source: &str, config: FoldConfig) -> Result<Self, Failure> {
        let source = source.parse().map_err(|error| Failure::new(Code::Failure, error))?;
        let fold = Fold::new(config);
        Ok(Self {
            at,
            source,
            fold,
            columns: Columns::default(),
            next: 0,
            whole_from_ms: None,
            minutes: BTreeMap::new(),
            trades: Trades::default(),
            unknown: Vec::new(),
            gaps: Vec::new(),
        })
    }

    /// Reads on up to an offset.
    async fn read(&mut self, to: u64) -> Result<(), Failure> {
        let source = self.source.clone();
        let broken = |why: String| {
            Failure::new(Code::Unavailable, format!("the journal of {source} cannot be read: {why}"))
        };
        let client = client()?;
        let mut from = self.next;
        // In `up` the console's address serves it, too.
        let mut journal = format!("http://{}/api/v1/journal/{}", self.at, self.source);
        let mut is_gateways = false;
        let answer = loop {
            if from >= to {
                return Ok(());
            }
            let url = format!("{journal}?from={from}&to={to}");
            let answer = client.get(url).send().await.map_err(|error| broken(super::root_cause(&error)))?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND && !is_gateways {
                let feeds = status::ask(self.at).await?.feeds;
                let feed = feeds.into_iter().find(|feed| feed.source == *self.source.as_str());
                let address = feed.and_then(|feed| feed.journal);
                journal = address.ok_or_else(|| broken("no gateway says where it is".to_owned()))?;
                is_gateways = true;
                continue;
            }
            if answer.status() != reqwest::StatusCode::GONE {
                break answer.error_for_status().map_err(|error| broken(error.without_url().to_string()))?;
            }
            let text = answer.bytes().await.map_err(|error| broken(super::root_cause(&error)))?;
            let gone: Gone = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
            if gone.first <= from {
                return Err(broken(format!(
                    "it says that {from} is gone, and that it begins at {}",
                    gone.first
                )));
            }
            from = gone.first;
        };
        if from > self.next || self.next == 0 {
            self.whole_from_ms = if from == 0 { Some(i64::MIN) } else { None };
        }
        let (mut body, mut frames, mut batches) = (answer.bytes_stream(), Frames::default(), 0);
        while let Some(chunk) = body.next().await {
            frames.push(&chunk.map_err(|error| Failure::new(Code::Unavailable, super::root_cause(&error)))?);
            while let Some(frame) = frames.next_frame().map_err(broken)? {
                self.take(&frame)?;
                batches += 1;
                if batches % BATCHES == 0 {
                    self.collect();
                }
            }
        }
        self.collect();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let body = decode_columns(bytes, &mut self.columns)
            .map_err(|error| Failure::new(Code::Io, format!("the journal of {}: {error}", self.source)))?;
        let head = self.columns.head();
        if head.first_offset < self.next {
            return Ok(());
        }
        let newest = self.columns.rows().iter().map(|row| row.time_ms).max();
        if let (None, Some(newest)) = (self.whole_from_ms, newest) {
            self.whole_from_ms = Some(newest - newest.rem_euclid(MINUTE_MS) + MINUTE_MS);
        }
        if head.first_offset > self.next {
            self.unknown.push(self.next..head.first_offset);
        }
        if let Some(Body::Lost { .. }) = &body {
            self.unknown.push(head.first_offset..head.end_offset());
        }
        self.trades.note(&self.columns);
        self.next = head.end_offset();
        self.fold.apply(&self.columns, body.as_ref());
        Ok(())
    }

    fn collect(&mut self) {
        let changes = self.fold.take_changes();
        for minute in changes.minutes {
            self.minutes.insert((minute.symbol.to_string(), minute.start_ms), minute.to_json(&self.source));
        }
        self.gaps.extend(changes.gaps.iter().map(|gap| (gap.start_ms, gap.end_ms)));
    }

    fn newest(&self) -> i64 {
        self.minutes.keys().map(|(_, start)| start + MINUTE_MS).max().unwrap_or(0)
    }

    /// From when on the journal and the store are compared.
    fn from(&self, since_ms: i64) -> i64 {
        (self.newest() - since_ms).max(self.whole_from_ms.unwrap_or(i64::MAX))
    }

    /// The final minutes of the last while, as far as the journal holds them whole.
    fn since(&self, since_ms: i64) -> BTreeMap<Key, MinuteJson> {
        let from = self.from(since_ms);
        let wanted = |((_, start), minute): &(&Key, &MinuteJson)| *start >= from && minute.is_final == 1;
        self.minutes.iter().filter(wanted).map(|(key, minute)| (key.clone(), minute.clone())).collect()
    }

    /// What the store holds of these minutes, and of others of their symbols in between.
    async fn stored(&self, expected: &BTreeMap<Key, MinuteJson>) -> Result<BTreeMap<Key, Row>, Failure> {
        let mut spans: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (symbol, start) in expected.keys() {
            let span = spans.entry(symbol).or_insert((*start, *start));
            *span = (span.0.min(*start), span.1.max(*start));
        }
        let client = client()?;
        let mut found = BTreeMap::new();
        for (symbol, (mut from, last)) in spans {
            loop {
                let at = format!("http://{}/api/v1/minutes", self.at);
                let to = (from + ROWS as i64 * MINUTE_MS).min(last + MINUTE_MS);
                let query = [
                    ("source", self.source.to_string()),
                    ("symbol", symbol.to_owned()),
                    ("from", from.to_string()),
                    ("to", to.to_string()),
                    ("limit", ROWS.to_string()),
                ];
                let cannot = |error: reqwest::Error| {
                    Failure::new(
                        Code::Unavailable,
                        format!("the store's minutes cannot be read: {}", super::root_cause(&error)),
                    )
                };
                let answer =
                    client.get(at).query(&query).send().await.and_then(reqwest::Response::error_for_status);
                let text = answer.map_err(cannot)?.bytes().await.map_err(cannot)?;
                let rows: Vec<Row> = serde_json::from_slice(&text).map_err(|error| {
                    Failure::new(
                        Code::Unavailable,
                        format!("the store's minutes are not understood: {error}"),
                    )
                })?;
                found.extend(rows.into_iter().map(|row| ((symbol.to_owned(), row.start_ms), row)));
                from = to;
                if from > last {
                    break;
                }
            }
        }
        Ok(found)
    }
}

impl Recomputed {
    /// What the store holds of the same while's trades, beside what the journal holds.
    async fn stored_trades(&self, since_ms: i64) -> Result<Found, Failure> {
        let (client, from, mut stored) = (client()?, self.from(since_ms), Trades::default());
        let cannot = |error: reqwest::Error| {
            let why = super::root_cause(&error);
            Failure::new(Code::Unavailable, format!("the store's trades cannot be read: {why}"))
        };
        for symbol in self.trades.symbols() {
            let at = format!("http://{}/api/v1/trades", self.at);
            let query = [("source", self.source.as_str()), ("symbol", symbol), ("from", &from.to_string())];
            let answer =
                client.get(at).query(&query).send().await.and_then(reqwest::Response::error_for_status);
            let (mut body, mut buffer) = (answer.map_err(cannot)?.bytes_stream(), Vec::new());
            while let Some(chunk) = body.next().await {
                buffer.extend_from_slice(&chunk.map_err(cannot)?);
                let whole = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                self.rows(symbol, &buffer[..whole], &mut stored)?;
                buffer.drain(..whole);
            }
            self.rows(symbol, &buffer, &mut stored)?;
        }
        Ok(self.trades.compare(&stored, from))
    }

    /// The answer is an array with a row a line.
    fn rows(&self, symbol: &str, lines: &[u8], stored: &mut Trades) -> Result<(), Failure> {
        for line in lines.split(|byte| *byte == b'\n') {
            let Some(from) = line.iter().position(|byte| *byte == b'{') else { continue };
            let line = line[from..].trim_ascii_end();
            let line = line.strip_suffix(b"]").unwrap_or(line).trim_ascii_end();
            let line = line.strip_suffix(b",").unwrap_or(line);
            let row: trades::Row = serde_json::from_slice(line).map_err(|error| {
                Failure::new(Code::Unavailable, format!("the store's trades are not understood: {error}"))
            })?;
            // It may have taken more since the journal was read.
            let is_known = !self.unknown.iter().any(|range| range.contains(&row.journal_offset));
            if row.journal_offset < self.next && is_known {
                stored.stored(symbol, &row);
            }
        }
        Ok(())
    }
}

fn client() -> Result<reqwest::Client, Failure> {
    reqwest::Client::builder().no_proxy().build().map_err(|error| Failure::new(Code::Failure, error))
}

#[derive(Deserialize)]
struct Gone {
    first: u64,
}

/// A stored minute.
#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    start_ms: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    trade_count: u64,
    vwap: f64,
    avg_price: f64,
    coverage: f64,
    revision: u64,
    #[serde(rename = "final")]
    is_final: u8,
}

impl Row {
    /// What the store must hold of a minute: the doubles nearest to its exact numbers.
    fn of(minute: &MinuteJson) -> Self {
        Self {
            start_ms: minute.start_ms,
            open: minute.open.to_f64(),
            high: minute.high.to_f64(),
            low: minute.low.to_f64(),
            close: minute.close.to_f64(),
            volume: minute.volume.0.parse().unwrap_or(f64::NAN),
            trade_count: minute.trade_count,
            vwap: minute.vwap,
            avg_price: minute.avg_price,
            coverage: minute.coverage,
            revision: minute.revision,
            is_final: minute.is_final,
        }
    }
}

fn compare(expected: &BTreeMap<Key, MinuteJson>, found: &BTreeMap<Key, Row>) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, minute) in expected {
        let wanted = Row::of(minute);
        match found.get(key) {
            None => differences.push(format!("{} {}: not in the store", key.0, time(key.1))),
            Some(row) if *row != wanted => {
                differences.push(format!("{} {}: journal {wanted:?}, store {row:?}", key.0, time(key.1)));
            }
            Some(_) => {}
        }
    }
    for key in found.keys().filter(|key| !expected.contains_key(*key)) {
        differences.push(format!("{} {}: in the store, but not in the journal", key.0, time(key.1)));
    }
    differences
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_seen() {
        let minute: MinuteJson = serde_json::from_str(
            r#"{"source":"s","symbol":"A","start_ms":60000,"open":1,"high":2,"low":1,"close":2,"volume":3.5,"trade_count":2,"vwap":1.5,"avg_price":1.5,"coverage":1,"revision":0,"final":1}"#,
        )
        .unwrap();
        let key = ("A".to_owned(), 60_000);
        let expected = BTreeMap::from([(key.clone(), minute.clone())]);
        let stored = |change: fn(&mut Row)| {
            let mut row = Row::of(&minute);
            change(&mut row);
            BTreeMap::from([(key.clone(), row)])
        };
        assert!(compare(&expected, &stored(|_| {})).is_empty());
        for change in [
            |row: &mut Row| row.volume += f64::EPSILON * 2.0,
            |row: &mut Row| row.trade_count = 1,
            |row: &mut Row| row.revision = 1,
        ] {
            assert_eq!(compare(&expected, &stored(change)).len(), 1);
        }
        assert_eq!(compare(&expected, &BTreeMap::new()).len(), 1);
        assert_eq!(compare(&BTreeMap::new(), &stored(|_| {})).len(), 1);
    }
}
