//! What time it was when a batch was received: a monotonic clock, and an anchor that ties it to the wall clock.

/// The lowest wall clock that counts as set: 2020-01-01 UTC. A Pi has no battery clock and starts in the past.
pub const SET_FROM_MS: i64 = 1_577_836_800_000;
/// A wall clock that is off by more than this from anchor plus elapsed time was stepped.
const STEP_MS: u64 = 500;

/// Both clocks, read at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Monotonic milliseconds since some moment of this process.
    pub mono_ms: u64,
    /// The wall clock, ms since 1970 UTC; it may be unset or step.
    pub wall_ms: i64,
}

impl Moment {
    /// Whether the wall clock was set.
    pub const fn is_set(self) -> bool {
        self.wall_ms >= SET_FROM_MS
    }

    /// The wall clock at another monotonic time.
    pub fn wall_at(self, mono_ms: u64) -> i64 {
        self.wall_ms + mono_ms as i64 - self.mono_ms as i64
    }
}

/// An epoch's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Moment,
    anchor_ms: Option<i64>,
}

/// A batch's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) elapsed_ms: u64,
    pub(super) anchor_ms: Option<i64>,
}

impl Clock {
    /// An epoch begins. Elapsed time counts from the beginning of this wall clock second, which is in the epoch's
    /// number: so the anchor costs no byte while the clock is not stepped.
    pub(super) fn begin(now: Moment) -> Self {
        let start = Moment { wall_ms: now.wall_ms.max(0), ..now };
        Self { start, anchor_ms: now.is_set().then_some(start.wall_ms / 1000 * 1000) }
    }

    /// The second the epoch is named after.
    pub(super) const fn unix_seconds(&self) -> u64 {
        self.start.wall_ms as u64 / 1000
    }

    /// The time of a batch, and whether the wall clock was found stepped (or set) by so many ms.
    pub(super) fn stamp(&mut self, now: Moment) -> (Stamp, Option<i64>) {
        let elapsed_ms =
            now.mono_ms.saturating_sub(self.start.mono_ms) + self.start.wall_ms.unsigned_abs() % 1000;
        let anchor = now.is_set().then(|| now.wall_ms - elapsed_ms as i64);
        let mut step = None;
        match (self.anchor_ms, anchor) {
            (Some(old), Some(new)) if old.abs_diff(new) <= STEP_MS => {}
            (old, new) if old != new => {
                step = Some(new.unwrap_or(0) - old.unwrap_or(0));
                self.anchor_ms = new;
            }
            _ => {}
        }
        (Stamp { elapsed_ms, anchor_ms: self.anchor_ms }, step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_790_000_000_250;

    fn at(mono_ms: u64, wall_ms: i64) -> Moment {
        Moment { mono_ms, wall_ms }
    }

    #[test]
    fn an_unstepped_anchor_is_the_epochs_second() {
        let mut clock = Clock::begin(at(7_000, WALL));
        assert_eq!(clock.unix_seconds(), 1_790_000_000);
        let (stamp, step) = clock.stamp(at(8_500, WALL + 1_500));
        assert_eq!(stamp, Stamp { elapsed_ms: 1_750, anchor_ms: Some(1_790_000_000_000) });
        assert_eq!(stamp.anchor_ms.unwrap() + stamp.elapsed_ms as i64, WALL + 1_500);
        assert_eq!(step, None);
    }

    #[test]
    fn a_step_is_a_new_anchor_and_drift_is_none() {
        let mut clock = Clock::begin(at(0, WALL));
        let mut anchor = |mono, wall| clock.stamp(at(mono, wall)).0.anchor_ms.unwrap() - 1_790_000_000_000;
        assert_eq!(anchor(1_000, WALL + 1_500), 0);
        assert_eq!(anchor(2_000, WALL + 2_501), 501);
        assert_eq!(anchor(3_000, WALL + 3_501), 501);
        assert_eq!(anchor(4_000, WALL - 3_600_000), -3_604_000);
    }

    #[test]
    fn an_unset_clock_has_no_anchor_until_it_is_set() {
        let mut clock = Clock::begin(at(100, 5_000_300));
        assert_eq!(clock.unix_seconds(), 5_000);
        assert_eq!(clock.stamp(at(200, 5_000_400)).0, Stamp { elapsed_ms: 400, anchor_ms: None });
        let (stamp, step) = clock.stamp(at(1_100, WALL));
        assert_eq!(stamp.elapsed_ms, 1_300);
        assert_eq!(stamp.anchor_ms, Some(WALL - 1_300));
        assert!(step.is_some());
        assert_eq!(clock.stamp(at(2_100, -5)).0.anchor_ms, None);
        assert_eq!(Clock::begin(at(0, -5_000)).unix_seconds(), 0);
    }
}
