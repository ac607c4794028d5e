//! What the journal counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The journal's counters since the process began, as plain numbers to be shown as metrics.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        /// The same, being counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Batches appended.
    appended_batches,
    /// Records in them.
    appended_records,
    /// Their bytes, frames included.
    appended_bytes,
    /// Flushes that reached the disk.
    flushes,
    /// Pages these wrote, in bytes, and what new files and sealing wrote: what the journal costs the flash.
    flushed_bytes,
    /// Writes and flushes the disk refused; each ends an epoch.
    disk_errors,
    /// Attempts to leave a memory epoch.
    disk_retries,
    /// Epochs begun on disk.
    disk_epochs,
    /// Epochs begun in memory.
    memory_epochs,
    /// Segments begun.
    segments,
    /// Segments whose space was given to newer records.
    segments_recycled,
    /// Segments sealed.
    segments_sealed,
    /// What these take of the ring now, in bytes.
    sealed_bytes,
    /// Attempts to seal that failed; the segment stays as it is.
    seal_failures,
    /// Records overwritten in the ring, on disk or in memory.
    overwritten_records,
    /// Ranges of offsets found damaged: at the start, or by a reader.
    damaged_ranges,
    /// Records in them.
    damaged_records,
    /// Intact records above `committed` that a start kept.
    recovered_records,
    /// Starts that cut a torn tail.
    torn_tails,
    /// Segments of a newer release, left alone.
    newer_segments,
    /// Files named as segments without a readable header, left alone.
    unreadable_segments,
    /// Pages the disk would not read.
    read_errors,
    /// Readings begun.
    reads,
    /// Batches read.
    read_batches,
    /// Readings refused or ended because the ring had gone over their offsets.
    reads_gone,
}

/// One number, counted from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}
