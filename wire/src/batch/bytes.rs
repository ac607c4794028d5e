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

/// The first eight bytes, the first lowest; zeros behind the end.
#[inline(always)]
pub(super) fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or_else(|| word_of_few(bytes), |eight| u64::from_le_bytes(*eight))
}

#[cold]
#[inline(never)]
fn word_of_few(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// How many bytes a number needs, one at least.
pub(super) fn byte_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(8) as usize
}

/// What is left of a batch. Beyond the content's end it reads nonsense, and [`Cursor::check`] tells.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// With the checksum: it saves the reader from looking out for the end.
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Takes a number of so many bytes, 8 at most.
    #[inline(always)]
    pub(super) fn take(&mut self, bytes: usize) -> u64 {
        let value = word(self.rest) & BYTES[bytes];
        self.skip(bytes);
        value
    }

    /// Takes so many bytes without a look.
    #[inline(always)]
    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Whether what was taken so far was there.
    #[inline(always)]
    pub(super) fn check(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.len() < CHECKSUM { Err(DecodeError::Short(what)) } else { Ok(()) }
    }

    /// What is left without the checksum.
    #[inline(always)]
    pub(super) fn content(&self) -> &'a [u8] {
        self.rest.split_last_chunk::<CHECKSUM>().map_or(&[], |(content, _)| content)
    }
}
