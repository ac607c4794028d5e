//! Random records: against the slow way, and in other orders.

use super::naive::{assert_window, members};
use super::support::{Journal, NOON, apply_encoded, symbol};
use crate::window::{Fold, FoldConfig, Minute};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tickberry_wire::{Body, Columns, Decimal, Trade};

fn decimal() -> impl Strategy<Value = Decimal> {
    let ordinary =
        (-50_i64..7_000_000, 0_u8..6).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap());
    let limit = Decimal::MANTISSA_LIMIT;
    let any =
        (-limit + 1..limit, 0_u8..=30).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap());
    prop_oneof![20 => ordinary, 1 => any]
}

/// Trades within a quarter of an hour, of three symbols.
fn trades() -> impl Strategy<Value = Vec<Vec<Trade>>> {
    let trade = (0_usize..3, 0_i64..900_000, decimal(), decimal(), any::<bool>()).prop_map(
        |(name, time, price, volume, coarse)| Trade {
            symbol: symbol(["A", "B", "BINANCE:BTCUSDT"][name]),
            // Half of them share their milliseconds.
            time_ms: NOON + if coarse { time / 30_000 * 30_000 } else { time },
            price,
            volume,
            conditions: None,
        },
    );
    prop::collection::vec(prop::collection::vec(trade, 1..12), 1..40)
}

fn told(journal: &Journal, encoded: bool) -> BTreeMap<(String, i64), Minute> {
    let mut fold = Fold::new(FoldConfig::default());
    let mut columns = Columns::default();
    let mut told = BTreeMap::new();
    for batch in &journal.batches {
        if encoded {
            apply_encoded(&mut fold, &mut columns, batch)
        } else {
            fold.apply_batch(batch)
        }
        for minute in fold.take_changes().minutes {
            told.insert((minute.symbol.to_string(), minute.start_ms), minute);
        }
    }
    told
}

fn journal(batches: &[Vec<Trade>]) -> Journal {
    let mut journal = Journal::new();
    journal.epoch(1);
    for batch in batches {
        journal.push(0, Body::Trades(batch.clone()));
    }
    journal
}

/// Long runs of one window are summed up in parts.
#[test]
fn a_long_batch_is_summed_up_like_a_short_one() {
    let of = |index: i64| Trade {
        symbol: symbol("A"),
        time_ms: NOON + index * 7919 % 60_000 / 10 * 10,
        price: Decimal::new(Decimal::MANTISSA_LIMIT - 1 - index * 31, 2).unwrap(),
        volume: Decimal::new(Decimal::MANTISSA_LIMIT - 1 - index * 37 % 1000, 5).unwrap(),
        conditions: None,
    };
    let trades: Vec<Trade> = (0..1000).map(of).collect();
    let journal = journal(&[trades.clone(), trades[..3].to_vec(), trades]);
    for encoded in [false, true] {
        for (key, minute) in &told(&journal, encoded) {
            assert_window(minute, &members(&journal.batches)[key]);
        }
    }
}

proptest! {
    #[test]
    fn windows_are_those_of_the_slow_way(batches in trades()) {
        let journal = journal(&batches);
        let told = told(&journal, false);
        let members = members(&journal.batches);
        prop_assert_eq!(told.keys().collect::<Vec<_>>(), members.keys().collect::<Vec<_>>());
        for (key, minute) in &told {
            assert_window(minute, &members[key]);
        }
    }

    #[test]
    fn columns_and_batches_give_the_same(batches in trades()) {
        let journal = journal(&batches);
        prop_assert_eq!(told(&journal, false), told(&journal, true));
        let mut by_columns = Fold::new(FoldConfig::default());
        let mut columns = Columns::default();
        journal.batches.iter().for_each(|batch| apply_encoded(&mut by_columns, &mut columns, batch));
        prop_assert_eq!(by_columns.fingerprint(), journal.fold().fingerprint());
    }

    /// Within the lateness the order of arrival leaves no trace but in the order of equal times.
    #[test]
    fn order_within_lateness_leaves_no_trace(batches in trades(), seed in any::<u64>()) {
        let mut trades: Vec<Trade> = batches.into_iter().flatten().collect();
        trades.sort_by_key(|trade| trade.time_ms);
        trades.dedup_by_key(|trade| trade.time_ms);
        let mut shuffled = trades.clone();
        let mut random = seed;
        shuffled.sort_by_cached_key(|trade| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            trade.time_ms + (random >> 33) as i64 % 2000
        });
        let journal_of = |trades: &[Trade]| journal(&trades.chunks(3).map(<[Trade]>::to_vec).collect::<Vec<_>>());
        prop_assert_eq!(told(&journal_of(&trades), false), told(&journal_of(&shuffled), false));
    }
}
