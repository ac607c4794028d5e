//! What the simulator sends: a trade whose numbers are already the text that goes on the wire.

use std::sync::Arc;

/// One trade (or, with volume 0, one price update) as it will be written into a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The symbol as the client subscribed to it, e.g. `BINANCE:BTCUSDT`.
    pub symbol: Arc<str>,
    /// Exchange time, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The price as a JSON number token; see [`plain_number`].
    pub price: Box<str>,
    /// The volume as a JSON number token.
    pub volume: Box<str>,
    /// The `c` member.
    pub conditions: Conditions,
}

/// The `c` member of a trade: Finnhub sends all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// `"c":null`, always so for crypto.
    Null,
    /// No `c` at all, as in frames of 2020.
    Absent,
    /// A list, possibly empty.
    List(&'static [&'static str]),
}

/// A trade and the moment it leaves the vendor, which is later than `time_ms` and not in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Milliseconds on the clock of the feed that schedules it.
    pub release_ms: i64,
    /// What is released.
    pub trade: Trade,
}

/// `mantissa · 10^-scale` as Finnhub writes numbers: no exponent, no trailing zeros, no point in a whole number.
pub fn number(mantissa: u64, scale: u8) -> Box<str> {
    let mut digits = format!("{mantissa:0>width$}", width = usize::from(scale) + 1);
    digits.insert(digits.len() - usize::from(scale), '.');
    strip_zeros(&digits)
}

/// The same number without superfluous zeros (`"61837.63000000"` → `61837.63`), or `None` if the text is not an
/// unsigned decimal number. Never goes through a float.
pub fn plain_number(text: &str) -> Option<Box<str>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    Some(strip_zeros(&format!("{}.{fraction}", if whole.is_empty() { "0" } else { whole })))
}

fn strip_zeros(with_point: &str) -> Box<str> {
    with_point.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_on_the_wire() {
        for (mantissa, scale, text) in [
            (6183763, 2, "61837.63"),
            (9, 5, "0.00009"),
            (2662600, 2, "26626"),
            (0, 5, "0"),
            (100, 0, "100"),
            (10, 1, "1"),
        ] {
            assert_eq!(&*number(mantissa, scale), text);
        }
    }

    #[test]
    fn recorded_numbers_lose_only_zeros() {
        for (recorded, text) in [
            ("61837.63000000", "61837.63"),
            ("0.00009000", "0.00009"),
            ("26626.00000000", "26626"),
            ("100", "100"),
            ("007.50", "7.5"),
        ] {
            assert_eq!(plain_number(recorded).as_deref(), Some(text));
        }
        for bad in ["", ".", "1.", ".5", "-1", "1e5", "NaN", "1.2.3", " 1"] {
            assert_eq!(plain_number(bad), None, "{bad}");
        }
    }
}
