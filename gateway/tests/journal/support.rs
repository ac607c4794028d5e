//! Journals to test with, and the memory of what was written to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tickberry_gateway::journal::{Config, Disk, Item, Journal, JournalError, Opened, Reader, Start};
use tickberry_wire::{Batch, Body, Control, Decimal, Epoch, GapReason, Symbol, Trade};

/// The smallest segments, so that tests see many of them.
pub(crate) fn small() -> Config {
    Config {
        ring_bytes: 6 * Config::MIN_SEGMENT_BYTES,
        segment_bytes: Config::MIN_SEGMENT_BYTES,
        ..Config::default()
    }
}

pub(crate) fn start(random: u32) -> Start {
    Start {
        unix_seconds: 1_700_000_000,
        random,
        elapsed_ms: 0,
        anchor_ms: Some(1_700_000_000_000),
        simulated: true,
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>, random: u32) -> (Journal, Opened) {
    Journal::open(disk, small(), start(random)).expect("the directory can be listed")
}

/// A batch that continues the journal, whose trades tell their own offsets.
pub(crate) fn batch(journal: &Journal, trades: u64) -> Vec<u8> {
    let state = journal.state();
    let trade = |offset: u64| Trade {
        symbol: Symbol::new("BINANCE:BTCUSDT").unwrap(),
        time_ms: 1_700_000_000_000 + offset as i64,
        price: Decimal::new(7 * offset as i64 + 1, 2).unwrap(),
        volume: Decimal::new(offset as i64 + 1, 5).unwrap(),
        conditions: None,
    };
    let batch = Batch {
        epoch: state.epoch,
        first_offset: state.head,
        committed: state.committed,
        elapsed_ms: state.head * 3,
        anchor_ms: Some(1_700_000_000_000),
        body: Body::Trades((state.head..state.head + trades).map(trade).collect()),
    };
    let mut bytes = Vec::new();
    tickberry_wire::encode(&batch, &mut bytes).unwrap();
    bytes
}

/// What was appended, by first offset.
#[derive(Clone, Default)]
pub(crate) struct Written {
    batches: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Written {
    pub(crate) fn opened(&mut self, opened: &Opened) {
        let end = opened.state.head;
        self.batches.split_off(&(end - 1));
        self.batches.insert(end - 1, (end, opened.epoch_start.to_vec()));
    }

    /// Lives that ended before they could say so may have left an epoch start, nowhere below `committed`.
    pub(crate) fn adopt_unheard(&mut self, reader: &Reader, committed: u64) {
        let mut batches = reader.read_uncommitted(committed, None).expect("readable");
        while let Some(item) = batches.next_item().expect("not gone") {
            if let Item::Batch { first, end, payload } = item
                && first >= committed
                && is_epoch_start(payload)
            {
                self.batches.insert(first, (end, payload.to_vec()));
            }
        }
    }

    pub(crate) fn append(&mut self, journal: &mut Journal, trades: u64) -> Result<(), JournalError> {
        let bytes = batch(journal, trades);
        self.append_bytes(journal, bytes)
    }

    pub(crate) fn append_bytes(&mut self, journal: &mut Journal, bytes: Vec<u8>) -> Result<(), JournalError> {
        let first = journal.state().head;
        let end = journal.append(&bytes)?.head;
        self.batches.insert(first, (end, bytes));
        Ok(())
    }

    /// Reads `[from, to)` and compares; returns the lost ranges.
    pub(crate) fn check(&self, reader: &Reader, from: u64, to: u64) -> Vec<(u64, u64, GapReason)> {
        let mut batches = reader.read_uncommitted(from, Some(to)).expect("readable");
        let mut expected = from;
        let mut lost_ranges = Vec::new();
        while let Some(item) = batches.next_item().expect("not gone") {
            match item {
                Item::Batch { first, end, payload } => {
                    let contains_start = expected == from && first <= from;
                    assert!(first == expected || contains_start, "a hole untold: {expected} to {first}");
                    let (want_end, want) =
                        self.batches.get(&first).unwrap_or_else(|| panic!("invented: {first}"));
                    assert_eq!(end, *want_end, "at {first}");
                    assert!(payload == want.as_slice(), "other bytes at {first}");
                    expected = end;
                }
                Item::Lost { from, to, reason, .. } => {
                    assert_eq!(from, expected);
                    lost_ranges.push((from, to, reason));
                    expected = to;
                }
            }
        }
        assert!(expected >= to, "ends at {expected}, not at {to}");
        lost_ranges
    }

    /// Everything from the oldest kept offset to the head is there, unchanged.
    pub(crate) fn check_all(&self, reader: &Reader) {
        let state = reader.state();
        assert_eq!(self.check(reader, state.first, state.head), []);
    }
}

fn is_epoch_start(payload: &[u8]) -> bool {
    matches!(tickberry_wire::decode(payload).unwrap().body, Body::Control(Control::EpochStart(_)))
}

pub(crate) fn epochs_of(reader: &Reader) -> Vec<Epoch> {
    let mut batches = reader.read_uncommitted(reader.state().first, None).unwrap();
    let mut epochs = Vec::new();
    while let Some(item) = batches.next_item().unwrap() {
        if let Item::Batch { payload, .. } = item {
            epochs.push(tickberry_wire::peek(payload).unwrap().epoch);
        }
    }
    epochs.dedup();
    epochs
}
