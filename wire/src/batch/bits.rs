//! The bit columns: numbers in exponential Golomb code, each in two parts.
//!
//! The classes, unary, stand in front; the bits of the numbers stand behind them, from the end backward. So where a
//! number's bits are follows from classes alone: a reader has two short chains of work that do not wait for each other,
//! and takes a trade without a branch. The two streams need no length, since they meet.

use super::DecodeError;

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

    /// Appends the low `count` bits, at most 32.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= 32 && bits >> count == 0);
        self.pending |= bits << self.used;
        self.used += count;
        if self.used >= 32 {
            self.out.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.used -= 32;
        }
    }

    /// Appends a class: so many zeros and a one.
    pub(super) fn put_class(&mut self, mut class: u32) {
        while class > 31 {
            self.put(0, 31);
            class -= 31;
        }
        self.put(1 << class, class + 1);
    }

    /// Appends the bits of a number, in front of those that were appended before.
    pub(super) fn put_value(&mut self, code: Code) {
        let low = code.count.min(32);
        self.put(code.bits & ((1 << low) - 1), low);
        self.put(code.bits >> low.min(63), code.count - low);
    }

    /// Appends zeros until `more` further bits end with a byte.
    pub(super) fn pad_before(&mut self, more: u32) {
        self.put(0, (self.used + more).wrapping_neg() & 7);
    }

    /// Writes out what is left, whole bytes by now.
    pub(super) fn finish(self) {
        let bytes = self.pending.to_le_bytes();
        self.out.extend_from_slice(&bytes[..self.used.div_ceil(8) as usize]);
    }
}

/// A number in exponential Golomb code.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Code {
    pub(super) class: u32,
    pub(super) bits: u64,
    pub(super) count: u32,
}

impl Code {
    /// The code of order `k`; `value` is below `u64::MAX`.
    pub(super) fn of(value: u64, k: u32) -> Self {
        let quotient = (value >> k) + 1;
        let class = quotient.ilog2();
        let bits = (quotient - (1 << class)) << k | value & ((1 << k) - 1);
        Self { class, bits, count: class + k }
    }

    /// The code of a difference: class 0 is none, the others are those of zigzag − 1, one higher.
    pub(super) fn of_delta(zigzag: u64, k: u32) -> Self {
        let Some(value) = zigzag.checked_sub(1) else { return Self::default() };
        let code = Self::of(value, k);
        Self { class: code.class + 1, ..code }
    }
}

/// How many bits a [`Code`] takes in all.
pub(super) const fn golomb_len(value: u64, k: u32) -> u32 {
    2 * ((value >> k) + 1).ilog2() + 1 + k
}

/// The Golomb orders of times, prices and volumes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    pub(super) time: u32,
    pub(super) price: u32,
    pub(super) volume: u32,
}

/// Reads both streams; beyond an end it reads nonsense, and [`BitReader::finish`] tells.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    /// The whole batch: what stands before and behind the columns saves the streams from looking out for their ends.
    bytes: &'a [u8],
    /// Bytes up to the end of the columns.
    end: usize,
    /// Bits before what is left in the front.
    front: usize,
    /// Bits behind what is left at the back.
    back: usize,
}

/// Bits of a word that are meant, whatever bit it begins or ends at.
const MEANT: usize = 57;

const TOO_WIDE: DecodeError = DecodeError::Corrupt("a number of more than 64 bits");
const SHORT: DecodeError = DecodeError::Short("columns");

impl<'a> BitReader<'a> {
    /// Reads the columns that stand in a batch from `start` to `end`.
    pub(super) fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self { bytes, end, front: 8 * start, back: 0 }
    }

    /// The next bits of the front, [`MEANT`] at least, the first lowest.
    ///
    /// A load each time, since whether the last one still has enough is anybody's guess.
    #[inline(always)]
    fn front(&self) -> u64 {
        let rest = self.bytes.get(self.front >> 3..).unwrap_or_default();
        let word = rest.first_chunk().map_or_else(|| tail(rest), |eight| u64::from_le_bytes(*eight));
        word >> (self.front & 7)
    }

    /// The next bits of the back, [`MEANT`] at least, the first highest.
    #[inline(always)]
    fn back(&self) -> Result<u64, DecodeError> {
        let end = self.end.wrapping_sub(self.back >> 3);
        let eight = self.bytes.get(..end).and_then(<[u8]>::last_chunk).ok_or(SHORT)?;
        Ok(u64::from_le_bytes(*eight) << (self.back & 7))
    }

    /// Takes `count` bits of the front, at most 32.
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let bits = self.front() & ((1 << count) - 1);
        self.front += count as usize;
        bits
    }

    /// Takes an index of so many bits, if it differs from the `last`.
    pub(super) fn take_index(&mut self, last: &mut u16, width: u32) {
        if self.take(1) != 0 {
            *last = self.take(width) as u16;
        }
    }

    /// Takes the numbers of one trade: both differences as zigzag, and the volume.
    ///
    /// Which of them are none is close to a coin's toss, so there is no branch for it.
    #[inline(always)]
    pub(super) fn take_trade(&mut self, orders: Orders) -> Result<[u64; 3], DecodeError> {
        let first = self.front();
        let second = first & first.wrapping_sub(1);
        let third = second & second.wrapping_sub(1);
        let ones = [first, second, third].map(|word| (word | 1 << 63).trailing_zeros());
        let (time, price) = (ones[0], ones[1].wrapping_sub(ones[0] + 1));
        let volume = ones[2].wrapping_sub(ones[1] + 1);
        // Class 0 is no difference, in no bits.
        let counts = [
            if time == 0 { 0 } else { orders.time + time - 1 },
            if price == 0 { 0 } else { orders.price.wrapping_add(price).wrapping_sub(1) },
            orders.volume.wrapping_add(volume),
        ];
        let count = counts[0].wrapping_add(counts[1]).wrapping_add(counts[2]) as usize;
        if ones[2] as usize >= MEANT || count > MEANT {
            let (reader, numbers) = self.take_long_trade(orders)?;
            *self = reader;
            return Ok(numbers);
        }
        let mut word = self.back()?;
        self.front += ones[2] as usize + 1;
        self.back += count;
        let [first, second, third] = counts.map(|count| {
            word = word.rotate_left(count);
            let power = 1u64.wrapping_shl(count);
            (word & (power - 1)) + power
        });
        Ok([
            if time == 0 { 0 } else { first.wrapping_sub((1 << orders.time) - 1) },
            if price == 0 { 0 } else { second.wrapping_sub((1 << orders.price) - 1) },
            third.wrapping_sub(1 << orders.volume),
        ])
    }

    /// By value: a reader that is never lent out stays in registers.
    #[cold]
    #[inline(never)]
    fn take_long_trade(mut self, orders: Orders) -> Result<(Self, [u64; 3]), DecodeError> {
        let classes = [self.take_class()?, self.take_class()?, self.take_class()?];
        let mut delta = |class: u32, order| {
            class.checked_sub(1).map_or(Ok(0), |class| Ok(self.take_value(class, order)?.wrapping_add(1)))
        };
        let (time, price) = (delta(classes[0], orders.time)?, delta(classes[1], orders.price)?);
        let volume = self.take_value(classes[2], orders.volume)?;
        Ok((self, [time, price, volume]))
    }

    fn take_class(&mut self) -> Result<u32, DecodeError> {
        let mut class = 0;
        while self.take(1) == 0 {
            class += 1;
            if class > 64 {
                return Err(TOO_WIDE);
            }
        }
        Ok(class)
    }

    fn take_value(&mut self, class: u32, order: u32) -> Result<u64, DecodeError> {
        let mut bits = 0u128;
        for _ in 0..class + order {
            bits = bits << 1 | u128::from(self.back()? >> 63);
            self.back += 1;
        }
        u64::try_from(bits + (1 << (class + order)) - (1 << order)).map_err(|_| TOO_WIDE)
    }

    /// Checks that the streams met, with nothing but zeros up to the next byte between them.
    pub(super) fn finish(mut self) -> Result<(), DecodeError> {
        let between = (8 * self.end).checked_sub(self.front + self.back).ok_or(SHORT)?;
        if between >= 8 {
            return Err(DecodeError::Long(between / 8));
        }
        if self.take(between as u32) != 0 {
            return Err(DecodeError::Corrupt("bits between the columns"));
        }
        Ok(())
    }
}

/// Fewer than eight bytes, and zeros behind them.
#[cold]
fn tail(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
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
