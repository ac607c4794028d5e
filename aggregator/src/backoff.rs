//! How long to wait before a store that failed is tried again.

use std::time::Duration;

/// Doubles from half a second to half a minute, each time by a random part shorter, so that several do not knock at
/// once.
#[derive(Default)]
pub(crate) struct Backoff {
    tries: u32,
}

const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(30);

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        self.pause(rand::random_range(0.5..1.0))
    }

    fn pause(&mut self, part: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.tries.min(10)).min(LAST);
        self.tries += 1;
        full.mul_f64(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..9).map(|_| backoff.pause(1.0).as_millis() as u64).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        for _ in 0..100 {
            let pause = Backoff::default().next();
            assert!(FIRST / 2 <= pause && pause <= FIRST);
        }
    }
}
