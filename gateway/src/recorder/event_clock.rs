//! How late it is on the exchange, as far as the feed tells: the newest plausible event time, and the time since.

use tickberry_wire::{Trade, is_plausible_time};

use super::Moment;

/// A time further than this from where the clock stands needs a second frame that agrees.
const JUMP_MS: u64 = 3_600_000;
/// A trade this far ahead of a wall clock that is set is absurd.
const AHEAD_MS: i64 = 86_400_000;

/// Event time now. Used for the ends of gaps only; the aggregator's watermark is its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventClock {
    /// Event time, and the monotonic time it was heard at.
    newest: Option<(i64, u64)>,
    candidate: Option<i64>,
}

impl EventClock {
    /// A clock that stands at `event_ms`.
    pub(super) const fn standing(event_ms: i64, mono_ms: u64) -> Self {
        Self { newest: Some((event_ms, mono_ms)), candidate: None }
    }

    /// Event time at a monotonic time; `None` before anything was heard.
    pub(super) fn at(&self, mono_ms: u64) -> Option<i64> {
        let (event, heard) = self.newest?;
        Some(event.saturating_add_unsigned(mono_ms.saturating_sub(heard)))
    }

    /// A frame of this [`frame_time`] was heard.
    pub(super) fn heard(&mut self, time: i64, mono_ms: u64) {
        let Some((newest, _)) = self.newest else {
            self.newest = Some((time, mono_ms));
            return;
        };
        if self.at(mono_ms).is_some_and(|now| now.abs_diff(time) <= JUMP_MS) {
            self.candidate = None;
            if time >= newest {
                self.newest = Some((time, mono_ms));
            }
        } else if self.candidate.is_some_and(|candidate| candidate.abs_diff(time) <= JUMP_MS) {
            *self = Self::standing(time, mono_ms);
        } else {
            self.candidate = Some(time);
        }
    }
}

/// The event time a frame stands for: its newest trade, without absurd ones. `None` if there is no plausible time.
pub(super) fn frame_time(trades: &[Trade], now: Moment) -> Option<i64> {
    let sane = |time: &i64| {
        is_plausible_time(*time) && (!now.is_set() || *time <= now.wall_ms.saturating_add(AHEAD_MS))
    };
    let mut times: Vec<i64> = trades.iter().map(|trade| trade.time_ms).filter(sane).collect();
    let middle = times.len() / 2;
    if times.is_empty() {
        return None;
    }
    let median = *times.select_nth_unstable(middle).1;
    times.into_iter().filter(|time| time.abs_diff(median) <= JUMP_MS).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickberry_wire::{Decimal, Symbol};

    const T: i64 = 1_790_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn trades(times: &[i64]) -> Vec<Trade> {
        let symbol = Symbol::new("A").unwrap();
        let trade = |time_ms: &i64| Trade {
            symbol: symbol.clone(),
            time_ms: *time_ms,
            price: Decimal::ZERO,
            volume: Decimal::ZERO,
            conditions: None,
        };
        times.iter().map(trade).collect()
    }

    #[test]
    fn a_frame_stands_for_its_newest_sane_trade() {
        let now = Moment { mono_ms: 0, wall_ms: T };
        for (times, time) in [
            (vec![], None),
            (vec![T - 5, T - 1, T - 3], Some(T - 1)),
            (vec![T, 0, i64::MAX, i64::MIN], Some(T)),
            (vec![T - 1, T, T + 48 * HOUR], Some(T)),
            (vec![T - 1, T, T + 2 * HOUR], Some(T)),
            (vec![T + 48 * HOUR], None),
        ] {
            assert_eq!(frame_time(&trades(&times), now), time, "{times:?}");
        }
        let unset = Moment { mono_ms: 0, wall_ms: 0 };
        assert_eq!(frame_time(&trades(&[T]), unset), Some(T));
    }

    #[test]
    fn one_absurd_frame_does_not_move_the_clock_and_two_do() {
        let mut clock = EventClock::default();
        assert_eq!(clock.at(0), None);
        clock.heard(T, 1_000);
        assert_eq!(clock.at(3_000), Some(T + 2_000));
        clock.heard(T + 2 * HOUR, 4_000);
        assert_eq!(clock.at(4_000), Some(T + 3_000));
        clock.heard(T + 4_000, 5_000);
        assert_eq!(clock.at(5_000), Some(T + 4_000));
        clock.heard(T - 2 * HOUR, 6_000);
        clock.heard(T - 2 * HOUR + 500, 6_500);
        assert_eq!(clock.at(7_000), Some(T - 2 * HOUR + 1_000));
    }

    #[test]
    fn late_trades_do_not_turn_it_back() {
        let mut clock = EventClock::standing(T, 0);
        clock.heard(T - 1_000, 500);
        assert_eq!(clock.at(500), Some(T + 500));
    }
}
