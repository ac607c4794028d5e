//! Bits, most significant first, and the exponential Golomb code over them.

use super::DecodeError;

/// Appends bits to bytes.
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
        debug_assert!(count <= 32 && (count == 64 || bits >> count == 0));
        if count == 0 {
            return;
        }
        self.pending |= bits << (64 - count - self.used);
        self.used += count;
        while self.used >= 8 {
            self.out.push((self.pending >> 56) as u8);
            self.pending <<= 8;
            self.used -= 8;
        }
    }

    /// Appends the low `count` bits, at most 64.
    pub(super) fn put_wide(&mut self, bits: u64, count: u32) {
        if count > 32 {
            self.put(bits >> 32, count - 32);
            self.put(bits & 0xffff_ffff, 32);
        } else {
            self.put(bits, count);
        }
    }

    /// Appends `value` in the exponential Golomb code of order `k`; `value` is below `u64::MAX`.
    pub(super) fn put_golomb(&mut self, value: u64, k: u32) {
        let quotient = (value >> k) + 1;
        let length = 64 - quotient.leading_zeros();
        self.put_wide(0, length - 1);
        self.put_wide(quotient, length);
        self.put_wide(value & ((1u64 << k) - 1), k);
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        if self.used > 0 {
            self.out.push((self.pending >> 56) as u8);
        }
    }
}

/// How many bits [`BitWriter::put_golomb`] writes.
pub(super) const fn golomb_len(value: u64, k: u32) -> u32 {
    2 * (64 - ((value >> k) + 1).leading_zeros()) - 1 + k
}

/// Reads bits; beyond the end it reads zeros, and [`BitReader::finish`] tells.
///
/// The bits to come are kept in one word, so that the usual short codes of a trade cost one load together.
pub(super) struct BitReader<'a> {
    /// The bytes and at least eight zeros.
    padded: &'a [u8],
    /// Bits up to the word's beginning.
    base: usize,
    /// The next bits at the top, less those taken.
    word: u64,
    /// Bits taken off the word.
    taken: u32,
}

/// Bits of a word that are meant: what a load at any bit gives for sure.
const MEANT: u32 = 57;
/// A code this long is read from one word.
const SHORT: u32 = 33;

impl<'a> BitReader<'a> {
    /// Reads `bytes`; `buffer` is overwritten with them.
    pub(super) fn new(bytes: &[u8], buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer.extend_from_slice(&[0; 16]);
        let mut reader = Self { padded: buffer, base: 0, word: 0, taken: 0 };
        reader.load();
        reader
    }

    #[inline(always)]
    fn load(&mut self) {
        self.base += self.taken as usize;
        self.taken = 0;
        let eight = self.padded.get(self.base >> 3..).and_then(<[u8]>::first_chunk::<8>);
        self.word = eight.map_or(0, |eight| u64::from_be_bytes(*eight)) << (self.base & 7);
    }

    /// Makes sure of [`SHORT`] bits.
    #[inline(always)]
    fn ready(&mut self) {
        if self.taken > MEANT - SHORT {
            self.load();
        }
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.word <<= count;
        self.taken += count;
    }

    /// Takes `count` bits, 1 to 32.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u64 {
        self.ready();
        let bits = self.word >> (64 - count);
        self.skip(count);
        bits
    }

    #[inline(always)]
    pub(super) fn take_flag(&mut self) -> bool {
        self.take(1) != 0
    }

    fn take_wide(&mut self, count: u32) -> u64 {
        match count {
            0 => 0,
            1..=32 => self.take(count),
            _ => self.take(count - 32) << 32 | self.take(32),
        }
    }

    /// Takes a value in the exponential Golomb code of order `k`, at most 31.
    #[inline(always)]
    pub(super) fn take_golomb(&mut self, k: u32) -> Result<u64, DecodeError> {
        self.ready();
        let zeros = self.word.leading_zeros();
        let length = 2 * zeros + 1 + k;
        if length > SHORT {
            return self.take_long_golomb(k);
        }
        let value = ((self.word << zeros) >> (63 - zeros - k)) - (1 << k);
        self.skip(length);
        Ok(value)
    }

    /// Takes a difference: a zero, or a one and zigzag − 1 in Golomb code. Which of the two is close to a coin's toss, so
    /// both are computed and one is kept.
    #[inline(always)]
    pub(super) fn take_delta(&mut self, k: u32) -> Result<i64, DecodeError> {
        self.ready();
        let differs = self.word >> 63;
        let code = self.word << 1;
        let zeros = code.leading_zeros();
        let length = 2 * zeros + 2 + k;
        if length > SHORT {
            return self.take_long_delta(k);
        }
        let value = ((code << zeros) >> (63 - zeros - k)) - (1 << k);
        let keep = differs.wrapping_neg();
        self.skip(1 + ((length - 1) & keep as u32));
        Ok(unzigzag((value + 1) & keep))
    }

    /// A long difference, or a zero that is followed by what would be a long one.
    #[cold]
    #[inline(never)]
    fn take_long_delta(&mut self, k: u32) -> Result<i64, DecodeError> {
        if self.take_flag() { Ok(unzigzag(self.take_long_golomb(k)?.wrapping_add(1))) } else { Ok(0) }
    }

    #[cold]
    #[inline(never)]
    fn take_long_golomb(&mut self, k: u32) -> Result<u64, DecodeError> {
        let mut zeros = 0;
        while !self.take_flag() {
            zeros += 1;
            if zeros > 63 {
                return Err(DecodeError::Corrupt("a number of more than 64 bits"));
            }
        }
        let quotient = 1 << zeros | self.take_wide(zeros);
        let low = self.take_wide(k);
        let high = (quotient - 1)
            .checked_mul(1 << k)
            .ok_or(DecodeError::Corrupt("a number of more than 64 bits"))?;
        Ok(high | low)
    }

    /// Checks that all of the `bytes` were used and the last one is filled with zeros.
    pub(super) fn finish(mut self, bytes: usize) -> Result<(), DecodeError> {
        let at = self.base + self.taken as usize;
        let used = at.div_ceil(8);
        if used > bytes {
            return Err(DecodeError::Short("columns"));
        }
        if used < bytes {
            return Err(DecodeError::Long(bytes - used));
        }
        if at & 7 != 0 && self.take(8 - (at & 7) as u32) != 0 {
            return Err(DecodeError::Corrupt("bits behind the last trade"));
        }
        Ok(())
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
