//! Suspected copies: Finnhub was seen to send whole frames two and three times.
//!
//! Nothing is dropped for it, because many genuine trades are equal in every field too; it is counted.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tickberry_wire::Trade;

/// How many frames back a copy may be of.
const FRAMES: usize = 16;
/// How long ago a copy may be of.
const WITHIN_MS: u64 = 1_000;

/// The frames of the last second.
#[derive(Debug, Default)]
pub struct Copies {
    recent: VecDeque<(u64, u64)>,
}

impl Copies {
    /// Whether a frame repeats one of the last second, trade by trade.
    pub fn is_copy(&mut self, trades: &[Trade], now: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        for trade in trades {
            (&trade.symbol, trade.time_ms, trade.price, trade.volume).hash(&mut hasher);
        }
        let hash = hasher.finish();
        self.recent.retain(|(_, heard)| now.saturating_sub(*heard) <= WITHIN_MS);
        let known = self.recent.iter().any(|(known, _)| *known == hash);
        if self.recent.len() == FRAMES {
            self.recent.pop_front();
        }
        self.recent.push_back((hash, now));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickberry_wire::{Decimal, Symbol};

    fn frame(time_ms: i64) -> Vec<Trade> {
        let price = Decimal::parse("1.5").unwrap();
        let symbol = Symbol::new("A").unwrap();
        vec![Trade { symbol, time_ms, price, volume: price, conditions: None }]
    }

    #[test]
    fn a_frame_is_a_copy_for_a_second_and_sixteen_frames() {
        let mut copies = Copies::default();
        assert!(!copies.is_copy(&frame(1), 0));
        assert!(copies.is_copy(&frame(1), 90));
        assert!(!copies.is_copy(&frame(2), 95));
        assert!(copies.is_copy(&frame(1), 1_090));
        assert!(!copies.is_copy(&frame(1), 2_091));
        for time in 100..116 {
            assert!(!copies.is_copy(&frame(time), 2_092));
        }
        assert!(!copies.is_copy(&frame(1), 2_093));
    }
}
