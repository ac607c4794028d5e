//! From when to when the feed was not heard, as records.

use super::Moment;
use super::history::Heard;
use tickberry_wire::{Gap, GapReason, Symbol};

/// A minute, the window whose coverage is at stake.
const WINDOW_MS: i64 = 60_000;
/// What is heard first may be older than what was heard last: a feed's frames are not in order. Further back is another
/// recording.
const DISORDER_MS: i64 = 60_000;

/// A time of deafness that goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deafness {
    /// Event time up to which it is told already.
    told_until: i64,
    reason: GapReason,
    /// Whether the part up to the end of its first minute was told.
    first_told: bool,
    /// At a start: how far the wall clock was ahead of event time when the process before heard its last trade.
    ahead_ms: Option<i64>,
}

impl Deafness {
    pub(super) const fn new(from_ms: i64, reason: GapReason) -> Self {
        Self { told_until: from_ms, reason, first_told: false, ahead_ms: None }
    }

    /// From the start of a process on. `None` where nothing was heard before.
    pub(super) fn of_start(heard: Option<Heard>) -> Self {
        let ahead_ms = heard.and_then(|heard| Some(heard.received_ms? - heard.event_ms));
        Self { ahead_ms, ..Self::new(heard.map_or(0, |heard| heard.event_ms), GapReason::Start) }
    }

    /// Event time at the first frame of a process. What is heard first may be late, and would make the gap too short: so
    /// the wall clock has a say, where it and the frame do not contradict each other.
    pub(super) fn first_heard(&self, frame_ms: i64, now: Moment) -> i64 {
        let by_clock = self.ahead_ms.filter(|_| now.is_set()).map(|ahead| now.wall_ms - ahead);
        let late = by_clock.filter(|time| (0..=DISORDER_MS).contains(&(time - frame_ms)));
        late.unwrap_or(frame_ms)
    }

    /// What keeps the feed away has another name now.
    pub(super) const fn set_reason(&mut self, reason: GapReason) {
        self.reason = reason;
    }

    pub(super) const fn is_start(&self) -> bool {
        matches!(self.reason, GapReason::Start)
    }

    /// The part that has to be told now that it is `event_ms`, if any.
    ///
    /// Only the minute in which the deafness began can hold trades, and silence makes it final. So the gap is told
    /// up to that minute's end as soon as it has passed; the rest is told once, at the end.
    pub(super) fn passed(&mut self, event_ms: i64) -> Option<Gap> {
        let minute_end = (self.told_until.div_euclid(WINDOW_MS) + 1) * WINDOW_MS;
        if self.first_told || self.told_until == 0 || event_ms < minute_end {
            return None;
        }
        self.first_told = true;
        Some(self.tell(event_ms))
    }

    /// The rest, when the feed is heard again. A first frame that is older than the last one before says that what was
    /// missed lies about these two. `None` if event time has gone back further: another recording.
    pub(super) fn end(mut self, event_ms: i64) -> Option<Gap> {
        let back_ms = self.told_until.saturating_sub(event_ms);
        (back_ms <= DISORDER_MS).then(|| self.tell(event_ms))
    }

    fn tell(&mut self, event_ms: i64) -> Gap {
        let (from_ms, to_ms) = (self.told_until.min(event_ms), self.told_until.max(event_ms));
        self.told_until = to_ms;
        Gap { from_ms, to_ms, reason: self.reason, symbols: Vec::new() }
    }
}

/// Most symbols in one record: with the longest names half of what a batch may hold.
const MAX_SYMBOLS: usize = 500;

/// A gap of some symbols, in records that each fit a batch.
pub(super) fn of_symbols(
    from_ms: i64,
    to_ms: i64,
    reason: GapReason,
    symbols: &[Symbol],
) -> impl Iterator<Item = Gap> {
    symbols.chunks(MAX_SYMBOLS).map(move |part| Gap { from_ms, to_ms, reason, symbols: part.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from_ms: i64, to_ms: i64) -> Option<Gap> {
        Some(Gap { from_ms, to_ms, reason: GapReason::Disconnect, symbols: Vec::new() })
    }

    #[test]
    fn a_short_gap_is_told_once_and_a_long_one_twice() {
        let mut short = Deafness::new(600_010_000, GapReason::Disconnect);
        assert_eq!(short.passed(600_059_999), None);
        assert_eq!(short.end(600_059_999), gap(600_010_000, 600_059_999));
        let mut long = Deafness::new(600_010_000, GapReason::Disconnect);
        assert_eq!(long.passed(600_060_300), gap(600_010_000, 600_060_300));
        assert_eq!(long.passed(600_200_000), None);
        assert_eq!(long.end(600_500_000), gap(600_060_300, 600_500_000));
    }

    #[test]
    fn frames_out_of_order_do_not_hide_a_gap() {
        let deaf = Deafness::new(600_010_000, GapReason::Disconnect);
        assert_eq!(deaf.end(600_009_300), gap(600_009_300, 600_010_000));
        assert_eq!(deaf.end(600_010_000), gap(600_010_000, 600_010_000));
    }

    #[test]
    fn a_first_frame_that_is_late_does_not_shorten_the_gap() {
        let heard = |received_ms| Some(Heard { event_ms: 1_800_000_010_000, received_ms });
        let now = |wall_ms| Moment { mono_ms: 0, wall_ms };
        let deaf = Deafness::of_start(heard(Some(1_800_000_010_050)));
        let first = |frame_ms, wall_ms| deaf.first_heard(frame_ms, now(wall_ms));
        assert_eq!(first(1_800_000_010_000, 1_800_000_010_750), 1_800_000_010_700, "as old as the last one");
        assert_eq!(first(1_800_000_009_700, 1_800_000_010_750), 1_800_000_010_700, "older");
        assert_eq!(first(1_800_000_010_720, 1_800_000_010_750), 1_800_000_010_720, "ahead of the clock");
        assert_eq!(first(1_500_000_000_000, 1_800_000_010_750), 1_500_000_000_000, "another recording");
        assert_eq!(first(1_800_000_010_720, 0), 1_800_000_010_720, "no clock");
        assert_eq!(
            Deafness::of_start(heard(None)).first_heard(5, now(1_800_000_010_750)),
            5,
            "no clock before"
        );
        assert_eq!(Deafness::of_start(None).first_heard(5, now(1_800_000_010_750)), 5);
    }

    #[test]
    fn nothing_is_told_of_a_time_that_runs_backwards() {
        assert_eq!(Deafness::new(600_010_000, GapReason::Disconnect).end(5), None);
    }
}
