//! How long to wait before the next attempt.

/// Doubling delays with jitter. `backon` hands out an iterator that cannot say "that spell was healthy, begin again"
/// and draws its own randomness; these few lines take both from the caller, so a test can write the sequence down.
#[derive(Clone, Debug)]
pub struct Backoff {
    first_ms: u64,
    max_ms: u64,
    attempt: u32,
}

impl Backoff {
    /// Delays from `first_ms` to `max_ms`.
    pub const fn new(first_ms: u64, max_ms: u64) -> Self {
        Self { first_ms, max_ms, attempt: 0 }
    }

    /// The next delay; `random` from 0 to 1 spreads it over the upper half, so that never two gateways march in step
    /// and no delay is near zero.
    pub fn next_ms(&mut self, random: f64) -> u64 {
        let power = 1u64.checked_shl(self.attempt).unwrap_or(u64::MAX);
        let full = self.first_ms.saturating_mul(power).min(self.max_ms);
        self.attempt = self.attempt.saturating_add(1);
        let half = full / 2;
        half + ((full - half) as f64 * random.clamp(0.0, 1.0)) as u64
    }

    /// After a healthy spell the next delay is the shortest again.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_begin_again() {
        let mut backoff = Backoff::new(500, 60_000);
        let sequence: Vec<u64> = (0..9).map(|_| backoff.next_ms(1.0)).collect();
        assert_eq!(sequence, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0), 500);
    }

    #[test]
    fn jitter_takes_up_to_half() {
        for (random, delay) in [(0.0, 250), (0.5, 375), (1.0, 500), (7.0, 500), (f64::NAN, 250)] {
            assert_eq!(Backoff::new(500, 60_000).next_ms(random), delay);
        }
        let mut backoff = Backoff::new(500, 60_000);
        assert!((0..1_000).map(|_| backoff.next_ms(0.0)).all(|delay| (250..=30_000).contains(&delay)));
    }
}
