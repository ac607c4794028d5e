//! What a service has counted since it started, as part of its status. Keys are added, never changed.

use serde::{Deserialize, Serialize};

/// A gateway's part of its status, `counted`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GatewayCounts {
    /// Frames received, of any kind.
    pub frames: u64,
    /// Trades received.
    pub trades: u64,
    /// Trades with volume 0 received.
    pub price_updates: u64,
    /// Elements of trade frames that are no trade.
    pub rejected_elements: u64,
    /// Batches the broker's connection did not take; consumers fetch them from the journal.
    pub unpublished_batches: u64,
    /// Trades not published as JSON for want of room or broker.
    pub unmirrored_trades: u64,
    /// Records that could not be journaled at all.
    pub dropped_records: u64,
}

/// An aggregator's part of its status, `counted` of each stream. Those of the fold are counted since the journal's
/// beginning.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct StreamCounts {
    /// Fetches of the journal that were begun.
    pub fetches: u64,
    /// Fetches that failed.
    pub fetch_failures: u64,
    /// Batches folded into a final window.
    pub revisions: u64,
    /// Trades too late for the kept hour, in no window.
    pub late_records: u64,
    /// Trades with times outside of 2000 to 2200, in no window.
    pub implausible_records: u64,
    /// Offsets that could not be had.
    pub lost_records: u64,
    /// Live batches dropped because the source was being fetched or its queue was full.
    pub discarded_batches: u64,
    /// Messages on the batches topic that could not be decoded.
    pub undecodable_batches: u64,
    /// Writes to the store.
    pub store_writes: u64,
    /// Time those that succeeded took, from handing a batch over until it was taken.
    pub store_seconds: f64,
    /// Writes that failed.
    pub store_failures: u64,
}
