//! The double nearest to an exact ratio: the only place where a window's numbers become floats.

use num_bigint::{BigInt, BigUint, Sign};

/// Digits of a double's significand.
const SIGNIFICAND_BITS: i64 = 53;
/// Exponent of the least double above zero, 2^-1074.
const LEAST_EXPONENT: i64 = -1074;

/// The double nearest to `numerator / denominator`, ties to even; `None` when the denominator is zero.
///
/// Correctly rounded for every input, subnormal and overflowing ones included: a quotient of two rounded
/// doubles would be off by one unit in the last place now and then, and stores would differ.
pub(crate) fn ratio_to_f64(numerator: &BigInt, denominator: &BigInt) -> Option<f64> {
    if denominator.sign() == Sign::NoSign {
        return None;
    }
    if numerator.sign() == Sign::NoSign {
        return Some(0.0);
    }
    let magnitude = nearest(numerator.magnitude(), denominator.magnitude());
    Some(if numerator.sign() == denominator.sign() { magnitude } else { -magnitude })
}

/// Both are above zero.
fn nearest(numerator: &BigUint, denominator: &BigUint) -> f64 {
    // Scale so that the quotient has 65 or 66 bits: enough for 53 and a rounding decision.
    let shift = 65 - (numerator.bits() as i64 - denominator.bits() as i64);
    let (scaled, divisor) = match u64::try_from(shift) {
        Ok(up) => (numerator << up, denominator.clone()),
        Err(_) => (numerator.clone(), denominator << shift.unsigned_abs()),
    };
    let quotient = &scaled / &divisor;
    let inexact = &quotient * &divisor != scaled;
    let digits = quotient.iter_u64_digits().rev().fold(0_u128, |sum, digit| sum << 64 | u128::from(digit));
    round(digits, -shift, inexact)
}

/// `digits * 2^exponent`, plus something below one unit of `digits` if `inexact`, to the nearest double.
fn round(digits: u128, exponent: i64, inexact: bool) -> f64 {
    let bits = i64::from(128 - digits.leading_zeros());
    // The value is in [2^(top - 1), 2^top); below the normal range fewer bits are left.
    let top = bits + exponent;
    let keep = SIGNIFICAND_BITS.min(top - LEAST_EXPONENT);
    if keep < 0 {
        return 0.0;
    }
    let drop = bits - keep;
    let kept = digits.checked_shr(drop as u32).unwrap_or(0);
    let rest = digits - (kept << drop);
    let half = 1_u128 << (drop - 1);
    let up = rest > half || (rest == half && (inexact || kept & 1 == 1));
    scale((kept + u128::from(up)) as u64, drop + exponent)
}

/// `significand * 2^exponent`, which is a double or beyond them all.
fn scale(significand: u64, exponent: i64) -> f64 {
    // Two steps, since 2^exponent itself may be out of range where the product is not.
    let first = exponent.clamp(-1000, 1000);
    let second = (exponent - first).clamp(-1000, 1000);
    significand as f64 * power_of_two(first) * power_of_two(second)
}

/// `exponent` is within ±1000, so the result is a normal double.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::Ratio;
    use proptest::prelude::*;

    fn big(text: &str) -> BigInt {
        text.parse().unwrap()
    }

    /// Exact value of a finite double.
    fn exact(value: f64) -> Ratio<BigInt> {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, power) =
            if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
        let significand = BigInt::from(significand) * if value.is_sign_negative() { -1 } else { 1 };
        if power >= 0 {
            Ratio::from_integer(significand << power as u64)
        } else {
            Ratio::new(significand, BigInt::from(1) << (-power) as u64)
        }
    }

    /// Nearest by definition: no neighbour is nearer, and a tie has an even significand.
    fn assert_nearest(numerator: &BigInt, denominator: &BigInt) {
        let got = ratio_to_f64(numerator, denominator).unwrap();
        assert!(got.is_finite());
        let truth = Ratio::new(numerator.clone(), denominator.clone());
        let distance = |value: f64| {
            let difference = exact(value) - &truth;
            if *difference.numer() < BigInt::from(0) { -difference } else { difference }
        };
        for neighbour in [got.next_up(), got.next_down()] {
            assert!(distance(got) <= distance(neighbour), "{truth}: {got:e} but {neighbour:e} is nearer");
            if distance(got) == distance(neighbour) {
                assert_eq!(got.to_bits() & 1, 0, "{truth}: tie to odd {got:e}");
            }
        }
    }

    #[test]
    fn known_values() {
        for (numerator, denominator, expected) in [
            ("1", "3", 1.0 / 3.0),
            ("-1", "10", -0.1),
            ("0", "7", 0.0),
            ("9007199254740993", "1", 9007199254740992.0),
            ("9007199254740995", "1", 9007199254740996.0),
            ("18446744073709551615", "1", 18446744073709551616.0),
            ("6158322", "100", 61583.22),
        ] {
            assert_eq!(
                ratio_to_f64(&big(numerator), &big(denominator)),
                Some(expected),
                "{numerator}/{denominator}"
            );
        }
        assert_eq!(ratio_to_f64(&big("1"), &big("0")), None);
    }

    #[test]
    fn the_ends_of_the_range() {
        let least = BigInt::from(1) << 1074_u64;
        let one = BigInt::from(1);
        assert_eq!(ratio_to_f64(&one, &least), Some(f64::from_bits(1)));
        assert_eq!(ratio_to_f64(&one, &(&least * 2)), Some(0.0), "a tie goes to even zero");
        assert_eq!(ratio_to_f64(&BigInt::from(3), &(&least * 4)), Some(f64::from_bits(1)));
        assert_eq!(ratio_to_f64(&one, &(&least * 3)), Some(0.0));
        assert_eq!(ratio_to_f64(&(&one << 1024_u64), &one), Some(f64::INFINITY));
        assert_eq!(ratio_to_f64(&(&one << 5000_u64), &one), Some(f64::INFINITY));
        assert_eq!(ratio_to_f64(&one, &(&one << 9000_u64)), Some(0.0));
    }

    proptest! {
        #[test]
        fn agrees_with_the_text_parser(mantissa in any::<i64>(), scale in 0_u32..30) {
            let parsed: f64 = format!("{mantissa}e-{scale}").parse().unwrap();
            let got = ratio_to_f64(&BigInt::from(mantissa), &BigInt::from(10).pow(scale)).unwrap();
            prop_assert_eq!(got, parsed);
        }

        #[test]
        fn is_the_nearest(n in any::<i128>(), d in 1_i128.., up in 0_u64..200, down in 0_u64..1200) {
            assert_nearest(&(BigInt::from(n) << up), &(BigInt::from(d) << down));
        }

        #[test]
        fn is_the_nearest_of_short_ones(n in -5000_i64..5000, d in 1_i64..5000, down in 0_u64..1090) {
            assert_nearest(&BigInt::from(n), &(BigInt::from(d) << down));
        }

        #[test]
        fn ties_and_their_neighbours(odd in 0_u64..1 << 53, up in 0_u64..60, nudge in -1_i64..=1) {
            // Exactly half way between two doubles of full precision, and one part in 2^40 beside it.
            let half = (BigInt::from((1_u64 << 53 | odd) * 2 + 1) << (up + 40)) + nudge;
            assert_nearest(&half, &BigInt::from(1_u64 << 40));
        }
    }
}
