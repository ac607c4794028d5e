//! How long to wait before the next attempt. Pure: time is an argument.

use std::time::{Duration, Instant};

/// A connection that lived this long was healthy: the next failure starts from the shortest delay again.
const HEALTHY: Duration = Duration::from_secs(20);

/// Delays between attempts: 0.1 s doubling to 3 s, each with as much again of jitter at most, back to the start only after a healthy spell.
pub(super) struct Backoff {
    seed: u64,
    delays: backon::ExponentialBackoff,
    attempts: u32,
    connected_at: Option<Instant>,
}

impl Backoff {
    const MAX: Duration = Duration::from_secs(3);

    pub(super) fn new(seed: u64) -> Backoff {
        Backoff { seed, delays: Backoff::delays(seed), attempts: 0, connected_at: None }
    }

    pub(super) fn delays(seed: u64) -> backon::ExponentialBackoff {
        let builder = backon::ExponentialBuilder::new().with_min_delay(Duration::from_millis(100));
        let builder =
            builder.with_max_delay(Backoff::MAX).without_max_times().with_jitter_seed(seed).with_jitter();
        backon::BackoffBuilder::build(builder)
    }

    pub(super) fn is_first(&self) -> bool {
        self.attempts == 0
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let healthy = self.connected_at.take().is_some_and(|at| now.duration_since(at) >= HEALTHY);
        if healthy {
            self.delays = Backoff::delays(self.seed.wrapping_add(u64::from(self.attempts)));
            self.attempts = 0;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.delays.next().unwrap_or(Backoff::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_jitter_and_start_over_only_after_a_healthy_spell() {
        let mut now = Instant::now();
        let mut backoff = Backoff::new(7);
        let sequence: Vec<Duration> = (0..10).map(|_| backoff.failed(now)).collect();
        assert!(sequence[0] >= Duration::from_millis(100) && sequence[0] <= Duration::from_millis(200));
        assert!(sequence[9] >= Backoff::MAX, "{sequence:?}");
        assert!(sequence.iter().all(|d| *d <= 2 * Backoff::MAX), "{sequence:?}");
        assert_ne!(sequence, (0..10).scan(Backoff::new(8), |b, _| Some(b.failed(now))).collect::<Vec<_>>());

        backoff.connected(now);
        now += HEALTHY - Duration::from_millis(1);
        assert!(backoff.failed(now) >= Backoff::MAX, "a short-lived connection changes nothing");
        backoff.connected(now);
        now += HEALTHY;
        assert!(backoff.failed(now) <= Duration::from_millis(200));
    }
}
