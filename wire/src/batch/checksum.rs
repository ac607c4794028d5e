//! The checksum of a batch: 24 bits of a hash that takes 16 bytes a multiplication.
//!
//! It is for bytes that were cut, mixed up or overwritten on their way; the journal's frames have a CRC-32C of their
//! own, and TCP its sum. Whatever the damage, one of 2²⁴ goes unseen. A CRC of this size would be sure about a burst of
//! up to 24 bits and no better at anything else, and reading it byte by byte at each batch's end took more time than
//! the rest of the header.

use super::CHECKSUM;

/// Bytes taken at once.
const BLOCK: usize = 32;

/// Odd numbers without a pattern: the first digits of pi, in base 16.
const KEYS: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// The checksum of these bytes.
pub(super) fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    // The length goes in too: a short content is the same as one with zeros behind it.
    let mut sum = content.len() as u64 ^ KEYS[3];
    match content.split_last_chunk::<BLOCK>() {
        Some((_, last)) => {
            // The last block ends with the content and may have bytes of the one before: no loop for what is left over.
            let (blocks, _) = content[..content.len() - 1].as_chunks::<BLOCK>();
            for block in blocks {
                sum = mixed(sum, block);
            }
            sum = mixed(sum, last);
        }
        None => {
            let mut block = [0; BLOCK];
            block[..content.len()].copy_from_slice(content);
            sum = mixed(sum, &block);
        }
    }
    let [a, b, ..] = folded(sum ^ KEYS[0], KEYS[1]).to_le_bytes();
    [a, b]
}

#[inline(always)]
fn mixed(sum: u64, block: &[u8; BLOCK]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    let (left, right) =
        (folded(word(0) ^ KEYS[0], word(1) ^ sum), folded(word(2) ^ KEYS[1], word(3) ^ sum ^ KEYS[2]));
    left.wrapping_add(right.rotate_left(32))
}

/// Both halves of the product in one: each bit of it depends on all of both factors.
#[inline(always)]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
