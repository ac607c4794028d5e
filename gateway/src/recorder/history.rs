//! What an earlier process left in the journal: the last event time, and the event times around damage.

use tickberry_wire::{Body, Gap, GapReason, decode};

use super::Moment;
use super::event_clock::frame_time;
use crate::journal::{Item, LostRange, Reader};

/// How many records are read back at first; eight times as many each time that nothing is found.
const FIRST_LOOK: u64 = 2_000;
/// How many damaged ranges are told apart; beyond, they are joined.
const MAX_RANGES: usize = 64;

/// An event time, and when it was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    /// The newest sane event time of a batch.
    pub(super) event_ms: i64,
    /// By the wall clock, if that was set.
    pub(super) received_ms: Option<i64>,
}

/// The newest sane event time of the batches in `[from, to)`, or of the first of them that has one.
fn event_time(reader: &Reader, from: u64, to: u64, first: bool) -> Option<Heard> {
    let mut batches = reader.read_uncommitted(from, Some(to)).ok()?;
    let mut found: Option<Heard> = None;
    while let Ok(Some(item)) = batches.next_item() {
        let Item::Batch { payload, .. } = item else { continue };
        let Ok(batch) = decode(payload) else { continue };
        let Body::Trades(trades) = &batch.body else { continue };
        // A batch is judged by the clock it was received at.
        let received_ms = batch.received_ms();
        let received = Moment { mono_ms: 0, wall_ms: received_ms.unwrap_or(0) };
        let Some(event_ms) = frame_time(trades, received) else { continue };
        if first {
            return Some(Heard { event_ms, received_ms });
        }
        if found.is_none_or(|found| event_ms > found.event_ms) {
            found = Some(Heard { event_ms, received_ms });
        }
    }
    found
}

/// The last event time before `end`: where the next epoch's start gap begins.
pub(super) fn last_heard(reader: &Reader, end: u64) -> Option<Heard> {
    let oldest = reader.state().first;
    let mut look = FIRST_LOOK;
    loop {
        let from = end.saturating_sub(look).max(oldest);
        let found = event_time(reader, from, end, false);
        if found.is_some() || from <= oldest {
            return found;
        }
        look = look.saturating_mul(8);
    }
}

/// Damaged ranges as gaps in event time. A range at the very end has no event time behind it: the start gap, which
/// begins at the last event time that can still be read, covers it.
pub(super) fn damage(reader: &Reader, lost: &[LostRange], end: u64) -> Vec<Gap> {
    let before = |offset| last_heard(reader, offset).map_or(0, |heard| heard.event_ms);
    let mut gaps = Vec::new();
    for range in lost.iter().take(MAX_RANGES) {
        let from_ms = before(range.from);
        if let Some(Heard { event_ms: to_ms, .. }) = event_time(reader, range.to, end, true)
            && from_ms <= to_ms
        {
            gaps.push(Gap { from_ms, to_ms, reason: GapReason::Quarantine, symbols: Vec::new() });
        }
    }
    if let (Some(beyond), Some(last)) = (lost.get(MAX_RANGES), lost.last()) {
        let from_ms = before(beyond.from);
        if let Some(Heard { event_ms: to_ms, .. }) = event_time(reader, last.to, end, true) {
            gaps.push(Gap { from_ms, to_ms, reason: GapReason::Quarantine, symbols: Vec::new() });
        }
    }
    gaps
}
