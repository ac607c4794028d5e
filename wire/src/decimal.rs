//! Exact decimal numbers: a scaled integer and nothing else. No `f64` on the way in.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

/// A decimal number `mantissa · 10^-scale` that remembers how many decimals it was written with.
///
/// Equality is equality of the written form (`1.5` is not `1.50`), because the digits are part of what is kept;
/// compare values with [`Decimal::cmp_value`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

/// Why a text is no [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a number as JSON writes numbers.
    #[error("not a JSON number")]
    Syntax,
    /// More digits than a scaled 64-bit integer keeps exactly.
    #[error("more than {max} significant digits", max = Decimal::MAX_DIGITS)]
    TooManyDigits,
    /// Too many digits after the point.
    #[error("more than {max} decimals", max = Decimal::MAX_SCALE)]
    TooManyDecimals,
}

impl Decimal {
    /// Zero without decimals.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// Significant digits a decimal can hold.
    pub const MAX_DIGITS: u32 = 18;
    /// Decimals a decimal can hold. The shortest text of a double of ordinary size has fewer.
    pub const MAX_SCALE: u8 = 30;
    /// The mantissa's absolute value stays below this, so that differences of two fit into 64 bits.
    pub const MANTISSA_LIMIT: i64 = 1_000_000_000_000_000_000;

    /// `mantissa · 10^-scale`, or `None` outside of the limits above.
    pub const fn new(mantissa: i64, scale: u8) -> Option<Self> {
        if scale > Self::MAX_SCALE || mantissa >= Self::MANTISSA_LIMIT || mantissa <= -Self::MANTISSA_LIMIT {
            return None;
        }
        Some(Self { mantissa, scale })
    }

    /// The integer that, divided by `10^scale`, is the value.
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// Digits after the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Whether the value is zero, with however many decimals.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Reads a JSON number: `-?digits[.digits][e±digits]`. Trailing zeros are kept; an exponent is worked into the
    /// scale (`5e-05` is `0.00005`).
    ///
    /// # Errors
    /// When the text is no JSON number, or has more digits than can be kept exactly.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        Self::parse_bytes(text.as_bytes())
    }

    /// [`Decimal::parse`] for bytes.
    ///
    /// # Errors
    /// As [`Decimal::parse`].
    pub fn parse_bytes(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let mut digits = Digits::default();
        let mut rest = digits.run(text)?;
        let whole = text.len() - rest.len();
        if whole == 0 || (whole > 1 && text[0] == b'0') {
            return Err(DecimalError::Syntax);
        }
        let mut scale = 0i32;
        if let [b'.', fraction @ ..] = rest {
            rest = digits.run(fraction)?;
            let decimals = fraction.len() - rest.len();
            if decimals == 0 {
                return Err(DecimalError::Syntax);
            }
            scale = i32::try_from(decimals).map_err(|_| DecimalError::TooManyDecimals)?;
        }
        if let [b'e' | b'E', exponent @ ..] = rest {
            scale = scale.saturating_sub(parse_exponent(exponent)?);
            rest = &[];
        }
        if !rest.is_empty() {
            return Err(DecimalError::Syntax);
        }
        digits.finish(negative, scale)
    }

    /// The value with no more decimals than it needs: `1.50` becomes `1.5`.
    pub const fn normalized(self) -> Self {
        let Self { mut mantissa, mut scale } = self;
        if mantissa == 0 {
            return Self::ZERO;
        }
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The mantissa at another scale, if that is exact and fits.
    pub fn mantissa_at(self, scale: u8) -> Option<i128> {
        let up = scale.checked_sub(self.scale)?;
        i128::from(self.mantissa).checked_mul(10i128.checked_pow(u32::from(up))?)
    }

    /// Compares values: `1.5` equals `1.50`.
    pub fn cmp_value(self, other: Self) -> Ordering {
        let (a, b) = (i128::from(self.mantissa), i128::from(other.mantissa));
        // 10^18 · 10^18 fits 128 bits; a larger difference of scales is split over both sides' order of magnitude.
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => a.cmp(&b),
            Ordering::Less => cmp_scaled(a, other.scale - self.scale, b),
            Ordering::Greater => cmp_scaled(b, self.scale - other.scale, a).reverse(),
        }
    }

    /// The double nearest to the value.
    pub fn to_f64(self) -> f64 {
        /// Powers of ten that a double holds exactly.
        const EXACT: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
            1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        // Both operands exact: one division rounds once, so the quotient is the nearest double.
        if self.mantissa.unsigned_abs() <= 1 << 53
            && let Some(power) = EXACT.get(usize::from(self.scale))
        {
            return self.mantissa as f64 / power;
        }
        let text = format!("{}e-{}", self.mantissa, self.scale);
        text.parse().expect("an integer with an exponent is a float literal")
    }
}

/// Compares `a · 10^up` with `b`.
fn cmp_scaled(a: i128, up: u8, b: i128) -> Ordering {
    match 10i128.checked_pow(u32::from(up)).and_then(|power| a.checked_mul(power)) {
        Some(a) => a.cmp(&b),
        // |b| < 10^18, so an overflow on the left decides by its sign.
        None => a.cmp(&0),
    }
}

/// Digits as they are read: the integer they make, and how many of them count.
#[derive(Default)]
struct Digits {
    value: u64,
    significant: u32,
}

impl Digits {
    /// Takes the leading digits of `text`, returns the rest.
    fn run<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], DecimalError> {
        let mut at = 0;
        while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            if self.value != 0 || digit != 0 {
                self.significant += 1;
                if self.significant > Decimal::MAX_DIGITS {
                    return Err(DecimalError::TooManyDigits);
                }
            }
            self.value = self.value * 10 + u64::from(digit);
            at += 1;
        }
        Ok(&text[at..])
    }

    /// The number with `scale` decimals; a negative scale appends zeros.
    fn finish(self, negative: bool, scale: i32) -> Result<Decimal, DecimalError> {
        let value = i64::try_from(self.value).map_err(|_| DecimalError::TooManyDigits)?;
        let (value, scale) = if scale < 0 && value != 0 {
            let power = 10i64.checked_pow(scale.unsigned_abs()).ok_or(DecimalError::TooManyDigits)?;
            (value.checked_mul(power).ok_or(DecimalError::TooManyDigits)?, 0)
        } else {
            (value, scale.max(0))
        };
        let scale = u8::try_from(scale).map_err(|_| DecimalError::TooManyDecimals)?;
        if scale > Decimal::MAX_SCALE {
            return Err(DecimalError::TooManyDecimals);
        }
        Decimal::new(if negative { -value } else { value }, scale).ok_or(DecimalError::TooManyDigits)
    }
}

fn parse_exponent(text: &[u8]) -> Result<i32, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    let value =
        digits.iter().fold(0i32, |sum, digit| sum.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    Ok(if negative { -value } else { value })
}

impl fmt::Display for Decimal {
    /// Plain digits, never an exponent, every decimal the number was written with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        let scale = usize::from(self.scale);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let text = format!("{digits:0width$}", width = scale + 1);
        let (whole, fraction) = text.split_at(text.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl std::str::FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::parse(text)
    }
}

/// A JSON number token with exactly these digits. Only JSON serializers carry it; the batch codec has its own form.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(|error| de::Error::custom(format!("{}: {error}", raw.get())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_come_back() {
        for text in
            ["0", "1", "26626", "61837.63", "0.00005", "-1.50", "0.000000000000000001", "999999999999999999"]
        {
            assert_eq!(Decimal::parse(text).map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn exponents_are_worked_into_the_scale() {
        for (text, plain) in
            [("5e-05", "0.00005"), ("1.5E3", "1500"), ("1.25e1", "12.5"), ("0e9", "0"), ("12e+0", "12")]
        {
            assert_eq!(Decimal::parse(text).map(|d| d.to_string()), Ok(plain.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "+1", "1.", ".5", "01", "1e", "1e+", "NaN", "1.2.3", "1 ", "0x1", "--1"] {
            assert_eq!(Decimal::parse(text), Err(DecimalError::Syntax), "{text}");
        }
        assert_eq!(Decimal::parse("1234567890123456789"), Err(DecimalError::TooManyDigits));
        assert_eq!(Decimal::parse("1e400"), Err(DecimalError::TooManyDigits));
        assert_eq!(Decimal::parse("1e-400"), Err(DecimalError::TooManyDecimals));
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(mantissa in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0u8..=30) {
            let decimal = Decimal::new(mantissa, scale).unwrap();
            prop_assert_eq!(Decimal::parse(&decimal.to_string()).unwrap().cmp_value(decimal), Ordering::Equal);
            prop_assert_eq!(Decimal::parse(&decimal.to_string()).unwrap(), decimal);
        }

        #[test]
        fn to_f64_is_what_the_text_reads_as(mantissa in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0u8..=30) {
            let decimal = Decimal::new(mantissa, scale).unwrap();
            prop_assert_eq!(decimal.to_f64().to_bits(), decimal.to_string().parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn values_compare_like_their_texts(a in -1000i64..1000, b in -1000i64..1000, sa in 0u8..=30, sb in 0u8..=30) {
            let (x, y) = (Decimal::new(a, sa).unwrap(), Decimal::new(b, sb).unwrap());
            prop_assert_eq!(x.cmp_value(y), x.to_f64().partial_cmp(&y.to_f64()).unwrap());
        }
    }
}
