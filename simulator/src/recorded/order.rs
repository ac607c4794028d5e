//! The order in which recorded trades are played.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::trade::{Scheduled, Trade};

/// Several recordings as one, by trade time; each keeps its own order, and at equal times the first one goes first.
pub fn merge(recordings: Vec<Vec<Trade>>) -> Vec<Trade> {
    let mut merged = Vec::with_capacity(recordings.iter().map(Vec::len).sum());
    let mut heads: Vec<_> = recordings.into_iter().map(|trades| trades.into_iter().peekable()).collect();
    loop {
        let times =
            heads.iter_mut().enumerate().filter_map(|(i, head)| head.peek().map(|trade| (trade.time_ms, i)));
        let Some((_, earliest)) = times.min() else { return merged };
        merged.extend(heads[earliest].next());
    }
}

/// Releases every trade at its own time plus a random delay of at most `window`, and sorts by that: a trade never
/// comes after one that is younger by more than `window`. Without a window the order stays exactly as it is.
pub fn shuffle(trades: Vec<Trade>, window: Duration, seed: u64) -> Vec<Scheduled> {
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX / 4);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut latest = i64::MIN;
    let mut scheduled: Vec<Scheduled> = trades
        .into_iter()
        .map(|trade| {
            let delay = if window_ms == 0 { 0 } else { rng.random_range(0..=window_ms) };
            let mut release_ms = trade.time_ms.saturating_add(delay);
            if window_ms == 0 {
                // A file that goes back in time does so on the wire too; its release times must not.
                latest = latest.max(release_ms);
                release_ms = latest;
            }
            Scheduled { release_ms, trade }
        })
        .collect();
    scheduled.sort_by_key(|scheduled| scheduled.release_ms);
    scheduled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::Conditions;

    fn trades(symbol: &str, times: &[i64]) -> Vec<Trade> {
        let trade = |(n, &time_ms): (usize, &i64)| Trade {
            symbol: symbol.into(),
            time_ms,
            price: n.to_string().into(),
            volume: "1".into(),
            conditions: Conditions::Null,
        };
        times.iter().enumerate().map(trade).collect()
    }

    fn names(trades: &[Trade]) -> String {
        trades.iter().map(|t| format!("{}{} ", t.symbol, t.price)).collect()
    }

    #[test]
    fn merging_goes_by_time_and_keeps_each_files_order() {
        let merged = merge(vec![trades("a", &[1, 5, 5, 4]), trades("b", &[2, 5, 9]), vec![]]);
        assert_eq!(names(&merged), "a0 b0 a1 a2 a3 b1 b2 ");
    }

    #[test]
    fn a_shuffle_moves_nothing_further_than_its_window() {
        let times: Vec<i64> = (0..5000).map(|n| n * n % 77 + n * 13).collect();
        let before = merge(vec![trades("a", &times)]);
        let after = shuffle(before.clone(), Duration::from_millis(500), 7);
        let mut youngest = i64::MIN;
        let mut backward = 0;
        for Scheduled { trade, .. } in &after {
            assert!(youngest - trade.time_ms <= 500);
            backward += usize::from(trade.time_ms < youngest);
            youngest = youngest.max(trade.time_ms);
        }
        assert!(backward > 2000, "a window of 500 ms disorders trades 13 ms apart: {backward}");
        let mut sorted: Vec<_> = after.iter().map(|s| s.trade.price.parse::<usize>().unwrap()).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..5000).collect::<Vec<_>>(), "each trade exactly once");
        assert_eq!(after, shuffle(before.clone(), Duration::from_millis(500), 7), "the seed decides");
        assert_ne!(after, shuffle(before, Duration::from_millis(500), 8));
    }

    #[test]
    fn no_window_no_change() {
        let before = trades("a", &[5, 3, 9, 9, 1]);
        let after = shuffle(before.clone(), Duration::ZERO, 7);
        assert_eq!(after.iter().map(|s| s.trade.clone()).collect::<Vec<_>>(), before);
        assert_eq!(after.iter().map(|s| s.release_ms).collect::<Vec<_>>(), [5, 5, 9, 9, 9]);
    }
}
