//! The same windows, computed the slow way with big rationals and no state.

use crate::window::{Exact, Minute};
use num_bigint::BigInt;
use num_rational::Ratio;
use std::collections::BTreeMap;
use tickberry_wire::{Batch, Body, Decimal, Trade, is_plausible_time};

type Big = Ratio<BigInt>;

fn big(decimal: Decimal) -> Big {
    Ratio::new(decimal.mantissa().into(), BigInt::from(10).pow(decimal.scale().into()))
}

/// Of a double, exactly.
fn of_f64(value: f64) -> Big {
    let (bits, sign) = (value.abs().to_bits(), if value < 0.0 { -1 } else { 1 });
    let (exponent, fraction) = ((bits >> 52) as i64, bits & ((1 << 52) - 1));
    let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let power = exponent.max(1) - 1075;
    let scale = BigInt::from(1) << power.unsigned_abs();
    let significand = BigInt::from(significand) * sign;
    if power >= 0 { Ratio::from_integer(significand * scale) } else { Ratio::new(significand, scale) }
}

fn distance(a: &Big, b: &Big) -> Big {
    if a > b { a - b } else { b - a }
}

fn is_nearest(value: f64, exact: &Big) -> bool {
    let off = distance(&of_f64(value), exact);
    [value.next_up(), value.next_down()].iter().all(|other| off <= distance(&of_f64(*other), exact))
}

/// A trade and its (time, epoch, offset).
pub(super) type Placed = ((i64, u64, u64), Trade);

/// The trades that count, by (symbol, minute), in the order that decides open and close.
pub(super) fn members(batches: &[Batch]) -> BTreeMap<(String, i64), Vec<Placed>> {
    let mut members: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for batch in batches {
        let Body::Trades(trades) = &batch.body else { continue };
        for (offset, trade) in (batch.first_offset..).zip(trades) {
            if !trade.is_price_update() && is_plausible_time(trade.time_ms) {
                let key = (trade.symbol.to_string(), trade.time_ms.div_euclid(60_000) * 60_000);
                let order = (trade.time_ms, batch.epoch.get(), offset);
                members.entry(key).or_default().push((order, trade.clone()));
            }
        }
    }
    for trades in members.values_mut() {
        trades.sort_by_key(|(order, _)| *order);
    }
    members
}

/// Whether a window's numbers are those of these trades, in the order that decides open and close.
pub(super) fn assert_window(minute: &Minute, trades: &[Placed]) {
    let prices: Vec<Big> = trades.iter().map(|(_, trade)| big(trade.price)).collect();
    let volumes: Vec<Big> = trades.iter().map(|(_, trade)| big(trade.volume)).collect();
    assert_eq!(minute.trade_count, trades.len() as u64);
    assert_eq!(minute.open, trades[0].1.price);
    assert_eq!(minute.close, trades[trades.len() - 1].1.price);
    assert_eq!(&big(minute.high), prices.iter().max().unwrap());
    assert_eq!(&big(minute.low), prices.iter().min().unwrap());
    for extreme in [minute.high, minute.low] {
        assert!(trades.iter().any(|(_, trade)| trade.price == extreme), "{extreme} was never sent");
    }
    let volume: Big = volumes.iter().sum();
    assert_eq!(exact(&minute.volume), volume);
    assert!(is_nearest(minute.volume.to_f64(), &volume), "volume {}", minute.volume);
    let mean = prices.iter().sum::<Big>() / Big::from_integer(trades.len().into());
    assert!(is_nearest(minute.avg_price, &mean), "avg_price {} for {mean}", minute.avg_price);
    let product: Big = prices.iter().zip(&volumes).map(|(price, volume)| price * volume).sum();
    let vwap = if volume == Big::from_integer(0.into()) { mean } else { product / volume };
    assert!(is_nearest(minute.vwap, &vwap), "vwap {} for {vwap}", minute.vwap);
}

fn exact(value: &Exact) -> Big {
    let parsed = value.to_string();
    let (whole, decimals) = parsed.split_once('.').unwrap_or((&parsed, ""));
    let mantissa: BigInt = format!("{whole}{decimals}").parse().unwrap();
    Ratio::new(mantissa, BigInt::from(10).pow(decimals.len() as u32))
}
