//! Feed gaps, and how much of a window they leave covered.

use super::MINUTE_MS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tickberry_wire::{GapReason, Symbol};

/// More gaps than this within the kept hour are joined into their predecessors: that can only lower a coverage.
const MAX_GAPS: usize = 16_384;

/// A stretch of event time in which the feed was not heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedGap {
    /// Where it stands in the journal.
    pub(crate) offset: u64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) reason: GapReason,
    /// Empty: all.
    pub(crate) symbols: Vec<Symbol>,
}

impl FeedGap {
    /// Whether the gap is about this symbol.
    pub(crate) fn concerns(&self, symbol: &Symbol) -> bool {
        self.symbols.is_empty() || self.symbols.contains(symbol)
    }

    /// Whether any of the minute from `start` is in it.
    pub(crate) fn touches(&self, start: i64) -> bool {
        self.from_ms < start + MINUTE_MS && self.to_ms > start
    }
}

/// The gaps that may still lower a kept or coming window's coverage, in journal order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedGaps(VecDeque<FeedGap>);

impl FeedGaps {
    pub(crate) fn push(&mut self, gap: FeedGap) {
        if self.0.len() >= MAX_GAPS
            && let Some(last) = self.0.iter_mut().rev().find(|last| last.symbols == gap.symbols)
        {
            last.from_ms = last.from_ms.min(gap.from_ms);
            last.to_ms = last.to_ms.max(gap.to_ms);
            return;
        }
        self.0.push_back(gap);
    }

    /// Forgets what ended before the windows that may still change.
    pub(crate) fn forget_before(&mut self, floor_ms: i64) {
        self.0.retain(|gap| gap.to_ms > floor_ms);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &FeedGap> {
        self.0.iter()
    }

    /// How many milliseconds of the minute from `start` are in a gap of the symbol.
    pub(crate) fn missing_ms(&self, symbol: &Symbol, start: i64) -> u32 {
        let end = start + MINUTE_MS;
        let touching = self.0.iter().filter(|gap| gap.touches(start) && gap.concerns(symbol));
        let mut stretches: Vec<(i64, i64)> =
            touching.map(|gap| (gap.from_ms.max(start), gap.to_ms.min(end))).collect();
        stretches.sort_unstable();
        let mut missing = 0;
        let mut done = start;
        for (from, to) in stretches {
            missing += (to - from.max(done)).max(0);
            done = done.max(to);
        }
        missing as u32
    }
}

impl FromIterator<FeedGap> for FeedGaps {
    fn from_iter<I: IntoIterator<Item = FeedGap>>(gaps: I) -> Self {
        Self(gaps.into_iter().collect())
    }
}

/// The covered part of a minute, as the double nearest to the exact quotient.
pub(crate) fn coverage(missing_ms: u32) -> f64 {
    f64::from(MINUTE_MS as u32 - missing_ms) / f64::from(MINUTE_MS as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_gaps_count_once() {
        let a = Symbol::new("A").unwrap();
        let gap = |from_ms, to_ms, symbols: &[&Symbol]| FeedGap {
            offset: 0,
            from_ms,
            to_ms,
            reason: GapReason::Stall,
            symbols: symbols.iter().copied().cloned().collect(),
        };
        let b = Symbol::new("B").unwrap();
        for (gaps, missing_a) in [
            (vec![], 0),
            (vec![gap(0, 60_000, &[])], 0),
            (vec![gap(59_000, 61_000, &[])], 1000),
            (vec![gap(i64::MIN, i64::MAX, &[])], 60_000),
            (vec![gap(70_000, 80_000, &[]), gap(75_000, 85_000, &[&a])], 15_000),
            (vec![gap(75_000, 85_000, &[&b]), gap(70_000, 80_000, &[&b, &a])], 10_000),
            (
                vec![gap(100_000, 119_000, &[]), gap(101_000, 102_000, &[]), gap(119_999, 130_000, &[])],
                19_001,
            ),
            (vec![gap(90_000, 80_000, &[])], 0),
        ] {
            let gaps: FeedGaps = gaps.into_iter().collect();
            assert_eq!(gaps.missing_ms(&a, 60_000), missing_a, "{gaps:?}");
        }
        assert_eq!(coverage(0), 1.0);
        assert_eq!(coverage(15_000), 0.75);
        assert_eq!(coverage(60_000), 0.0);
    }
}
