//! Sealed segments: what they take, and what a flipped byte costs.

use std::sync::Arc;

use tickberry_gateway::journal::model::ModelDisk;
use tickberry_gateway::journal::{Config, Disk as _, Journal};
use tickberry_wire::{Batch, Body, GapReason, encode};

use crate::recorded::{Message, messages};
use crate::support::{Written, open, start};

/// Segments that hold a whole recording.
fn large() -> Config {
    Config::default()
}

/// A journal of these messages with a flush each second, sealed by the restarts that follow.
fn sealed(messages: &[Message]) -> (ModelDisk, Journal, Written) {
    let disk = ModelDisk::new(1);
    let (mut journal, opened) = Journal::open(Arc::new(disk.clone()), large(), start(1)).unwrap();
    let mut written = Written::default();
    written.opened(&opened);
    let origin = journal.state().epoch.origin_ms();
    let begin = messages[0].0;
    let mut second = 0;
    for (received_ms, trades) in messages {
        if (received_ms - begin) / 1000 != second {
            second = (received_ms - begin) / 1000;
            journal.flush().unwrap();
        }
        let state = journal.state();
        let batch = Batch {
            epoch: state.epoch,
            first_offset: state.head,
            committed: state.committed,
            elapsed_ms: (received_ms - begin).unsigned_abs(),
            anchor_ms: Some(origin),
            body: Body::Trades(trades.clone()),
        };
        let mut bytes = Vec::new();
        encode(&batch, &mut bytes).unwrap();
        written.append_bytes(&mut journal, bytes).unwrap();
    }
    journal.flush().unwrap();
    for random in [2, 3] {
        drop(journal);
        disk.kill_process();
        let opened;
        (journal, opened) = Journal::open(Arc::new(disk.clone()), large(), start(random)).unwrap();
        written.opened(&opened);
    }
    assert_eq!(journal.stats().segments_sealed, 1);
    (disk, journal, written)
}

#[test]
fn recorded_trades_take_less_than_three_bytes_each() {
    for (per_message, most) in [(10, 2.7), (3, 3.0), (64, 2.6)] {
        let Some(messages) = messages(per_message) else { return };
        let trades: usize = messages.iter().map(|(_, trades)| trades.len()).sum();
        let (disk, journal, written) = sealed(&messages);
        written.check_all(&journal.reader());
        // The whole file: headers, checksums, offsets, receive times.
        let each = disk.bytes("sealed-0000000000").len() as f64 / trades as f64;
        eprintln!("{trades} trades, {per_message} a message: {each:.3} bytes each when sealed");
        assert!(each <= most, "{each:.3} bytes a trade at {per_message} a message, at most {most}");
    }
}

/// More records than a block of these batches has.
const BLOCK_RECORDS: u64 = 4500;

#[test]
fn a_flipped_byte_anywhere_costs_one_block_and_its_neighbours_are_read() {
    let (disk, mut written) = (ModelDisk::new(7), Written::default());
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    written.opened(&opened);
    while journal.stats().segments < 3 {
        written.append(&mut journal, 50).unwrap();
    }
    for _ in 0..3 {
        written.append(&mut journal, 50).unwrap();
        journal.flush().unwrap();
    }
    let reader = journal.reader();
    let head = journal.state().head;
    assert_eq!(written.check(&reader, 0, head), []);
    let name = "sealed-0000000001";
    let len = disk.bytes(name).len();
    let mut damaging = 0;
    // Between the headers every byte is a frame's.
    for pos in (64..len - 64).step_by(len / 90) {
        disk.flip(name, pos, 1 << (pos % 8));
        let lost = written.check(&reader, 0, head);
        disk.flip(name, pos, 1 << (pos % 8));
        let [(from, to, reason)] = lost[..] else { panic!("{lost:?} by the byte at {pos}") };
        assert!(to - from <= BLOCK_RECORDS && reason == GapReason::Quarantine, "{lost:?}");
        damaging += 1;
        assert_eq!(journal.stats().damaged_ranges, damaging);
    }
    assert!(damaging >= 80, "{damaging}");
    assert_eq!(written.check(&reader, 0, head), []);
    assert!(disk.list().unwrap().iter().any(|file| file == name));
}
