//! The journal's sizes, and what it must be told about the moment an epoch begins.

use serde::Deserialize;

use super::format::{FRAME_HEAD, MAX_FRAME_PAYLOAD, PAGE};

/// Sizes. A flush writes whole pages: with one flush a second and trades all day 354 MB a day, 124 bytes a trade at
/// 33 trades/s; a quiet second writes nothing. What is kept is sealed, 7.6 MB for such a day at ten trades a frame,
/// 8.4 at three: the default ring holds six days. A segment of 4 MiB is sealed every seventeen minutes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of all segments together. When they are used up, the oldest segment gives way.
    pub ring_bytes: u64,
    /// Bytes of one segment: what is overwritten at a time.
    pub segment_bytes: u64,
    /// Bytes kept in memory while the disk cannot be written.
    pub memory_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { ring_bytes: 64 << 20, segment_bytes: 4 << 20, memory_bytes: 8 << 20 }
    }
}

impl Config {
    /// The smallest segment: two headers and the largest frame.
    pub const MIN_SEGMENT_BYTES: u64 =
        2 * PAGE + (FRAME_HEAD + MAX_FRAME_PAYLOAD).next_multiple_of(PAGE as usize) as u64;

    /// Whether the sizes make sense; says which one does not, and what would.
    pub fn check(&self) -> Result<(), String> {
        let Self { ring_bytes, segment_bytes, memory_bytes } = *self;
        if segment_bytes < Self::MIN_SEGMENT_BYTES || segment_bytes % PAGE != 0 {
            let least = Self::MIN_SEGMENT_BYTES;
            return Err(format!(
                "segment_bytes = {segment_bytes}: use a multiple of {PAGE}, at least {least}"
            ));
        }
        if ring_bytes < 3 * segment_bytes {
            let least = 3 * segment_bytes;
            return Err(format!("ring_bytes = {ring_bytes}: use at least 3 segments, {least}"));
        }
        if memory_bytes < 2 * MAX_FRAME_PAYLOAD {
            let least = 2 * MAX_FRAME_PAYLOAD;
            return Err(format!("memory_bytes = {memory_bytes}: use at least {least}"));
        }
        Ok(())
    }
}

/// The moment an epoch begins; the journal has no clock and throws no dice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Seconds since 1970, by a clock that may be wrong.
    pub unix_seconds: u64,
    /// At least 20 random bits.
    pub random: u32,
    /// For the epoch start's batch: monotonic milliseconds since the origin of the clock anchor.
    pub elapsed_ms: u64,
    /// For the epoch start's batch: the wall clock at that origin, when it is known.
    pub anchor_ms: Option<i64>,
    /// Whether the feed is a simulator.
    pub simulated: bool,
}
