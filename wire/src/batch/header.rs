//! What every batch begins with.

use serde::{Deserialize, Serialize};

use super::bits::unzigzag;
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

#[derive(Serialize)]
struct Header {
    flags: u8,
    epoch: [u8; 7],
    first_offset: u64,
    /// `first_offset - committed`: small where `committed` is large.
    uncommitted: u64,
    elapsed_ms: u64,
}

/// Appends version byte and header; `flags` holds the kind and the kind's own flags.
pub(super) fn write(head: &Head, flags: u8, out: &mut Vec<u8>) -> Result<(), EncodeError> {
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
    let mut epoch = [0; 7];
    epoch.copy_from_slice(&head.epoch.get().to_le_bytes()[..7]);
    let header = Header {
        flags: flags | anchor_flag,
        epoch,
        first_offset: head.first_offset,
        uncommitted,
        elapsed_ms: head.elapsed_ms,
    };
    out.push(VERSION);
    put(&header, out);
    if let Some(shift) = shift.filter(|shift| *shift != 0) {
        put(&shift, out);
    }
    Ok(())
}

/// Reads version byte and header; returns head (its count still 0), flags and the rest.
pub(super) fn read(bytes: &[u8]) -> Result<(Head, u8, &[u8]), DecodeError> {
    let rest = match bytes {
        [] => return Err(DecodeError::Short("version")),
        [VERSION, rest @ ..] => rest,
        [version, ..] => return Err(DecodeError::UnknownVersion(*version)),
    };
    let ([flags, e0, e1, e2, e3, e4, e5, e6], rest) =
        rest.split_first_chunk::<8>().ok_or(DecodeError::Short("header"))?;
    let (flags, raw_epoch) = (*flags, u64::from_le_bytes([*e0, *e1, *e2, *e3, *e4, *e5, *e6, 0]));
    let (first_offset, rest) = varint(rest, "header")?;
    let (uncommitted, rest) = varint(rest, "header")?;
    let (elapsed_ms, mut rest) = varint(rest, "header")?;
    if flags & UNUSED != 0 {
        return Err(DecodeError::Corrupt("an unknown flag is set"));
    }
    let epoch = Epoch::from_raw(raw_epoch).ok_or(DecodeError::Corrupt("epoch"))?;
    let anchor_ms = match (flags & ANCHOR_AT_ORIGIN != 0, flags & ANCHOR_FOLLOWS != 0) {
        (false, false) => None,
        (true, false) => Some(epoch.origin_ms()),
        (false, true) => {
            let (shift, behind) = varint(rest, "clock anchor")?;
            rest = behind;
            Some(epoch.origin_ms().wrapping_add(unzigzag(shift)))
        }
        (true, true) => return Err(DecodeError::Corrupt("two clock anchors")),
    };
    let committed = first_offset
        .checked_sub(uncommitted)
        .ok_or(DecodeError::Corrupt("more uncommitted records than records"))?;
    Ok((Head { epoch, first_offset, count: 0, committed, elapsed_ms, anchor_ms }, flags, rest))
}

pub(super) const fn kind_of(flags: u8) -> u8 {
    flags & KIND
}

/// Appends a postcard value. Our own types and integers always serialize.
pub(super) fn put<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    postcard::to_io(value, out).expect("writing plain data to memory does not fail");
}

/// Takes one of postcard's variable-length integers off the front: what [`take`] does for a `u64`, but it is the better
/// part of what reading a small batch costs.
#[inline(always)]
pub(super) fn varint<'a>(bytes: &'a [u8], what: &'static str) -> Result<(u64, &'a [u8]), DecodeError> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has room for the 64th bit only.
        if at == 9 && *byte > 1 {
            return Err(DecodeError::Corrupt(what));
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[at + 1..]));
        }
    }
    Err(if bytes.len() < 10 { DecodeError::Short(what) } else { DecodeError::Corrupt(what) })
}

/// Takes a postcard value off the front.
pub(super) fn take<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(T, &'a [u8]), DecodeError> {
    postcard::take_from_bytes(bytes).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Short(what),
        _ => DecodeError::Corrupt(what),
    })
}
