//! Market data for the dashboards: made from trades by the oracle, not by the aggregator or the store.

use crate::generate;
use crate::influxql::{Point, Range};
use crate::oracle::{in_arrival_order, minutes, nearest};
use anyhow::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// The source the dashboards look at.
pub const SOURCE: &str = "finnhub";
/// The symbol.
pub const SYMBOL: &str = "BINANCE:BTCUSDT";
/// The bucket of trades that the Market dashboard names.
pub const TRADES_BUCKET: &str = "tickberry_trades";
const MINUTE_MS: i64 = 60_000;

/// What the two buckets hold.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// `tickberry`: minutes, gaps, pipeline points.
    pub minutes: Vec<Point>,
    /// `tickberry_trades`.
    pub trades: Vec<Point>,
}

impl Buckets {
    /// From the first to the last point, in steps of `interval_ms`.
    pub fn range(&self, interval_ms: i64) -> Range {
        let times = || self.minutes.iter().chain(&self.trades).map(|point| point.time_ns);
        let ms = |ns: Option<i64>| ns.unwrap_or_default().div_euclid(1_000_000);
        // The end is not a multiple of a step, and cuts the newest points off.
        Range { from_ms: ms(times().min()), to_ms: ms(times().max()) - 1, interval_ms, now_ms: now_ms() }
    }
}

/// The time, ms since 1970 UTC.
pub fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Trades of two sources and two symbols, their minutes, and gaps.
pub fn market(seed: u64, start_ms: i64, count: usize) -> Result<Buckets> {
    let mut all = Buckets::default();
    for (source, seed) in [(SOURCE, seed), ("simulated", seed + 1)] {
        let sent = generate::trades(seed, start_ms, count);
        let trades = in_arrival_order(&sent).map_err(anyhow::Error::msg)?;
        for trade in &trades {
            // Unique for as long as the journal has less than a million records.
            let time_ns = trade.time_ms * 1_000_000 + trade.offset;
            let point = Point::new("trades", &[("source", source), ("symbol", &trade.symbol)], time_ns);
            let point = point.integer("epoch", trade.epoch).integer("journal_offset", trade.offset);
            all.trades
                .push(point.float("price", nearest(&trade.price)).float("volume", nearest(&trade.volume)));
        }
        let windows = minutes(&trades);
        let last = windows.keys().map(|(_, start)| *start).max().unwrap_or_default();
        for ((symbol, start_ms), window) in &windows {
            let number = (start_ms - trades[0].time_ms).div_euclid(MINUTE_MS);
            let point =
                Point::new("minute_trades", &[("source", source), ("symbol", symbol)], start_ms * 1_000_000)
                    .float("open", window.open)
                    .float("high", window.high)
                    .float("low", window.low)
                    .float("close", window.close)
                    .float("volume", window.volume)
                    .integer("trade_count", window.trade_count)
                    .float("vwap", window.vwap)
                    .float("avg_price", window.avg_price)
                    .float("coverage", if number % 4 == 1 { 0.75 } else { 1.0 })
                    .integer("revision", if number % 5 == 2 { 3 } else { 0 })
                    .integer("final", i64::from(*start_ms < last));
            all.minutes.push(point);
        }
    }
    let gaps = [
        (SOURCE, "*", 20, "disconnect"),
        (SOURCE, SYMBOL, 90, "limit"),
        (SOURCE, "BINANCE:ETHUSDT", 130, "limit"),
        ("simulated", "*", 170, "stall"),
    ];
    for (source, symbol, second, reason) in gaps {
        let from_ms = start_ms + second * 1_000;
        let point =
            Point::new("feed_gaps", &[("source", source), ("symbol", symbol)], from_ms * 1_000_000 + second);
        all.minutes.push(
            point.integer("start_ms", from_ms).integer("end_ms", from_ms + 15_000).text("reason", reason),
        );
    }
    Ok(all)
}

/// The same with a field of a measurement under another name.
pub fn renamed(points: &[Point], measurement: &str, field: &str) -> Vec<Point> {
    let mut points = points.to_vec();
    for point in points.iter_mut().filter(|point| point.measurement == measurement) {
        if let Some(value) = point.fields.remove(field) {
            point.fields.insert(format!("{field}_2"), value);
        }
    }
    points
}
