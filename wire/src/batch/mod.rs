//! The batch codec, version 1: a version byte, a header, then delta-coded columns, then a checksum.
//!
//! ```text
//! 0x01 | Header | body                                                   | checksum, 16 bits
//!                 Commit:  nothing
//!                 Trades:  count, first time, groups, first prices, bit columns
//!                 Control: postcard
//!                 Lost:    count, reason (postcard)
//! ```
//!
//! Stateless: each message decodes alone. Lengths are bounded before anything is allocated, what is not understood is
//! an error that says which, and a newer version is never called corrupt. The bit layout of the columns is described
//! in [`columns`](self::Columns) and in `docs/wire.md`.

mod bits;
mod bytes;
mod checksum;
mod columns;
mod decode;
mod encode;
mod header;
mod symbol_text;
#[cfg(test)]
mod tests;
mod unpack;

pub use columns::{Columns, Group, Precision, Row};
pub use decode::{decode, decode_columns, peek};
pub use encode::encode;
pub use header::Head;

/// Largest encoded batch in bytes: one constant for codec, clients and broker.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Most trades in one batch.
pub const MAX_TRADES: usize = 4096;
/// Most different symbols in one batch.
pub const MAX_GROUPS: usize = 1024;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 2;
/// The version this release writes.
pub const VERSION: u8 = 1;

/// Makes the checksum fit the bytes before it: for tests that want what stands behind the checksum to see damage.
pub fn repair_checksum(bytes: &mut [u8]) {
    if let Some((content, check)) = bytes.split_last_chunk_mut::<CHECKSUM>() {
        *check = checksum::checksum(content);
    }
}

/// Why a batch cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More trades or symbols than a batch may hold, or none.
    #[error("{what}: {found}, allowed are 1 to {max}; send several batches")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// The encoded batch is larger than [`MAX_PAYLOAD`].
    #[error("the encoded batch has {0} bytes, allowed are {MAX_PAYLOAD}; send several batches")]
    TooLarge(usize),
    /// A header field contradicts the others.
    #[error("{0}")]
    Header(&'static str),
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by another release; not corrupt.
    #[error("batch version {0} is not known here (known: {VERSION}); update this host")]
    UnknownVersion(u8),
    /// More bytes than a batch may have.
    #[error("{0} bytes, a batch has at most {MAX_PAYLOAD}")]
    TooLarge(usize),
    /// The bytes end too early.
    #[error("the batch ends within its {0}")]
    Short(&'static str),
    /// Bytes are left over.
    #[error("{0} bytes are left behind the batch's end")]
    Long(usize),
    /// The bytes contradict themselves.
    #[error("the batch is corrupt: {0}")]
    Corrupt(&'static str),
}
