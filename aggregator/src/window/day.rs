//! A UTC day, summed up from windows.

use super::exact::{Digits, Exact, pow10};
use super::stats::{Key, Stats, highest, lowest};
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The exact numbers of the windows of a day, or of some of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DayStats {
    count: u64,
    first: Key,
    last: Key,
    prices: [Digits; 4],
    volume: Vec<u8>,
    volume_scale: u8,
}

impl From<&Stats> for DayStats {
    fn from(window: &Stats) -> Self {
        let (first, last) = window.ends();
        let (volume, volume_scale) = window.volume_sum();
        Self {
            count: window.count(),
            first,
            last,
            prices: window.prices(),
            volume: volume.to_signed_bytes_le(),
            volume_scale,
        }
    }
}

impl DayStats {
    /// Adds a window of the same day.
    pub(crate) fn absorb(&mut self, window: &Stats) {
        let other = Self::from(window);
        let [open, high, low, close] = self.prices;
        let [other_open, other_high, other_low, other_close] = other.prices;
        self.prices = [
            if other.first < self.first { other_open } else { open },
            highest(high, other_high),
            lowest(low, other_low),
            if other.last > self.last { other_close } else { close },
        ];
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        let scale = self.volume_scale.max(other.volume_scale);
        self.volume = (self.volume_at(scale) + other.volume_at(scale)).to_signed_bytes_le();
        self.volume_scale = scale;
    }

    fn volume_at(&self, scale: u8) -> BigInt {
        BigInt::from_signed_bytes_le(&self.volume) * pow10((scale - self.volume_scale).into())
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Open, high, low and close.
    pub(crate) fn prices(&self) -> [Digits; 4] {
        self.prices
    }

    pub(crate) fn volume(&self) -> Exact {
        Exact::new(BigInt::from_signed_bytes_le(&self.volume), self.volume_scale.into())
    }
}

/// Adds a window to a day that may have none yet.
pub(crate) fn absorb(day: &mut Option<DayStats>, window: &Stats) {
    match day {
        Some(day) => day.absorb(window),
        None => *day = Some(DayStats::from(window)),
    }
}
