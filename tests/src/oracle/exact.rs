//! Exact numbers: decimal text as a big rational, and the one rounding at the end.

use num_bigint::BigInt;
use num_rational::Ratio;
use num_traits::{One, Signed, Zero};

/// A number without rounding.
pub type Exact = Ratio<BigInt>;

/// Reads a decimal number as JSON or the recordings write it: sign, digits, point, exponent.
pub fn exact(text: &str) -> Result<Exact, String> {
    let (body, exponent) = match text.split_once(['e', 'E']) {
        Some((body, e)) => (body, e.parse::<i32>().map_err(|_| format!("{text:?}: bad exponent"))?),
        None => (text, 0),
    };
    let (negative, digits) = match body.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, body),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?}: not a decimal number"));
    }
    let magnitude: BigInt = all.parse().map_err(|_| format!("{text:?}: not a number"))?;
    let value = if negative { -magnitude } else { magnitude };
    let places = i64::from(exponent) - fraction.len() as i64;
    let power = BigInt::from(10).pow(u32::try_from(places.unsigned_abs()).map_err(|e| e.to_string())?);
    Ok(if places >= 0 { Exact::from_integer(value * power) } else { Exact::new(value, power) })
}

/// The double nearest to `x`, ties to even: IEEE 754's own rounding, done once, on the exact value.
///
/// The quotient is taken with 56 or 57 bits and a sticky remainder, so that the cut to 53 bits (fewer
/// below 2^-1022) sees on which side of the half the exact value lies.
pub fn nearest(x: &Exact) -> f64 {
    if x.is_zero() {
        return 0.0;
    }
    let (n, d) = (x.numer().abs(), x.denom().abs());
    let shift = 56 - (n.bits() as i64 - d.bits() as i64);
    let power = BigInt::one() << shift.unsigned_abs();
    let (n, d) = if shift >= 0 { (n * power, d) } else { (n, d * power) };
    let (quotient, remainder) = (&n / &d, &n % &d);
    let q = quotient.iter_u64_digits().next().unwrap_or(0);
    let bits = 64 - i64::from(q.leading_zeros());
    let drop = (bits - 53).max(shift - 1074);
    let magnitude =
        if drop > 60 { 0.0 } else { pack(round(q, drop as u32, !remainder.is_zero()), drop - shift) };
    if x.is_negative() { -magnitude } else { magnitude }
}

fn round(q: u64, drop: u32, sticky: bool) -> u64 {
    let (kept, low, half) = (q >> drop, q & ((1 << drop) - 1), 1u64 << (drop - 1));
    let up = low > half || (low == half && (sticky || kept % 2 == 1));
    kept + u64::from(up)
}

/// `mantissa · 2^exponent` as a double; the mantissa has at most 53 bits (2^53 itself after a carry).
fn pack(mantissa: u64, exponent: i64) -> f64 {
    let (mantissa, exponent) =
        if mantissa == 1 << 53 { (1 << 52, exponent + 1) } else { (mantissa, exponent) };
    if mantissa < 1 << 52 {
        return f64::from_bits(mantissa);
    }
    let field = exponent + 1075;
    if field >= 2047 {
        return f64::INFINITY;
    }
    f64::from_bits(((field as u64) << 52) | (mantissa & ((1 << 52) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn decimal_text_rounds_as_the_standard_library_rounds_it() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..3000 {
            let digits = rng.random_range(1..=19usize);
            let number = rng.next_u64() % 10u64.pow(digits as u32);
            let text = format!("{number}e{}", rng.random_range(-330..300));
            let expected: f64 = text.parse().unwrap();
            assert_eq!(nearest(&exact(&text).unwrap()).to_bits(), expected.to_bits(), "{text}");
        }
    }

    #[test]
    fn quotients_of_doubles_round_as_the_processor_rounds_them() {
        let mut rng = StdRng::seed_from_u64(2);
        for _ in 0..3000 {
            let (a, b) = (rng.random_range(1..1u64 << 53), rng.random_range(1..1u64 << 53));
            let ratio = Exact::new(BigInt::from(a), BigInt::from(b));
            assert_eq!(nearest(&ratio).to_bits(), (a as f64 / b as f64).to_bits(), "{a}/{b}");
        }
    }

    #[test]
    fn halves_go_to_even_and_a_hair_more_goes_up() {
        let odd = (1u64 << 53) + 1;
        assert_eq!(nearest(&Exact::from_integer(BigInt::from(odd))), 9007199254740992.0);
        assert_eq!(nearest(&Exact::from_integer(BigInt::from(odd + 2))), 9007199254740996.0);
        let hair = Exact::from_integer(BigInt::from(odd)) + exact("1e-300").unwrap();
        assert_eq!(nearest(&hair), 9007199254740994.0);
        assert_eq!(nearest(&exact("-0.1").unwrap()), -0.1);
        assert_eq!(nearest(&exact("1e400").unwrap()), f64::INFINITY);
        assert_eq!(nearest(&exact("1e-400").unwrap()), 0.0);
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", ".", "-", "1.2.3", "0x10", "1e", "NaN", "1,5"] {
            assert!(exact(text).is_err(), "{text:?}");
        }
        assert_eq!(exact("5e-05").unwrap(), exact("0.00005").unwrap());
        assert_eq!(exact("26626").unwrap(), exact("26626.00").unwrap());
    }
}
