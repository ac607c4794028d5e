//! When the power goes: a pure function of the seed and the cut's number.

use crate::chaos::plan::Rate;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While trades come, so long after the first of them were committed.
    Stream(Duration),
    /// While trades come: so long after that, and then so long after the gateway has reported a flush.
    Flush(Duration, Duration),
    /// While the program starts, so long after its start.
    Start(Duration),
}

impl Moment {
    /// The moment of a cut.
    pub fn of(seed: u64, number: u64) -> Moment {
        let mut rng = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut ms = |most: u64| Duration::from_millis(rng.random_range(0..most));
        match ms(100).as_millis() {
            0..45 => Moment::Stream(ms(2_000)),
            45..82 => Moment::Flush(ms(1_000), ms(25)),
            _ => Moment::Start(ms(3_000)),
        }
    }

    /// How fast trades come until then: often some 180 a second, a good part of the time ten times as many.
    pub fn rate(seed: u64, number: u64) -> Rate {
        let mut rng = StdRng::seed_from_u64(!seed ^ number);
        if rng.random_bool(0.3) { Rate::Steady } else { Rate::Trickle }
    }

    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Stream(_) => "cuts in the stream",
            Moment::Flush(..) => "cuts right after a flush",
            Moment::Start(_) => "cuts while it starts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_moments_and_all_kinds_of_them() {
        let moments = |seed| (0..40).map(|n| Moment::of(seed, n)).collect::<Vec<_>>();
        assert_eq!(moments(5), moments(5));
        assert_ne!(moments(5), moments(6));
        assert_eq!(moments(5).into_iter().map(Moment::name).collect::<BTreeSet<_>>().len(), 3);
    }
}
