//! A stretch of the generated market in one piece.

use super::profile::Profile;
use super::slice::{SLICE_MS, slice};
use crate::trade::Scheduled;

/// Everything the market trades in `[from_ms, to_ms)` by trade time, in exchange order, symbols merged by time.
/// Unknown symbols trade nothing.
pub fn session(seed: u64, symbols: &[String], from_ms: i64, to_ms: i64, rate: f64) -> Vec<Scheduled> {
    let mut trades = Vec::new();
    for profile in symbols.iter().filter_map(|symbol| Profile::of(seed, symbol)) {
        for index in from_ms.div_euclid(SLICE_MS)..=to_ms.div_euclid(SLICE_MS) {
            trades.extend(slice(&profile, index, rate));
        }
    }
    trades.retain(|s| (from_ms..to_ms).contains(&s.trade.time_ms));
    trades.sort_by_key(|s| s.trade.time_ms);
    trades
}
