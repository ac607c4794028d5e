//! Which cursor goes with a batch. A store may acknowledge a batch and lose it all the same, when its process or power
//! goes before its own flush; its cursor may survive that, being elsewhere. So such a store is never given a cursor
//! beyond what has settled: whoever begins again from it writes the rest once more, which changes nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tickberry_store::Cursor;

/// The cursors of the batches that were acknowledged and may still vanish.
pub(super) struct Settling {
    delay: Duration,
    settled: Cursor,
    acknowledged: VecDeque<(Instant, Cursor)>,
}

impl Settling {
    /// `settled`: what the store said when it was asked, or the cursor of nothing.
    pub(super) fn new(delay: Duration, settled: Cursor) -> Self {
        Self { delay, settled, acknowledged: VecDeque::new() }
    }

    /// What to write with a batch whose end is `cursor`: itself where nothing acknowledged vanishes, otherwise the last
    /// one that has settled.
    pub(super) fn cursor(&mut self, cursor: &Cursor, now: Instant) -> Cursor {
        if self.delay.is_zero() {
            return cursor.clone();
        }
        let has_settled = |(at, _): &(Instant, Cursor)| now.saturating_duration_since(*at) >= self.delay;
        while self.acknowledged.front().is_some_and(has_settled) {
            if let Some((_, cursor)) = self.acknowledged.pop_front() {
                self.settled = cursor;
            }
        }
        self.settled.clone()
    }

    /// The store acknowledged a batch that ends with `cursor`.
    pub(super) fn acknowledged(&mut self, cursor: Cursor, now: Instant) {
        let known = self.acknowledged.back().map_or(&self.settled, |(_, last)| last);
        if !self.delay.is_zero() && *known != cursor {
            self.acknowledged.push_back((now, cursor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(stored: u64) -> Cursor {
        Cursor { source: "s".into(), epoch: 1, stored, rebuild_from: 0, floor_ms: 0, state: Vec::new() }
    }

    #[test]
    fn without_a_delay_a_batch_has_its_own_cursor() {
        let now = Instant::now();
        let mut settling = Settling::new(Duration::ZERO, cursor(0));
        assert_eq!(settling.cursor(&cursor(5), now), cursor(5));
        settling.acknowledged(cursor(5), now);
        assert_eq!(settling.cursor(&cursor(9), now), cursor(9));
    }

    #[test]
    fn a_cursor_waits_until_what_it_covers_has_settled() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut settling = Settling::new(Duration::from_secs(1), cursor(0));
        let cases = [
            // At which ms, the batch ends at, and goes with the cursor.
            (0, 5, 0),
            (400, 9, 0),
            (999, 12, 0),
            (1_000, 12, 5),
            (1_400, 12, 9),
            // Repeated, the end of what is there does not become younger.
            (1_999, 12, 12),
            (5_000, 12, 12),
        ];
        for (ms, end, with) in cases {
            assert_eq!(settling.cursor(&cursor(end), at(ms)), cursor(with), "at {ms}");
            settling.acknowledged(cursor(end), at(ms));
        }
    }
}
