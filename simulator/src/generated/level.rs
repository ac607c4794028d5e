//! The price level of a symbol at any moment, without a past: noise of many periods added up.

/// Longest period, 2^20 s (12 days): the level wanders for days and comes back within years.
const OCTAVES: u32 = 21;

/// The logarithm of price / base price at `time_ms`. `step`: its standard deviation within one second.
pub(super) fn level(seed: u64, time_ms: i64, step: f64) -> f64 {
    noise(seed, time_ms, OCTAVES) * step * 0.7
}

/// Activity at `time_ms`, about 1: it swells and ebbs over minutes.
pub(super) fn activity(seed: u64, time_ms: i64) -> f64 {
    // Periods up to 2^9 s. The factor makes quiet minutes half as busy as busy ones; the shift makes 1 the mean.
    (noise(!seed, time_ms, 10) * 0.018 - 0.04).exp()
}

fn noise(seed: u64, time_ms: i64, octaves: u32) -> f64 {
    (0..octaves)
        .map(|octave| {
            let period_ms = 1000i64 << octave;
            let (index, within) = (time_ms.div_euclid(period_ms), time_ms.rem_euclid(period_ms));
            let x = within as f64 / period_ms as f64;
            let smooth = x * x * (3.0 - 2.0 * x);
            let (from, to) = (value(seed, octave, index), value(seed, octave, index + 1));
            // A random walk moves by √t in a time t, and so does the octave with that period.
            (from + (to - from) * smooth) * f64::from(1u32 << octave).sqrt()
        })
        .sum()
}

/// A fixed random number in -1..1 for each grid point.
fn value(seed: u64, octave: u32, index: i64) -> f64 {
    let bits = mix(seed ^ mix(u64::from(octave) << 56 ^ index as u64));
    (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// The finaliser of SplitMix64: spreads every bit of the input over all of the output.
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A seed for a name.
pub(super) fn seed_of(seed: u64, name: &str) -> u64 {
    name.bytes().fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_walks_like_a_price() {
        let start = 1_790_000_000_000;
        let moves = |every_ms: i64| {
            let total: f64 = (0..500)
                .map(|n| {
                    (level(3, start + (n + 1) * every_ms, 1e-4) - level(3, start + n * every_ms, 1e-4)).abs()
                })
                .sum();
            total / 500.0
        };
        let (second, minute) = (moves(1000), moves(60_000));
        assert!((0.3e-4..2e-4).contains(&second), "{second}");
        assert!(
            (4.0..16.0).contains(&(minute / second)),
            "a minute moves about √60 times a second: {}",
            minute / second
        );
        for day in 0..2000 {
            let level = level(3, start + day * 86_400_000, 1e-4);
            assert!(level.abs() < 0.5, "{level}");
        }
        assert_eq!(level(3, start, 1e-4), level(3, start, 1e-4));
    }
}
