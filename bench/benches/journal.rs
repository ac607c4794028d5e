//! The journal: what a sealed trade takes, what sealing costs, and how fast it is read.

use std::path::Path;
use std::time::Instant;

use tickberry_bench::journals::{Message, PER_MESSAGE, messages, open, read_all, write};
use tickberry_bench::peers::frame_json;
use tickberry_bench::{Contest, nanoseconds_each, print};
use tickberry_gateway::journal::Reader;
use tickberry_wire::{Columns, decode, decode_columns, encode};

/// Bytes of batches that are compressed at a time.
const BLOCK: usize = 16 * 1024;
/// Rounds of what is timed by opening a journal.
const ROUNDS: usize = 15;

fn main() {
    let messages = messages();
    let trades: usize = messages.iter().map(|(_, trades)| trades.len()).sum();
    println!("{trades} trades of both symbols, {PER_MESSAGE} a message, a flush a second");
    let home = tempfile::tempdir().expect("a temporary directory");
    let unsealed = home.path().join("unsealed");
    // Two lives: the next start finds two segments that are not sealed, and seals the first.
    let mut journal = open(&unsealed, 1);
    write(&mut journal, &messages);
    let batches = batches(&journal.reader());
    drop(journal);
    drop(open(&unsealed, 2));
    let sealed = home.path().join("sealed");
    copy(&unsealed, &sealed);
    drop(open(&sealed, 3));
    sizes(&messages, &batches, trades, &sealed);
    sealing(home.path(), &unsealed, &batches, trades);
    let mut live = open(&home.path().join("live"), 1);
    write(&mut live, &messages);
    reading(&live.reader(), &open(&sealed, 8).reader(), trades);
}

fn batches(reader: &Reader) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    read_all(reader, |payload| {
        batches.push(payload.to_vec());
        0
    });
    batches
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be listed");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
}

fn sizes(messages: &[Message], batches: &[Vec<u8>], trades: usize, sealed: &Path) {
    let each = |total: usize| total as f64 / trades as f64;
    let size = std::fs::metadata(sealed.join("sealed-0000000000")).expect("it was sealed").len();
    let raw: usize = batches.iter().map(Vec::len).sum();
    let packed: usize = blocks(batches).iter().map(|block| compressed(block)).sum();
    let jsons: Vec<Vec<u8>> = messages.iter().map(|(_, trades)| frame_json(trades).into_bytes()).collect();
    let json: usize = blocks(&jsons).iter().map(|block| compressed(block)).sum();
    let rows = [
        ("tickberry, sealed (the whole file)", each(size as usize)),
        ("the batches as they are, zstd 3, 16 KiB", each(packed)),
        ("the batches as they are", each(raw)),
        ("Finnhub's JSON, zstd 3, 16 KiB", each(json)),
        ("limit: entropy of time, price and volume", 1.84),
    ];
    print("A sealed trade", "B/trade", &rows, true);
}

fn blocks(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut blocks = vec![Vec::new()];
    for message in messages {
        if blocks.last().is_some_and(|block: &Vec<u8>| block.len() >= BLOCK) {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.extend_from_slice(message);
        }
    }
    blocks
}

fn compressed(block: &[u8]) -> usize {
    zstd::bulk::compress(block, 3).expect("memory for 16 KiB").len()
}

/// A start that seals a segment against one that only begins its own.
fn sealing(home: &Path, unsealed: &Path, batches: &[Vec<u8>], trades: usize) {
    let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
    for round in 0..ROUNDS {
        let dir = home.join(format!("round-{round}"));
        copy(unsealed, &dir);
        let timed = |random| {
            let start = Instant::now();
            drop(open(&dir, random));
            start.elapsed().as_nanos() as f64
        };
        with = with.min(timed(3));
        // Nothing is left to be sealed but a segment of one record.
        without = without.min(timed(4));
    }
    let mut contest = [
        Contest::new("zstd 3 of the batches", || {
            blocks(batches).iter().map(|block| compressed(block) as u64).sum()
        }),
        Contest::new("decoding and encoding each batch", || {
            let mut out = Vec::new();
            batches.iter().fold(0, |sum, bytes| {
                out.clear();
                encode(&decode(bytes).expect("our own bytes"), &mut out).expect("it was encoded before");
                sum + out.len() as u64
            })
        }),
    ];
    nanoseconds_each(&mut contest);
    let [zstd, again] = [contest[0].each(trades), contest[1].each(trades)];
    let rows = [
        ("tickberry: read, packed, verified, written", (with - without) / trades as f64),
        ("of that: decoding and encoding each batch", again),
        ("the batches as they are, zstd 3, 16 KiB", zstd),
    ];
    print("Sealing", "ns/trade", &rows, true);
}

fn reading(unsealed: &Reader, sealed: &Reader, trades: usize) {
    let (mut columns, mut others) = (Columns::default(), Columns::default());
    let decoded = |columns: &mut Columns, payload: &[u8]| {
        decode_columns(payload, columns).expect("our own bytes");
        columns.rows().iter().map(|row| row.price as u64).sum()
    };
    let mut contest = [
        Contest::new("sealed, read and decoded", || {
            read_all(sealed, |payload| decoded(&mut columns, payload))
        }),
        Contest::new("sealed, read", || read_all(sealed, |payload| payload.len() as u64)),
        Contest::new("not sealed, read and decoded", || {
            read_all(unsealed, |payload| decoded(&mut others, payload))
        }),
    ];
    nanoseconds_each(&mut contest);
    let rows: Vec<(&str, f64)> = contest.iter().map(|one| (one.name, one.each(trades))).collect();
    print("Reading the journal", "ns/trade", &rows, true);
    println!("  {:.1} M trades/s on one core", 1e3 / contest[0].each(trades));
}
