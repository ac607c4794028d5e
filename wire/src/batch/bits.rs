//! The bit columns: numbers of a few widths that are the same for the whole batch.
//!
//! Three bits of each trade stand together behind the numbers and tell of which width its numbers are. So where a number
//! is follows from bits whose place is known: nothing waits for the number before, and nothing branches on it.

use super::bytes::word;

/// Appends bits to bytes, least significant first.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    used: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, used: 0 }
    }

    /// Appends the low `count` bits.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        let low = count.min(32);
        self.put_short(bits & ((1 << low) - 1), low);
        if count > 32 {
            self.put_short(bits >> 32, count - 32);
        }
    }

    /// Appends at most 32 bits.
    fn put_short(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= 32 && bits >> count == 0);
        self.pending |= bits << self.used;
        self.used += count;
        if self.used >= 32 {
            self.out.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.used -= 32;
        }
    }

    /// Appends zeros until `more` further bits end with a byte.
    pub(super) fn pad_before(&mut self, more: u32) {
        self.put(0, (self.used + more).wrapping_neg() & 7);
    }

    /// Appends zeros up to the next byte.
    pub(super) fn pad(&mut self) {
        let bytes = self.pending.to_le_bytes();
        self.out.extend_from_slice(&bytes[..self.used.div_ceil(8) as usize]);
        (self.pending, self.used) = (0, 0);
    }
}

/// Bits of a word that are meant, whatever bit it begins at.
pub(super) const MEANT: u32 = 57;

/// Reads bits, least significant first. Beyond the end it reads zeros; the caller compares [`BitReader::at`].
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits before what is left.
    pub(super) at: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from byte `start` on.
    pub(super) fn new(bytes: &'a [u8], start: u32) -> Self {
        Self { bytes, at: 8 * start }
    }

    /// The next bits, [`MEANT`] at least.
    #[inline(always)]
    pub(super) fn word(&self) -> u64 {
        word(self.bytes, self.at >> 3) >> (self.at & 7)
    }

    /// Takes `count` bits, at most [`MEANT`].
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let bits = self.word() & ((1 << count) - 1);
        self.at += count;
        bits
    }

    /// Takes `count` bits, at most 64.
    pub(super) fn take_long(&mut self, count: u32) -> u64 {
        let low = count.min(32);
        self.take(low) | self.take(count - low) << low
    }

    /// Takes an index of so many bits, if it differs from the `last`.
    pub(super) fn take_index(&mut self, last: &mut u16, width: u32) {
        if self.take(1) != 0 {
            *last = self.take(width) as u16;
        }
    }
}

/// How wide the numbers of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    /// Times are zigzag, since one of them goes back.
    pub(super) times_signed: bool,
    /// Volumes are zigzag, since one of them is negative.
    pub(super) volumes_signed: bool,
    /// Of a time that differs from the one before.
    pub(super) time: u32,
    /// Of a price that differs from the one before.
    pub(super) price: u32,
    /// Of most volumes, and of the others.
    pub(super) volume: [u32; 2],
}

impl Widths {
    /// Bits the widths themselves take.
    const BITS: u32 = 26;

    /// In the last bits of what is written, which end with a byte.
    pub(super) fn put(&self, bits: &mut BitWriter<'_>) {
        let [low, high] = self.volume.map(u64::from);
        // A time may need 64 bits; one of 63 is written as one of 64.
        let time = u64::from(self.time.min(63));
        let signs = u64::from(self.times_signed) | u64::from(self.volumes_signed) << 1;
        bits.pad_before(Self::BITS);
        bits.put(signs | time << 2 | u64::from(self.price) << 8 | low << 14 | high << 20, Self::BITS);
    }

    /// From the last four bytes of what [`Widths::put`] ended.
    #[inline(always)]
    pub(super) fn of(bytes: [u8; 4]) -> Self {
        let word = u32::from_le_bytes(bytes) >> (u32::BITS - Self::BITS);
        let width = |at: u32| word >> at & 63;
        Self {
            times_signed: word & 1 != 0,
            volumes_signed: word & 2 != 0,
            time: width(2) + u32::from(width(2) == 63),
            price: width(8),
            volume: [width(14), width(20)],
        }
    }

    /// Bytes of widths and of the three bits of so many trades.
    pub(super) fn bytes_with(count: usize) -> usize {
        (Self::BITS as usize + 3 * count).div_ceil(8)
    }

    /// Bits of the widest trade there can be.
    #[inline(always)]
    pub(super) fn most(&self) -> u32 {
        self.time + self.price + self.volume[0].max(self.volume[1])
    }
}

/// One number of each trade: its widths and masks without and with its selector.
#[derive(Clone, Copy)]
pub(super) struct Column {
    masks: [u64; 2],
    widths: [u32; 2],
}

impl Column {
    /// [`Column::take`] is for widths of at most [`MEANT`].
    #[inline(always)]
    pub(super) fn new(widths: [u32; 2]) -> Self {
        Self { masks: widths.map(|width| 1u64.wrapping_shl(width) - 1), widths }
    }

    /// How wide a number with this selector is.
    pub(super) fn width(&self, selector: u64) -> u32 {
        self.widths[(selector & 1) as usize]
    }

    /// Takes a number off the low end of a word that holds all of it.
    #[inline(always)]
    pub(super) fn take(&self, selector: u64, word: &mut u64, taken: &mut u32) -> u64 {
        let which = (selector & 1) as usize;
        let value = *word & self.masks[which];
        *word = word.wrapping_shr(self.widths[which]);
        *taken += self.widths[which];
        value
    }
}

/// Small absolute values become small numbers.
#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Inverse of [`zigzag`].
#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// How many bits a number needs.
#[inline]
pub(super) const fn bit_len(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}
