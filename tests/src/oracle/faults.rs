//! Ten planted faults: each is a mistake somebody could make in the pipeline, and the oracle must see it.

use super::*;
use crate::generate;

fn trades() -> Vec<Trade> {
    let mut sent = generate::trades(3, generate::START_MS + 310_000, 4_000);
    // One trade on the edge of a minute, and one that comes late.
    sent[2_000].time_ms = sent[2_000].time_ms / 60_000 * 60_000;
    let late = sent.remove(700);
    sent.insert(900, late);
    in_arrival_order(&sent).unwrap()
}

/// The fault's words when the oracle sees it.
fn seen(good: &Windows, bad: &Windows) -> String {
    same(good, bad).expect_err("a planted fault must be seen")
}

fn inside(trade: &Trade, symbol: &str, start_ms: i64) -> bool {
    trade.symbol == symbol && trade.time_ms.div_euclid(60_000) * 60_000 == start_ms
}

#[test]
fn without_a_fault_nothing_is_reported() {
    let mut shuffled = trades();
    shuffled.reverse();
    assert_eq!(same(&minutes(&trades()), &minutes(&shuffled)), Ok(()));
    assert_eq!(same(&days(&trades()), &days(&shuffled)), Ok(()));
}

#[test]
fn fault_1_the_last_millisecond_of_a_minute_is_the_next_minutes() {
    let mut bad = trades();
    let edge = bad.iter().position(|t| t.time_ms % 60_000 == 0).unwrap();
    bad[edge].time_ms -= 1;
    assert!(seen(&minutes(&trades()), &minutes(&bad)).contains("trade_count"));
}

#[test]
fn fault_2_equal_trades_are_taken_for_copies() {
    let mut bad = trades();
    bad.dedup_by(|a, b| (a.time_ms, &a.price, &a.volume) == (b.time_ms, &b.price, &b.volume));
    assert!(bad.len() < trades().len());
    assert!(seen(&minutes(&trades()), &minutes(&bad)).contains("trade_count"));
}

#[test]
fn fault_3_sums_in_floats() {
    let all = trades();
    let (good, mut bad) = (minutes(&trades()), minutes(&trades()));
    for ((symbol, start), window) in &mut bad {
        let inside = all.iter().filter(|t| inside(t, symbol, *start));
        window.volume = inside.map(|t| nearest(&t.volume)).sum();
    }
    let words = seen(&good, &bad);
    assert!(words.contains("volume") && !words.contains("trade_count"), "{words}");
}

#[test]
fn fault_4_close_by_arrival() {
    // Every 50 trades arrive backward, so the last to arrive is not the last to happen.
    let sent = generate::trades(3, generate::START_MS, 2_000);
    let arrived: Vec<Sent> = sent.chunks(50).flat_map(|chunk| chunk.iter().rev().cloned()).collect();
    let all = in_arrival_order(&arrived).unwrap();
    let (good, mut bad) = (minutes(&all), minutes(&all));
    for ((symbol, start), window) in &mut bad {
        let last = all.iter().rfind(|t| inside(t, symbol, *start)).unwrap();
        window.close = nearest(&last.price);
    }
    let words = seen(&good, &bad);
    assert!(words.contains("close") && !words.contains("open"), "{words}");
}

#[test]
fn fault_5_a_late_trade_is_dropped() {
    let mut bad = trades();
    let late = bad.windows(2).position(|pair| pair[1].time_ms < pair[0].time_ms).unwrap() + 1;
    bad.remove(late);
    assert!(seen(&minutes(&trades()), &minutes(&bad)).contains("trade_count"));
}

#[test]
fn fault_6_a_volume_one_unit_in_the_last_place_off() {
    let (good, mut bad) = (minutes(&trades()), minutes(&trades()));
    let window = bad.values_mut().next().unwrap();
    window.volume = window.volume.next_up();
    assert!(seen(&good, &bad).starts_with("1 differences"));
}

#[test]
fn fault_7_a_vwap_that_is_not_weighted() {
    let (good, mut bad) = (minutes(&trades()), minutes(&trades()));
    bad.values_mut().for_each(|w| w.vwap = w.avg_price);
    assert!(seen(&good, &bad).contains("vwap"));
}

#[test]
fn fault_8_a_trade_is_missing() {
    let sent = generate::trades(4, generate::START_MS, 300);
    let rows = rows(&sent[1..]);
    assert!(matched(&sent, &rows).unwrap_err().contains("1 missing"));
    assert!(
        same(&minutes(&in_arrival_order(&sent).unwrap()), &minutes(&in_arrival_order(&sent[1..]).unwrap()))
            .is_err()
    );
}

#[test]
fn fault_9_a_trade_is_stored_twice() {
    let sent = generate::trades(4, generate::START_MS, 300);
    let mut rows = rows(&sent);
    assert_eq!(matched(&sent, &rows).unwrap().len(), 300);
    rows.push(rows[17].clone());
    assert!(matched(&sent, &rows).unwrap_err().contains("1 that nobody sent"));
}

#[test]
fn fault_10_the_day_ends_at_another_hour() {
    let mut shifted = trades();
    shifted.iter_mut().for_each(|t| t.time_ms += 7_200_000);
    assert!(seen(&days(&trades()), &days(&shifted)).contains("trade_count"));
}

#[test]
fn a_price_off_by_the_last_bit_is_no_match() {
    let sent = generate::trades(4, generate::START_MS, 10);
    let mut rows = rows(&sent);
    rows[3].price = rows[3].price.next_down();
    assert!(matched(&sent, &rows).is_err());
}

fn rows(sent: &[Sent]) -> Vec<TradeRow> {
    let trades = in_arrival_order(sent).unwrap();
    let row = |t: Trade| TradeRow {
        source: "finnhub".to_owned(),
        epoch: t.epoch,
        offset: t.offset,
        symbol: t.symbol,
        time_ms: t.time_ms,
        price: nearest(&t.price),
        volume: nearest(&t.volume),
    };
    trades.into_iter().map(row).collect()
}
