//! `make bench`.

use std::collections::HashMap;

use tickberry_aggregator::records::{Decoder, Used};
use tickberry_aggregator::window::{Fold, FoldConfig};
use tickberry_bench::peers::{Avro, Frame, Naive, NaiveWindow, frame_json};
use tickberry_bench::{Contest, nanoseconds_each, print, trades};
use tickberry_gateway::finnhub::{Message, Parser};
use tickberry_wire::{Batch, Body, Columns, Control, Epoch, EpochStart, Trade, decode_columns, encode};

/// Trades a message: what Finnhub sends.
const PER_MESSAGE: usize = 10;

fn main() {
    let trades = trades::load();
    let frames: Vec<&[Trade]> = trades.chunks(PER_MESSAGE).collect();
    println!("{} trades, {PER_MESSAGE} a message", trades.len());
    codec(&trades, &frames);
    parser(&trades, &frames);
    fold(&trades, &frames);
}

/// Frames of the feed to trades. Ours is exact and takes any order of keys; the peers' numbers are doubles.
fn parser(trades: &[Trade], frames: &[&[Trade]]) {
    let jsons: Vec<String> = frames.iter().map(|frame| frame_json(frame)).collect();
    let mut ours = Parser::default();
    let mut contest = [
        Contest::new("tickberry (exact decimals)", || {
            jsons.iter().fold(0, |sum, text| match ours.parse(text.as_bytes()) {
                Message::Trades { trades, .. } => sum + trades.len() as u64,
                _ => sum,
            })
        }),
        Contest::new("serde_json, f64, owned", || {
            jsons.iter().fold(0, |sum, text| {
                let frame: Frame = serde_json::from_str(text).expect("a frame");
                sum + frame.data.len() as u64
            })
        }),
        Contest::new("serde_json, f64, borrowed", || {
            jsons.iter().fold(0, |sum, text| {
                let frame: BorrowedFrame<'_> = serde_json::from_str(text).expect("a frame");
                sum + frame.data.len() as u64
            })
        }),
        Contest::new("limit: each byte read once", || {
            jsons.iter().fold(0, |sum, text| sum + text.bytes().map(u64::from).sum::<u64>())
        }),
    ];
    nanoseconds_each(&mut contest);
    report("Parsing a frame", &contest, trades.len());
}

/// Messages to one-minute windows.
fn fold(trades: &[Trade], frames: &[&[Trade]]) {
    // A journal's first record says that nothing came before. Without it the fold has to take the first minute for one
    // whose beginning is missing, and turns its trades away one by one.
    let batches = batches(frames);
    let encoded: Vec<Vec<u8>> = epoch_start(&batches)
        .iter()
        .chain(&batches)
        .map(|batch| {
            let mut bytes = Vec::new();
            encode(batch, &mut bytes).expect("a batch of ten");
            bytes
        })
        .collect();
    let naive: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| {
            postcard::to_stdvec(&frame.iter().map(Naive::of).collect::<Vec<_>>()).expect("plain data")
        })
        .collect();
    let jsons: Vec<String> = frames.iter().map(|frame| frame_json(frame)).collect();
    // As an aggregator's pipeline does it: buffers go round.
    let (mut decoder, mut used) = (Decoder::default(), Used::default());
    let naive_fold = |windows: &mut HashMap<(String, i64), NaiveWindow>, trades: Vec<Naive>| {
        for trade in trades {
            windows.entry((trade.s, trade.t / 60_000)).or_default().add(trade.p, trade.v);
        }
    };
    let mut contest = [
        Contest::new("tickberry (exact, corrects late trades)", || {
            let mut fold = Fold::new(FoldConfig::default());
            for bytes in &encoded {
                decoder.recycle(&mut used);
                let records = decoder.decode(bytes).expect("our own bytes");
                fold.apply(records.columns(), records.body());
                used.push(records);
            }
            assert_eq!(fold.counters().not_whole, 0, "all of it counts in windows");
            fold.minutes().map(|minute| minute.trade_count).sum()
        }),
        Contest::new("postcard, HashMap of (String, minute), f64", || {
            let mut windows = HashMap::new();
            for bytes in &naive {
                naive_fold(&mut windows, postcard::from_bytes(bytes).expect("its own bytes"));
            }
            windows.values().map(NaiveWindow::count).sum()
        }),
        Contest::new("serde_json, HashMap of (String, minute), f64", || {
            let mut windows = HashMap::new();
            for text in &jsons {
                naive_fold(&mut windows, serde_json::from_str::<Frame>(text).expect("a frame").data);
            }
            windows.values().map(NaiveWindow::count).sum()
        }),
    ];
    nanoseconds_each(&mut contest);
    report("Decoding and folding", &contest, trades.len());
    let rate = 1e3 / contest[0].each(trades.len());
    println!("  {rate:.0} M trades/s on one core");
}

#[derive(serde::Deserialize)]
struct BorrowedFrame<'a> {
    #[serde(borrow)]
    data: Vec<BorrowedTrade<'a>>,
}

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "they are parsed, which is what is timed")]
struct BorrowedTrade<'a> {
    p: f64,
    s: &'a str,
    t: i64,
    v: f64,
}

/// The record in front of these batches, as in a journal that is read from its beginning. Such a journal would begin at
/// offset 0; the offsets stay those after weeks of running, which take more bytes.
fn epoch_start(batches: &[Batch]) -> Option<Batch> {
    let first = batches.first()?;
    let start = EpochStart { previous: None, simulated: false };
    Some(Batch {
        first_offset: first.first_offset - 1,
        committed: first.committed - 1,
        body: Body::Control(Control::EpochStart(start)),
        ..first.clone()
    })
}

fn batches(frames: &[&[Trade]]) -> Vec<Batch> {
    let epoch = Epoch::new(1_721_000_000, 0x9_3c5a);
    let mut first_offset = 60_000_000;
    let one = |frame: &&[Trade]| {
        let time_ms = frame[0].time_ms;
        let batch = Batch {
            epoch,
            first_offset,
            committed: first_offset - 20,
            elapsed_ms: (time_ms - epoch.origin_ms()).unsigned_abs(),
            anchor_ms: Some(epoch.origin_ms()),
            body: Body::Trades(frame.to_vec()),
        };
        first_offset = batch.end_offset();
        batch
    };
    frames.iter().map(one).collect()
}

fn codec(trades: &[Trade], frames: &[&[Trade]]) {
    let batches = batches(frames);
    let naive: Vec<Vec<Naive>> = frames.iter().map(|frame| frame.iter().map(Naive::of).collect()).collect();
    let avro = Avro::default();
    let encode_one = |batch: &Batch| {
        let mut bytes = Vec::new();
        encode(batch, &mut bytes).expect("a batch of ten");
        bytes
    };
    let ours: Vec<Vec<u8>> = batches.iter().map(encode_one).collect();
    let postcards: Vec<Vec<u8>> =
        naive.iter().map(|frame| postcard::to_stdvec(frame).expect("plain data")).collect();
    let avros: Vec<Vec<u8>> = naive.iter().map(|frame| avro.encode(frame)).collect();
    let jsons: Vec<String> = frames.iter().map(|frame| frame_json(frame)).collect();
    let each = |total: usize| total as f64 / trades.len() as f64;
    let size = |messages: &[Vec<u8>]| each(messages.iter().map(Vec::len).sum());
    let sizes = [
        ("tickberry (exact; header, offsets, checksum)", size(&ours)),
        ("Avro, raw datum", size(&avros)),
        ("postcard, naive", size(&postcards)),
        ("JSON, as Finnhub sends it", each(jsons.iter().map(String::len).sum())),
        ("limit: entropy of time, price and volume", 1.93),
    ];
    print("Size of a message", "B/trade", &sizes, true);

    let mut out = Vec::with_capacity(1 << 16);
    let mut contest = [
        Contest::new("tickberry", || {
            batches.iter().fold(0, |sum, batch| {
                out.clear();
                encode(batch, &mut out).expect("a batch of ten");
                sum + out.len() as u64
            })
        }),
        Contest::new("postcard, naive", || {
            naive
                .iter()
                .fold(0, |sum, frame| sum + postcard::to_stdvec(frame).expect("plain data").len() as u64)
        }),
        Contest::new("serde_json", || {
            naive
                .iter()
                .fold(0, |sum, frame| sum + serde_json::to_vec(frame).expect("plain data").len() as u64)
        }),
        Contest::new("Avro", || naive.iter().fold(0, |sum, frame| sum + avro.encode(frame).len() as u64)),
    ];
    nanoseconds_each(&mut contest);
    report("Encoding", &contest, trades.len());

    let mut columns = Columns::default();
    let mut contest = [
        Contest::new("tickberry", || {
            ours.iter().fold(0, |sum, bytes| {
                decode_columns(bytes, &mut columns).expect("our own bytes");
                sum + columns.rows().iter().map(|row| row.price as u64).sum::<u64>()
            })
        }),
        Contest::new("postcard, naive", || {
            postcards.iter().fold(0, |sum, bytes| {
                let frame: Vec<Naive> = postcard::from_bytes(bytes).expect("its own bytes");
                sum + frame.iter().map(|trade| trade.p as u64).sum::<u64>()
            })
        }),
        Contest::new("serde_json", || {
            jsons.iter().fold(0, |sum, text| {
                let frame: Frame = serde_json::from_str(text).expect("a frame");
                sum + frame.data.iter().map(|trade| trade.p as u64).sum::<u64>()
            })
        }),
        Contest::new("Avro", || {
            avros.iter().fold(0, |sum, bytes| {
                sum + avro.decode(bytes).iter().map(|trade| trade.p as u64).sum::<u64>()
            })
        }),
    ];
    nanoseconds_each(&mut contest);
    report("Decoding", &contest, trades.len());
}

fn report(title: &str, contest: &[Contest<'_>], trades: usize) {
    let rows: Vec<(&str, f64)> = contest.iter().map(|one| (one.name, one.each(trades))).collect();
    print(title, "ns/trade", &rows, true);
}
