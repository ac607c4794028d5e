//! The expected minutes and days, as the design words them.

use super::exact::{Exact, nearest};
use super::trade::Trade;
use num_bigint::BigInt;
use num_traits::Zero;
use std::collections::BTreeMap;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// 2000-01-01 and 2200-01-01 UTC: a trade outside is stored but opens no window.
const PLAUSIBLE_MS: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// The numbers of a window, each the double nearest to the exact value.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// First price by (time, epoch, offset).
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price by (time, epoch, offset).
    pub close: f64,
    /// Sum of the volumes.
    pub volume: f64,
    /// Number of trades.
    pub trade_count: i64,
    /// Sum of price · volume over the sum of volumes.
    pub vwap: f64,
    /// Mean of the prices.
    pub avg_price: f64,
}

impl Window {
    /// Of a row whose columns have the fields' names; `real` gives one of them.
    ///
    /// # Errors
    /// Those of `real`.
    pub fn of_row<E>(trade_count: i64, real: impl Fn(&str) -> Result<f64, E>) -> Result<Window, E> {
        Ok(Window {
            open: real("open")?,
            high: real("high")?,
            low: real("low")?,
            close: real("close")?,
            volume: real("volume")?,
            trade_count,
            vwap: real("vwap")?,
            avg_price: real("avg_price")?,
        })
    }
}

/// Windows by (symbol, start in ms).
pub type Windows = BTreeMap<(String, i64), Window>;

/// The expected `minute_trades`.
pub fn minutes(trades: &[Trade]) -> Windows {
    windows(trades, MINUTE_MS)
}

/// The expected `daily_trades` (UTC); keys are the ms of midnight.
pub fn days(trades: &[Trade]) -> Windows {
    windows(trades, DAY_MS)
}

fn windows(trades: &[Trade], width_ms: i64) -> Windows {
    let mut members: BTreeMap<(String, i64), Vec<&Trade>> = BTreeMap::new();
    for trade in trades {
        if trade.volume.is_zero() || !PLAUSIBLE_MS.contains(&trade.time_ms) {
            continue;
        }
        let start = trade.time_ms.div_euclid(width_ms) * width_ms;
        members.entry((trade.symbol.clone(), start)).or_default().push(trade);
    }
    members.into_iter().map(|(key, trades)| (key, window(&trades))).collect()
}

/// A window of at least one trade.
fn window(trades: &[&Trade]) -> Window {
    let by_order = |t: &&&Trade| t.order();
    let first = trades.iter().min_by_key(by_order).expect("a window has a trade");
    let last = trades.iter().max_by_key(by_order).expect("a window has a trade");
    let high = trades.iter().map(|t| &t.price).max().expect("a window has a trade");
    let low = trades.iter().map(|t| &t.price).min().expect("a window has a trade");
    let volume = sum(trades.iter().map(|t| (t.volume.numer().clone(), t.volume.denom().clone())));
    let turnover = sum(trades.iter().map(|t| product(&t.price, &t.volume)));
    let prices = sum(trades.iter().map(|t| (t.price.numer().clone(), t.price.denom().clone())));
    let count = Exact::from_integer(BigInt::from(trades.len()));
    Window {
        open: nearest(&first.price),
        high: nearest(high),
        low: nearest(low),
        close: nearest(&last.price),
        vwap: nearest(&(turnover / &volume)),
        volume: nearest(&volume),
        trade_count: trades.len() as i64,
        avg_price: nearest(&(prices / count)),
    }
}

/// As numerator and denominator, not reduced.
fn product(a: &Exact, b: &Exact) -> (BigInt, BigInt) {
    (a.numer() * b.numer(), a.denom() * b.denom())
}

/// An exact sum of fractions. Those of one denominator are added first: a common divisor is sought a few times instead
/// of once a trade.
fn sum(fractions: impl Iterator<Item = (BigInt, BigInt)>) -> Exact {
    let mut by_denominator: BTreeMap<BigInt, BigInt> = BTreeMap::new();
    for (numerator, denominator) in fractions {
        *by_denominator.entry(denominator).or_default() += numerator;
    }
    by_denominator.into_iter().map(|(denominator, numerator)| Exact::new(numerator, denominator)).sum()
}
