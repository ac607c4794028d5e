//! The oracle against the pure fold alone, through the codec: no process, no clock; the first place to look when
//! a window of the whole system is wrong.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tickberry_aggregator::window::{Fold, FoldConfig};
use tickberry_tests::generate;
use tickberry_tests::oracle::{
    Sent, Window, Windows, days, exact, in_arrival_order, minutes, nearest, recorded, same,
};
use tickberry_wire::{Batch, Body, Decimal, Epoch, Symbol, Trade, decode, encode};

/// Arrival in disorder: each trade is up to 5 s late.
fn shuffled(sent: &[Sent], seed: u64) -> Vec<Sent> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut due: Vec<(i64, &Sent)> =
        sent.iter().map(|t| (t.time_ms + rng.random_range(0..5_000), t)).collect();
    due.sort_by_key(|(at, _)| *at);
    due.into_iter().map(|(_, trade)| trade.clone()).collect()
}

/// What the fold makes of frames of `frame` trades: minutes and days.
fn folded(sent: &[Sent], frame: usize) -> (Windows, Windows) {
    let (mut fold, mut windows, mut daily) =
        (Fold::new(FoldConfig::default()), Windows::new(), Windows::new());
    let mut bytes = Vec::new();
    for (i, trades) in sent.chunks(frame).enumerate() {
        let first_offset = (i * frame) as u64;
        let body = Body::Trades(trades.iter().map(trade).collect());
        let (epoch, elapsed_ms) = (Epoch::new(1_700_000_000, 7), i as u64);
        let batch = Batch { epoch, first_offset, committed: first_offset, elapsed_ms, anchor_ms: None, body };
        bytes.clear();
        encode(&batch, &mut bytes).unwrap();
        fold.apply_batch(&decode(&bytes).unwrap());
        let changes = fold.take_changes();
        for m in changes.minutes {
            windows.insert(
                (m.symbol.as_str().to_owned(), m.start_ms),
                Window {
                    open: m.open.to_f64(),
                    high: m.high.to_f64(),
                    low: m.low.to_f64(),
                    close: m.close.to_f64(),
                    volume: nearest(&exact(&m.volume.to_string()).unwrap()),
                    trade_count: m.trade_count as i64,
                    vwap: m.vwap,
                    avg_price: m.avg_price,
                },
            );
        }
        for d in changes.days {
            daily.insert(
                (d.symbol.as_str().to_owned(), d.start_ms),
                Window {
                    open: d.open.to_f64(),
                    high: d.high.to_f64(),
                    low: d.low.to_f64(),
                    close: d.close.to_f64(),
                    volume: nearest(&exact(&d.volume.to_string()).unwrap()),
                    trade_count: d.trade_count as i64,
                    vwap: 0.0,
                    avg_price: 0.0,
                },
            );
        }
    }
    (windows, daily)
}

fn trade(sent: &Sent) -> Trade {
    Trade {
        symbol: Symbol::new(&sent.symbol).unwrap(),
        time_ms: sent.time_ms,
        price: Decimal::parse(&sent.price).unwrap(),
        volume: Decimal::parse(&sent.volume).unwrap(),
        conditions: None,
    }
}

fn agrees(sent: &[Sent]) {
    for frame in [1, 10, 30, 500] {
        let (windows, daily) = folded(sent, frame);
        let trades = in_arrival_order(sent).unwrap();
        same(&minutes(&trades), &windows).unwrap_or_else(|e| panic!("frames of {frame}: {e}"));
        let mut days = days(&trades);
        // A day has no vwap and no mean.
        days.values_mut().for_each(|d| (d.vwap, d.avg_price) = (0.0, 0.0));
        same(&days, &daily).unwrap_or_else(|e| panic!("days, frames of {frame}: {e}"));
    }
}

#[test]
fn generated_trades_in_order_and_not() {
    let sent = generate::trades(61, generate::START_MS, 4_000);
    agrees(&sent);
    agrees(&shuffled(&sent, 1));
    let twice: Vec<Sent> = sent.chunks(10).flat_map(|frame| [frame, frame].concat()).collect();
    agrees(&twice);
}

#[test]
fn recorded_trades_in_order_and_not() {
    let Some(files) = recorded::files() else { return };
    let mut sent: Vec<Sent> = files.iter().flat_map(|f| recorded::read(f).unwrap()).collect();
    sent.sort_by_key(|t| t.time_ms);
    agrees(&sent);
    agrees(&shuffled(&sent, 2));
}
