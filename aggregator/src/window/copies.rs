//! Suspected copies: frames that repeat a recent frame's trades.
//!
//! The feed has been seen to send every trade twice, and single trades that are equal are real. So nothing is ever
//! dropped; trades are counted as suspected copies where a whole frame, in any order, comes again within
//! [`NEAR_MS`].

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tickberry_wire::Epoch;

/// Copies came 18 to 97 ms behind.
const NEAR_MS: u64 = 200;
/// Frames looked back at.
const FRAMES: usize = 64;

/// The frames of the last moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(crate) struct RecentFrames {
    epoch: Option<Epoch>,
    /// (elapsed, fingerprint)
    frames: VecDeque<(u64, u64)>,
    /// How many of the frames have a fingerprint that ends like this: mostly none, and there is nothing to search.
    #[serde(skip)]
    alike: [[u8; 32]; 8],
}

/// What is serialized of it.
#[derive(Deserialize)]
struct Stored {
    epoch: Option<Epoch>,
    frames: VecDeque<(u64, u64)>,
}

impl From<Stored> for RecentFrames {
    fn from(Stored { epoch, frames }: Stored) -> Self {
        let mut recent = Self { epoch, frames, ..Self::default() };
        for (_, fingerprint) in &recent.frames {
            let alike = place(&mut recent.alike, *fingerprint);
            *alike = alike.saturating_add(1);
        }
        recent
    }
}

impl RecentFrames {
    /// Notes a frame; tells whether it repeats a recent one.
    pub(crate) fn repeats(&mut self, epoch: Epoch, elapsed_ms: u64, fingerprint: u64) -> bool {
        if self.epoch != Some(epoch) {
            *self = Self { epoch: Some(epoch), frames: std::mem::take(&mut self.frames), ..Self::default() };
            self.frames.clear();
        }
        let recent = |at: u64| elapsed_ms.abs_diff(at) <= NEAR_MS;
        while let Some((at, known)) = self.frames.front()
            && (!recent(*at) || self.frames.len() >= FRAMES)
        {
            let alike = place(&mut self.alike, *known);
            *alike = alike.saturating_sub(1);
            self.frames.pop_front();
        }
        let alike = place(&mut self.alike, fingerprint);
        let repeats =
            *alike > 0 && self.frames.iter().any(|(at, known)| *known == fingerprint && recent(*at));
        *alike = alike.saturating_add(1);
        self.frames.push_back((elapsed_ms, fingerprint));
        repeats
    }
}

fn place(alike: &mut [[u8; 32]; 8], fingerprint: u64) -> &mut u8 {
    &mut alike[(fingerprint >> 5 & 7) as usize][(fingerprint & 31) as usize]
}

/// Fingerprint of one trade; a frame's is their sum, so that order does not matter.
#[inline]
pub(crate) fn fingerprint(symbol: u64, time_ms: i64, price: i64, volume: i64) -> u64 {
    // Both halves of one wide product: every bit of it depends on all of both factors.
    let left = (time_ms as u64) ^ symbol;
    let right = (price as u64).rotate_left(24) ^ (volume as u64) ^ 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

/// FNV-1a of a symbol: the same on every machine and in every release, as the count it decides is part of the state.
pub(crate) fn symbol_fingerprint(symbol: &str) -> u64 {
    symbol.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_copy_within_its_moment_and_epoch_only() {
        let (one, two) = (Epoch::new(1, 0), Epoch::new(2, 0));
        let mut recent = RecentFrames::default();
        for (epoch, elapsed_ms, fingerprint, copy) in [
            (one, 0, 7, false),
            (one, 97, 7, true),
            (one, 98, 8, false),
            (one, 297, 7, true),
            (one, 498, 7, false),
            (two, 498, 7, false),
            (two, 499, 7, true),
        ] {
            assert_eq!(
                recent.repeats(epoch, elapsed_ms, fingerprint),
                copy,
                "{epoch} {elapsed_ms} {fingerprint}"
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = RecentFrames::default();
        for fingerprint in 0..1000 {
            recent.repeats(Epoch::new(1, 0), 0, fingerprint);
        }
        assert!(recent.frames.len() <= FRAMES);
    }

    #[test]
    fn the_order_of_trades_does_not_matter_but_each_value_does() {
        let btc = symbol_fingerprint("BINANCE:BTCUSDT");
        let base = fingerprint(btc, 1, 2, 3);
        for other in [
            fingerprint(symbol_fingerprint("BINANCE:ETHUSDT"), 1, 2, 3),
            fingerprint(btc, 2, 2, 3),
            fingerprint(btc, 1, 3, 3),
            fingerprint(btc, 1, 2, 4),
            fingerprint(btc, 2, 1, 3),
        ] {
            assert_ne!(base, other);
        }
    }
}
