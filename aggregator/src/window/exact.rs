//! Sums of decimals that are never wrong: 128 bits while they suffice, big integers beyond.

use super::ratio::ratio_to_f64;
use num_bigint::BigInt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::cmp::Ordering;
use std::fmt;
use tickberry_wire::Decimal;

/// 10^0 … 10^18: what a 64-bit mantissa can be multiplied by.
pub(crate) const POW10: [i64; 19] = {
    let mut table = [1_i64; 19];
    let mut index = 1;
    while index < table.len() {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

/// 10^`exponent`.
pub(crate) fn pow10(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// A price or volume inside a window: `mantissa / 10^scale`, the same as a [`Decimal`] of the wire, but with nothing
/// to check on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) mantissa: i64,
    pub(crate) scale: u8,
    /// It was sent without the zeros at its end: a batch brings its numbers to one scale to be short.
    pub(crate) trim: bool,
}

impl Digits {
    /// The digits as they were sent.
    pub(crate) fn sent(self) -> Decimal {
        let decimal = Decimal::new(self.mantissa, self.scale).expect("it came out of a decimal");
        if self.trim { decimal.normalized() } else { decimal }
    }

    /// Of two texts of one value always the same one is chosen, whatever the order they came in.
    pub(crate) fn shorter(self, other: Self) -> Self {
        if other.sent().scale() < self.sent().scale() { other } else { self }
    }

    /// Order by value alone: `1.5` is `1.50`.
    pub(crate) fn value_order(self, other: Self) -> Ordering {
        self.sent().cmp_value(other.sent())
    }
}

impl From<Decimal> for Digits {
    fn from(decimal: Decimal) -> Self {
        Self { mantissa: decimal.mantissa(), scale: decimal.scale(), trim: false }
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sent = self.sent();
        (sent.mantissa(), sent.scale()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mantissa, scale) = Deserialize::deserialize(deserializer)?;
        let decimal = Decimal::new(mantissa, scale).ok_or_else(|| D::Error::custom("not a decimal"))?;
        Ok(decimal.into())
    }
}

/// An exact decimal of any size, such as the volume of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    mantissa: BigInt,
    scale: u32,
}

impl Exact {
    /// `mantissa / 10^scale`, with the zeros at its end taken off.
    pub(crate) fn new(mantissa: BigInt, scale: u32) -> Self {
        let mut exact = Self { mantissa, scale };
        let ten = BigInt::from(10);
        while exact.scale > 0 {
            let quotient = &exact.mantissa / &ten;
            if &quotient * &ten != exact.mantissa {
                break;
            }
            exact.mantissa = quotient;
            exact.scale -= 1;
        }
        exact
    }

    /// The integer of all its digits.
    pub fn mantissa(&self) -> &BigInt {
        &self.mantissa
    }

    /// How many of the digits are decimals.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        ratio_to_f64(&self.mantissa, &pow10(self.scale)).unwrap_or_default()
    }
}

/// Plain digits, never an exponent, no zeros at the end of the decimals.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.scale as usize;
        let digits = format!("{:0>1$}", self.mantissa.magnitude(), scale + 1);
        let (whole, decimals) = digits.split_at(digits.len() - scale);
        let sign = if self.mantissa < BigInt::ZERO { "-" } else { "" };
        if decimals.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{decimals}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(mantissa: i64, scale: u8) -> Digits {
        Digits { mantissa, scale, trim: false }
    }

    #[test]
    fn exact_shows_plain_minimal_digits() {
        for (mantissa, scale, text) in [
            (150, 2, "1.5"),
            (-5, 3, "-0.005"),
            (0, 4, "0"),
            (1200, 0, "1200"),
            (1200, 2, "12"),
            (7, 30, "0.000000000000000000000000000007"),
        ] {
            assert_eq!(Exact::new(BigInt::from(mantissa), scale).to_string(), text);
        }
        assert_eq!(Exact::new(BigInt::from(6158322), 2).to_f64(), 61583.22);
    }

    #[test]
    fn of_equal_digits_the_shorter_is_chosen() {
        assert_eq!(digits(15, 1).shorter(digits(150, 2)), digits(15, 1));
        assert_eq!(digits(150, 2).shorter(digits(15, 1)), digits(15, 1));
        let trimmed = Digits { trim: true, ..digits(150, 2) };
        assert_eq!(trimmed.shorter(digits(1500, 3)), trimmed);
        assert_eq!(trimmed.sent().to_string(), "1.5");
        assert_eq!(digits(15, 1).value_order(digits(150, 2)), Ordering::Equal);
    }
}
