//! Journals to measure: the recorded trades of both symbols, ten a message, in a directory.

use std::path::Path;
use std::sync::Arc;

use tickberry_gateway::journal::{Config, DirDisk, Item, Journal, Reader, Start};
use tickberry_wire::{Batch, Body, Trade, encode};

/// Trades a message: what Finnhub sends.
pub const PER_MESSAGE: usize = 10;

/// A message: when it was received, ms since 1970, and its trades.
pub type Message = (i64, Vec<Trade>);

/// The recorded messages.
pub fn messages() -> Vec<Message> {
    let trades = crate::trades::load_both();
    let message = |part: &[(i64, Trade)]| {
        let received_ms = part.last().map_or(0, |(received_ms, _)| *received_ms);
        (received_ms, part.iter().map(|(_, trade)| trade.clone()).collect())
    };
    trades.chunks(PER_MESSAGE).map(message).collect()
}

/// Opens the journal in a directory, at 2024-08-08 and with these random bits.
pub fn open(dir: &Path, random: u32) -> Journal {
    let disk = DirDisk::open(dir).expect("the directory can be made");
    let unix_seconds = 1_723_161_254;
    let anchor_ms = Some(unix_seconds as i64 * 1000);
    let start = Start { unix_seconds, random, elapsed_ms: 0, anchor_ms, simulated: true };
    Journal::open(Arc::new(disk), Config::default(), start).expect("the directory can be read").0
}

/// The encoded batch of a message that continues the journal.
pub fn batch(journal: &Journal, (received_ms, trades): &Message) -> Vec<u8> {
    let state = journal.state();
    let origin = state.epoch.origin_ms();
    let batch = Batch {
        epoch: state.epoch,
        first_offset: state.head,
        committed: state.committed,
        elapsed_ms: (received_ms - origin).max(0).unsigned_abs(),
        anchor_ms: Some(origin),
        body: Body::Trades(trades.clone()),
    };
    let mut bytes = Vec::new();
    encode(&batch, &mut bytes).expect("a batch of ten");
    bytes
}

/// Journals the messages; a flush for each second in which some were received.
pub fn write(journal: &mut Journal, messages: &[Message]) {
    let mut second = 0;
    for message in messages {
        if message.0 / 1000 != second {
            second = message.0 / 1000;
            journal.flush().expect("the disk takes it");
        }
        let bytes = batch(journal, message);
        journal.append(&bytes).expect("the batch continues the journal");
    }
    journal.flush().expect("the disk takes it");
}

/// Reads all that is committed; returns what `each` makes of the batches' bytes, summed up.
pub fn read_all(reader: &Reader, mut each: impl FnMut(&[u8]) -> u64) -> u64 {
    let mut batches = reader.read(reader.state().first, None).expect("its first offset is there");
    let mut sum = 0;
    while let Some(item) = batches.next_item().expect("the ring stands still") {
        let Item::Batch { payload, .. } = item else { panic!("damaged: {item:?}") };
        sum += each(payload);
    }
    sum
}
