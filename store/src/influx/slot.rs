//! The nanosecond of a point.
//!
//! InfluxDB tells points of one series apart by their time alone, the feed's times are milliseconds, and hundreds of
//! trades share one. So the nanoseconds below the millisecond, a million of them, say which trade it is:
//!
//! ```text
//! time = t_ms · 10⁶ + (offset + 1000 · class(epoch)) mod 10⁶        class(epoch) = hash(epoch) mod 1000
//! ```
//!
//! A million slots cannot hold every (epoch, offset): what is sure and what is only likely is in
//! `docs/decisions/0011-the-nanosecond-of-a-trade.md`, and in the tests below.

/// Slots of a millisecond.
const SLOTS: u64 = 1_000_000;
/// Epochs differ by multiples of this many slots.
const STRIDE: u64 = 1_000;
/// What InfluxDB takes for a time, in nanoseconds.
const TIMES: std::ops::RangeInclusive<i128> = (i64::MIN as i128 + 2)..=(i64::MAX as i128 - 1);

/// A time of a point that need not be an InfluxDB time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(pub(super) i128);

impl Nanos {
    /// Start of a millisecond.
    pub(super) fn of_ms(ms: i64) -> Self {
        Self(i128::from(ms) * i128::from(SLOTS))
    }

    /// Whether InfluxDB has such a time: 1677 to 2262.
    pub(super) fn fits(self) -> bool {
        TIMES.contains(&self.0)
    }
}

/// The time of a trade's point.
pub(super) fn trade(time_ms: i64, epoch: u64, journal_offset: u64) -> Nanos {
    let slot = (journal_offset % SLOTS + STRIDE * (hash(epoch) % (SLOTS / STRIDE))) % SLOTS;
    Nanos(Nanos::of_ms(time_ms).0 + i128::from(slot))
}

/// The time of a trade's point in nanoseconds, if InfluxDB has such a time: for who looks one up.
pub fn trade_time(time_ms: i64, epoch: u64, journal_offset: u64) -> Option<i64> {
    let time = trade(time_ms, epoch, journal_offset);
    if time.fits() { i64::try_from(time.0).ok() } else { None }
}

/// The time of a gap's point: its start, or its end where it began before anything was heard. Gaps with one start
/// differ in the slot.
pub(super) fn gap(start_ms: i64, end_ms: i64, reason: &str) -> Nanos {
    let word = reason.bytes().fold(hash(end_ms as u64), |state, byte| hash(state ^ u64::from(byte)));
    let at = if start_ms == 0 { end_ms } else { start_ms };
    Nanos(Nanos::of_ms(at).0 + i128::from(word % SLOTS))
}

/// The millisecond a point's time lies in.
pub(super) fn ms_of(nanos: i64) -> i64 {
    nanos.div_euclid(SLOTS as i64)
}

/// The times InfluxDB has that lie in `[from_ms, to_ms)`, inclusive at both ends; none where there are none.
pub(super) fn range(from_ms: i64, to_ms: i64) -> Option<(i64, i64)> {
    let clamp = |time: i128| i64::try_from(time.clamp(*TIMES.start(), *TIMES.end())).ok();
    if from_ms >= to_ms || Nanos::of_ms(from_ms).0 > *TIMES.end() || Nanos::of_ms(to_ms).0 <= *TIMES.start() {
        return None;
    }
    Some((clamp(Nanos::of_ms(from_ms).0)?, clamp(Nanos::of_ms(to_ms).0 - 1)?))
}

/// SplitMix64's finalizer. Changing it would write every trade a second time.
fn hash(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slot(epoch: u64, offset: u64) -> i128 {
        trade(0, epoch, offset).0
    }

    #[test]
    fn the_formula_is_for_ever() {
        assert_eq!(trade(1_723_161_255_123, 0, 0).0, 1_723_161_255_123_535_000);
        assert_eq!(trade(1_723_161_255_123, 0, 464_999).0, 1_723_161_255_123_999_999);
        assert_eq!(trade(1_723_161_255_123, 0, 465_000).0, 1_723_161_255_123_000_000);
        assert_eq!(trade(-1, 0, 0).0, -465_000);
        assert_eq!(ms_of(-465_000), -1);
    }

    #[test]
    fn the_recorded_burst_has_as_many_points_as_trades_wherever_an_epoch_ends() {
        for cut in 0..735_u64 {
            let epochs = [1_795_000_000 << 20, (1_795_000_007 << 20) + 12_345];
            let times: BTreeSet<i128> =
                (0..735).map(|n| slot(epochs[usize::from(n >= cut)], 4_000_000 + n)).collect();
            assert_eq!(times.len(), 735);
        }
    }

    proptest! {
        /// Within one epoch: never, below a million records between them.
        #[test]
        fn one_epoch(epoch: u64, offset in 0..u64::MAX / 2, apart in 1..SLOTS) {
            prop_assert_ne!(slot(epoch, offset), slot(epoch, offset + apart));
        }

        /// Across the epochs of one journal, whose offsets go on: never, below a thousand records between them.
        #[test]
        fn epochs_of_a_journal(one: u64, other: u64, offset in 0..u64::MAX / 2, apart in 1..STRIDE) {
            prop_assert_ne!(slot(one, offset), slot(other, offset + apart));
        }

        /// A trade never leaves its millisecond, whatever its identity.
        #[test]
        fn the_millisecond_stays(ms in -9_223_372_036_854..9_223_372_036_854_i64, epoch: u64, offset: u64) {
            let time = trade_time(ms, epoch, offset).unwrap();
            prop_assert_eq!(ms_of(time), ms);
            prop_assert_eq!(range(ms, ms + 1).map(|(from, to)| (from..=to).contains(&time)), Some(true));
        }
    }

    /// Otherwise: about once in a million pairs. Epochs as gateways make them, offsets of journals of their own.
    #[test]
    fn anything_else_is_one_in_a_million() {
        let mut met = 0_u64;
        for n in 0..2_000_000_u64 {
            let (one, other) = (hash(n) | 1, hash(!n) | 1);
            met += u64::from(slot(one, hash(n ^ 0x55)) == slot(other, hash(n ^ 0xaa)));
        }
        assert!(met <= 12, "{met} of two million pairs");
    }

    #[test]
    fn times_beyond_the_calendar_are_known() {
        assert!(Nanos::of_ms(9_223_372_036_854).fits());
        assert!(!Nanos::of_ms(9_223_372_036_855).fits());
        assert_eq!(trade_time(i64::MAX, 1, 1), None);
        assert_eq!(range(i64::MIN, i64::MAX), Some((i64::MIN + 2, i64::MAX - 1)));
        assert_eq!(range(5, 5), None);
        assert_eq!(range(i64::MAX - 1, i64::MAX), None);
        assert_eq!(range(-1, 1), Some((-1_000_000, 999_999)));
    }

    #[test]
    fn gaps_of_one_start_are_told_apart() {
        assert_ne!(gap(5, 9, "stall"), gap(5, 9, "start"));
        assert_ne!(gap(5, 9, "stall"), gap(5, 10, "stall"));
        assert_eq!(ms_of(i64::try_from(gap(0, 9, "start").0).unwrap()), 9, "nothing was heard ever before");
        assert_eq!(ms_of(i64::try_from(gap(5, 9, "start").0).unwrap()), 5);
    }
}
