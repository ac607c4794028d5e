//! A block: the batches of one frame of a sealed segment, their numbers as columns of the whole block, and those
//! compressed.
//!
//! ```text
//! zstd( a length for each column | SHAPES | RAW | ELAPSED | COMMITTED | ANCHORS | SYMBOLS | CODES |
//!       SYMBOL | TIME | PRICE | VOLUME | SCALE | CONDITIONS )                     every number LEB128, signed ones zigzag
//! ```
//!
//! | column | for each | holds |
//! |---|---|---|
//! | shapes | batch | trades · 2; or bytes · 2 + 1 and the records, for a batch that is kept as it is, in `raw` |
//! | elapsed, committed | batch of trades | the difference to the batch before (to 0, to the block's first offset) |
//! | anchors | batch of trades | 0 for none; the difference to the last one (to 0), zigzag, + 1 |
//! | symbols | symbol | its text and the forms of its prices and volumes: 0 for a scale with each number, or 1 + the one scale at which all of them stand, written without trailing zeros |
//! | codes | list of conditions | the number of codes, and each one's text |
//! | symbol | trade | index less the index before, modulo the number of symbols |
//! | time | trade | the difference to the trade before (to 0) |
//! | price | trade | the difference to the symbol's price before (to 0) |
//! | volume | trade | its mantissa |
//! | scale | number of the first form | its scale |
//! | conditions | trade, where the block has lists | 0 for none, or index + 1 |
//!
//! Reading makes each batch again, by the wire's own encoder, which has one form only: so a block gives back the bytes
//! that were appended. That is verified before the original goes; what does not come back (a batch of another
//! release), and what is no trades, is in the block as it is.

mod column;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;

use tickberry_wire::{Batch, Body, MAX_PAYLOAD, MAX_TRADES};

use super::format::MAX_FRAME_PAYLOAD;

pub(super) use read::Block;

/// Bytes of batches in a block; the last one may reach beyond. 64 KiB would save 1.5 %, and a rotten byte cost four
/// times as much.
pub(super) const BYTES: usize = 16 * 1024;
/// Records in a block; the last batch may reach beyond.
pub(super) const RECORDS: u64 = MAX_TRADES as u64;
/// The most a block unpacks to. Columns take some 6 bytes a trade; where they should take more than this allows,
/// the batches stay as they are.
const MAX_UNPACKED: usize = 512 * 1024;
// As they are they always fit, even where nothing can be compressed: a batch's shape is shorter than the batch.
const MAX_RAW: usize = 2 * BYTES + MAX_PAYLOAD;
const _: () = assert!(MAX_RAW < MAX_UNPACKED && MAX_RAW + MAX_RAW / 128 + 1024 < MAX_FRAME_PAYLOAD);
/// Higher levels gain 4 % for twenty times the time.
const LEVEL: i32 = 3;

/// A batch to be packed: its records, and its bytes.
pub(super) type Entry<'a> = (u32, &'a [u8]);

/// Packs consecutive batches of one epoch, the first of which begins at offset `first`.
///
/// # Errors
/// When they do not come back from the packed bytes as they are; that would be a fault of ours.
pub(super) fn pack(epoch: u64, first: u64, batches: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut trades: Vec<Option<Batch>> = Vec::with_capacity(batches.len());
    let mut next = first;
    for &(count, payload) in batches {
        trades.push(as_trades(epoch, next, count, payload));
        next += u64::from(count);
    }
    // As columns; then without those that did not come back; then nothing as columns.
    for attempt in 0..3 {
        if attempt == 2 {
            trades.fill(None);
        }
        let columns = write::columns(first, batches, &trades);
        let packed = zstd::bulk::compress(&columns, LEVEL)?;
        if columns.len() > MAX_UNPACKED || packed.len() > MAX_FRAME_PAYLOAD {
            trades.fill(None);
            continue;
        }
        let different = different(epoch, first, batches, &packed);
        if different.is_empty() {
            return Ok(packed);
        }
        for index in different {
            trades[index] = None;
        }
    }
    Err(io::Error::other("a block does not give its batches back"))
}

/// The batch, if it is trades that the columns can hold.
fn as_trades(epoch: u64, first: u64, count: u32, payload: &[u8]) -> Option<Batch> {
    let batch = tickberry_wire::decode(payload).ok()?;
    let expected = batch.epoch.get() == epoch && batch.first_offset == first;
    (expected && batch.len() == u64::from(count) && matches!(batch.body, Body::Trades(_))).then_some(batch)
}

/// Which of the batches the packed bytes do not give back.
fn different(epoch: u64, first: u64, batches: &[Entry<'_>], packed: &[u8]) -> Vec<usize> {
    let mut block = Block::default();
    block.unpack(epoch, first, packed);
    let mut same = |(count, payload): Entry<'_>| {
        block.advance(first).is_some_and(|head| head.count == count) && block.payload() == payload
    };
    // Behind one that cannot be read nothing can, and so they are all named.
    batches.iter().enumerate().filter(|(_, batch)| !same(**batch)).map(|(index, _)| index).collect()
}
