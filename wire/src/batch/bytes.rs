//! Reading numbers of known lengths without a branch for each.

use super::{CHECKSUM, DecodeError};

/// Masks of so many low bytes.
pub(super) const BYTES: [u64; 9] = {
    let mut masks = [u64::MAX; 9];
    let mut bytes = 0;
    while bytes < 8 {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};

/// The eight bytes from `at` on, the first lowest; zeros behind the end.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: u32) -> u64 {
    let start = at as usize;
    // With a start of 32 bits this is one comparison.
    match bytes.get(start..start + 8).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => word_at_end(bytes, start),
    }
}

#[cold]
#[inline(never)]
fn word_at_end(bytes: &[u8], start: usize) -> u64 {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// How many bytes a number needs, one at least.
pub(super) fn byte_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(8) as usize
}

/// A place in a batch. Beyond the content's end it reads nonsense, and [`Cursor::check`] tells.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// All of it: the checksum saves the reader from looking out for the content's end.
    pub(super) bytes: &'a [u8],
    /// Bytes before what is left; never more than a few hundred beyond the end, as each reader checks.
    pub(super) at: u32,
}

impl<'a> Cursor<'a> {
    /// The next eight bytes, the first lowest.
    #[inline(always)]
    pub(super) fn word(&self) -> u64 {
        word(self.bytes, self.at)
    }

    /// Takes a number of so many bytes, 8 at most.
    #[inline(always)]
    pub(super) fn take(&mut self, bytes: usize) -> u64 {
        let value = self.word() & BYTES[bytes];
        self.at += bytes as u32;
        value
    }

    /// Whether what was taken so far was there.
    #[inline(always)]
    pub(super) fn check(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.at as usize > self.end() { Err(DecodeError::Short(what)) } else { Ok(()) }
    }

    /// Where the content ends.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.bytes.len() - CHECKSUM
    }

    /// What is left without the checksum.
    pub(super) fn content(&self) -> &'a [u8] {
        self.bytes.get(self.at as usize..self.end()).unwrap_or_default()
    }
}
