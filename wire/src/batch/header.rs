//! What every batch begins with. Lengths stand in front of the numbers, so that reading them does not branch.

use serde::{Deserialize, Serialize};

use super::bytes::{Cursor, byte_len};
use super::{DecodeError, EncodeError, VERSION};
use crate::record::received_ms;
use crate::{Batch, Epoch};

/// What a batch is about, read without decoding its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// See [`Batch::epoch`].
    pub epoch: Epoch,
    /// See [`Batch::first_offset`].
    pub first_offset: u64,
    /// How many offsets the batch covers.
    pub count: u64,
    /// See [`Batch::committed`].
    pub committed: u64,
    /// See [`Batch::elapsed_ms`].
    pub elapsed_ms: u64,
    /// See [`Batch::anchor_ms`].
    pub anchor_ms: Option<i64>,
}

impl Head {
    /// The offset behind the last record.
    pub const fn end_offset(&self) -> u64 {
        self.first_offset + self.count
    }

    /// See [`Batch::received_ms`].
    pub fn received_ms(&self) -> Option<i64> {
        received_ms(self.anchor_ms, self.elapsed_ms)
    }

    /// What the first trade's time is counted from: the time of reception as well as it is known.
    pub(super) fn time_base(&self) -> i64 {
        self.anchor_ms.unwrap_or(self.epoch.origin_ms()).wrapping_add_unsigned(self.elapsed_ms)
    }

    pub(super) fn of(batch: &Batch) -> Self {
        Self {
            epoch: batch.epoch,
            first_offset: batch.first_offset,
            count: batch.len(),
            committed: batch.committed,
            elapsed_ms: batch.elapsed_ms,
            anchor_ms: batch.anchor_ms,
        }
    }
}

/// Kinds of body, the low two bits of the flags.
pub(super) const COMMIT: u8 = 0;
pub(super) const TRADES: u8 = 1;
pub(super) const CONTROL: u8 = 2;
pub(super) const LOST: u8 = 3;
const KIND: u8 = 0b11;
/// The clock is set, and its anchor is the epoch's second.
const ANCHOR_AT_ORIGIN: u8 = 1 << 2;
/// The clock is set, and its anchor follows the header.
const ANCHOR_FOLLOWS: u8 = 1 << 3;
/// Trades: more than one symbol; a count follows.
pub(super) const MANY_SYMBOLS: u8 = 1 << 4;
/// Trades: conditions are present.
pub(super) const CONDITIONS: u8 = 1 << 5;
/// Trades: both numbers of each group are minimal with at most 15 decimals, a nibble each.
pub(super) const SHORT_SCALES: u8 = 1 << 6;
const UNUSED: u8 = 1 << 7;

/// Appends version byte and header; `flags` holds the kind and the kind's own flags.
pub(super) fn write(head: &Head, flags: u8, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // Small where `committed` is large.
    let uncommitted = head
        .first_offset
        .checked_sub(head.committed)
        .ok_or(EncodeError::Header("committed is beyond the batch's first offset"))?;
    head.first_offset.checked_add(head.count).ok_or(EncodeError::Header("offsets exceed 64 bits"))?;
    let shift = head.anchor_ms.map(|anchor| anchor.wrapping_sub(head.epoch.origin_ms()));
    let anchor_flag = match shift {
        None => 0,
        Some(0) => ANCHOR_AT_ORIGIN,
        Some(_) => ANCHOR_FOLLOWS,
    };
    let (offset_bytes, elapsed_bytes) = (byte_len(head.first_offset), byte_len(head.elapsed_ms));
    // 1, 2, 4 or 8.
    let uncommitted_bytes = byte_len(uncommitted).next_power_of_two();
    out.push(VERSION);
    put_bytes(u64::from(flags | anchor_flag) | head.epoch.get() << 8, 8, out);
    let lengths = (offset_bytes - 1) | (elapsed_bytes - 1) << 3 | (uncommitted_bytes.ilog2() as usize) << 6;
    out.push(lengths as u8);
    put_bytes(head.first_offset, offset_bytes, out);
    put_bytes(uncommitted, uncommitted_bytes, out);
    put_bytes(head.elapsed_ms, elapsed_bytes, out);
    if let Some(shift) = shift.filter(|shift| *shift != 0) {
        put(&shift, out);
    }
    Ok(())
}

/// Reads the header behind the version byte; returns head (its count still 0) and flags.
#[inline(always)]
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<(Head, u8), DecodeError> {
    let first = cursor.take(8);
    let (flags, raw_epoch) = (first as u8, first >> 8);
    let lengths = cursor.take(1) as usize;
    let first_offset = cursor.take((lengths & 7) + 1);
    let uncommitted = cursor.take(1 << (lengths >> 6 & 3));
    let elapsed_ms = cursor.take((lengths >> 3 & 7) + 1);
    cursor.check("header")?;
    if flags & UNUSED != 0 {
        return Err(DecodeError::Corrupt("an unknown flag is set"));
    }
    let epoch = Epoch::from_raw(raw_epoch).ok_or(DecodeError::Corrupt("epoch"))?;
    let anchor_ms = match (flags & ANCHOR_AT_ORIGIN != 0, flags & ANCHOR_FOLLOWS != 0) {
        (false, false) => None,
        (true, false) => Some(epoch.origin_ms()),
        (false, true) => {
            let shift: i64 = take(cursor, "clock anchor")?;
            Some(epoch.origin_ms().wrapping_add(shift))
        }
        (true, true) => return Err(DecodeError::Corrupt("two clock anchors")),
    };
    let committed = first_offset
        .checked_sub(uncommitted)
        .ok_or(DecodeError::Corrupt("more uncommitted records than records"))?;
    Ok((Head { epoch, first_offset, count: 0, committed, elapsed_ms, anchor_ms }, flags))
}

pub(super) const fn kind_of(flags: u8) -> u8 {
    flags & KIND
}

/// Appends the low bytes of a number, the lowest first.
pub(super) fn put_bytes(value: u64, bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
}

/// Appends a postcard value. Our own types and integers always serialize.
pub(super) fn put<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    postcard::to_io(value, out).expect("writing plain data to memory does not fail");
}

/// Takes a postcard value.
pub(super) fn take<'a, T: Deserialize<'a>>(
    cursor: &mut Cursor<'a>,
    what: &'static str,
) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(cursor.content()).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Short(what),
        _ => DecodeError::Corrupt(what),
    })?;
    cursor.at = (cursor.end() - rest.len()) as u32;
    Ok(value)
}
