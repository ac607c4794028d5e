//! How old the oldest committed record is that is not stored. Pure: the time is an argument.

use std::collections::VecDeque;

/// Marks kept; a gateway commits once a second.
const MOST: usize = 1024;

/// What was heard of a gateway's journal, and when.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// (when it was heard, `committed`), rising.
    marks: VecDeque<(i64, u64)>,
}

impl Behind {
    /// A gateway said how much is committed.
    pub(super) fn committed(&mut self, committed: u64, now_ms: i64) {
        if self.marks.back().is_some_and(|(at, of)| *of > committed || *at > now_ms) {
            // The journal was put back, or the clock: what was heard before says nothing any more.
            self.marks.clear();
        }
        if self.marks.back().is_none_or(|(_, of)| *of < committed) {
            self.marks.push_back((now_ms, committed));
        }
        if self.marks.len() > MOST {
            // Every other one goes, but not the oldest: ages stay right, to a coarser step.
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }

    /// Seconds since the first record that is not stored was heard of as committed; 0 if there is none.
    pub(super) fn seconds(&self, stored: u64, now_ms: i64) -> f64 {
        let first = self.marks.iter().find(|(_, committed)| *committed > stored);
        first.map_or(0.0, |(at, _)| (now_ms - at).max(0) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_record_that_waits() {
        let mut behind = Behind::default();
        for second in 0..10 {
            behind.committed(second * 30, second as i64 * 1000);
        }
        assert_eq!(behind.seconds(270, 20_000), 0.0, "all is stored");
        assert_eq!(behind.seconds(269, 20_000), 11.0, "the last commit waits");
        assert_eq!(behind.seconds(0, 20_000), 19.0);
        behind.committed(270, 20_000);
        assert_eq!(behind.seconds(269, 20_000), 11.0, "a repetition is no news");
        behind.committed(5, 21_000);
        assert_eq!(behind.seconds(0, 22_000), 1.0, "another journal");
    }

    #[test]
    fn a_long_outage_takes_no_memory_and_keeps_its_age() {
        let mut behind = Behind::default();
        for second in 1..=100_000 {
            behind.committed(second, second as i64 * 1000);
        }
        assert!(behind.marks.len() <= MOST);
        assert_eq!(behind.seconds(0, 100_001_000), 100_000.0);
        assert!(behind.seconds(50_000, 100_001_000) <= 50_000.0);
    }
}
