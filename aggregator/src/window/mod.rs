//! The fold: one-minute windows as a pure function of a source's journal.
//!
//! [`Fold`] takes one source's records in offset order and says what changed. It has no clock, does no I/O and keeps
//! nothing else in mind, so the same journal prefix gives the same state, byte for byte ([`Fold::fingerprint`]).
//!
//! | rule | where |
//! |---|---|
//! | sums are exact integers; a float appears once, correctly rounded | `exact`, `ratio`, `stats` |
//! | the watermark comes from event times and receive-time differences; one absurd time does not move it | `clock` |
//! | coverage is what gap records leave | `coverage` |
//! | copies are counted, never dropped | `copies` |
//! | which window a trade counts in, when windows are final, and when they leave | `rows`, `run`, `turn` |
//! | a restart: little state in the cursor, the rest from the journal again | `cursor` |
//!
//! # The life of a window
//!
//! A window opens with its first trade. It is **final** once the watermark has reached its end. For the kept hour
//! after that a late trade still counts in it, and so does a late gap that lowers its coverage: each such batch is a
//! **revision**. Then it **leaves**: it is written once more, its numbers move into its day, and later trades for it
//! are only counted ([`Counters::late_beyond`]). A batch is folded under the watermark of the records before it.
//!
//! # Times that are ahead
//!
//! A trade of a plausible time more than an hour ahead of everything counts in its window like any other, though it
//! does not move the watermark before it is confirmed. Such windows are *carried*: the cursor holds them whole, since
//! it may be years until the watermark comes by, and the journal is not that long. At most [`MAX_CARRIED`] are
//! held; trades that would open more are counted ([`Counters::too_far_ahead`]) and in no window.

mod changes;
mod clock;
mod copies;
mod coverage;
mod cursor;
mod day;
mod exact;
mod fold;
mod ratio;
mod rows;
mod run;
mod stats;
mod symbol;
#[cfg(test)]
mod tests;
mod turn;

pub use changes::{Changes, Day, GapRow, Live, Minute};
pub use cursor::{CursorState, ResumeError};
pub use exact::Exact;
pub use fold::{Counters, Fold, FoldConfig};

/// Width of a window.
pub const MINUTE_MS: i64 = 60_000;
/// Most windows held that are ahead of the horizon.
pub const MAX_CARRIED: usize = 512;

/// The start of the minute that holds this time.
pub(crate) fn minute_of(time_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(MINUTE_MS)
}
