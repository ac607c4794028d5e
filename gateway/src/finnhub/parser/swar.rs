//! Eight bytes at a time in one register: the ends of strings and the values of digits.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Length of the text before the first byte that ends or complicates a JSON string: a quote, a backslash, a control
/// character, or anything outside ASCII.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = text[length..].first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*chunk);
        // A borrow reaches only bytes above one that is marked already, and only the lowest mark is used.
        let is_zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
        let quote = is_zero(bytes ^ (ONES * b'"' as u64));
        let backslash = is_zero(bytes ^ (ONES * b'\\' as u64));
        let control = bytes.wrapping_sub(ONES * 0x20) & !bytes;
        let marks = (quote | backslash | control | bytes) & HIGH;
        if marks != 0 {
            return length + marks.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let tail = &text[length..];
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20 | 0x80..);
    length + tail.iter().position(special).unwrap_or(tail.len())
}

/// A number's digits, whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Number {
    /// All digits, the point left out. Wraps beyond 19 digits.
    pub(super) value: u64,
    /// Digits before the point.
    pub(super) whole: usize,
    /// Digits behind it.
    pub(super) scale: usize,
    /// Bytes read. A point without digits behind it is not read.
    pub(super) length: usize,
}

/// Digits, perhaps a point and more digits, from the front of `text`.
#[inline]
pub(super) fn number(text: &[u8]) -> Number {
    if let Some(chunk) = text.first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*chunk);
        let whole = run(bytes);
        if whole < 7 && bytes >> (8 * whole) as u32 & 0xff == u64::from(b'.') {
            // The point is taken out and both parts read as one; the zero byte that comes in at the top is no digit.
            let low = bytes & ((1 << (8 * whole)) - 1);
            let joined = low | bytes >> (8 * whole) >> 8 << (8 * whole);
            let read = run(joined);
            let mut value = leading(joined, read);
            let mut scale = read - whole;
            if read == 7 {
                let (longer, more) = digits(&text[8..], value);
                (value, scale) = (longer, scale + more);
            }
            if scale > 0 {
                return Number { value, whole, scale, length: whole + 1 + scale };
            }
        }
    }
    let (value, whole) = digits(text, 0);
    if text.get(whole) == Some(&b'.') {
        let (value, scale) = digits(&text[whole + 1..], value);
        if scale > 0 {
            return Number { value, whole, scale, length: whole + 1 + scale };
        }
    }
    Number { value, whole, scale: 0, length: whole }
}

/// How many of the eight bytes, from the lowest on, are digits.
#[inline]
const fn run(bytes: u64) -> usize {
    let bytes = bytes ^ (ONES * b'0' as u64);
    // As above: a carry reaches only bytes above one that is marked.
    let marks = (bytes.wrapping_add(ONES * 0x76) | bytes) & HIGH;
    marks.trailing_zeros() as usize / 8
}

/// The number that the lowest `count` bytes, digits all, make.
#[inline]
const fn leading(bytes: u64, count: usize) -> u64 {
    if count == 0 {
        return 0;
    }
    // They move up, and zeros in front of them count nothing.
    eight((bytes ^ (ONES * b'0' as u64)) << (64 - 8 * count))
}

/// `before` with the leading digits of `text` appended, and how many digits those are. Wraps beyond 19 digits.
#[inline]
pub(super) fn digits(text: &[u8], before: u64) -> (u64, usize) {
    const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let (mut value, mut length) = (before, 0);
    while let Some(chunk) = text[length..].first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*chunk);
        let count = run(bytes);
        value = value.wrapping_mul(POWERS[count]).wrapping_add(leading(bytes, count));
        length += count;
        if count < 8 {
            return (value, length);
        }
    }
    for byte in &text[length..] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    (value, length)
}

/// The number that eight digits (0 to 9, the first in the lowest byte) make: pairs, then fours, then all.
#[inline]
const fn eight(digits: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & PAIRS).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_ends_where_a_byte_by_byte_search_says(text in prop::collection::vec(any::<u8>(), 0..40), printable in "[ -~]{0,40}") {
            let end = |text: &[u8]| {
                text.iter().position(|b| matches!(b, b'"' | b'\\' | ..0x20 | 0x80..)).unwrap_or(text.len())
            };
            prop_assert_eq!(plain(&text), end(&text));
            prop_assert_eq!(plain(printable.as_bytes()), end(printable.as_bytes()));
        }

        #[test]
        fn digits_have_the_value_they_read_as(number in "[0-9]{0,19}", rest in prop_oneof![prop::collection::vec(any::<u8>(), 0..20), "[0-9]{0,12}[,}e.]".prop_map(String::into_bytes)], before in 0u64..100) {
            let text = [number.as_bytes(), b".", &rest].concat();
            let expected: u128 = format!("{before}{number}").parse().unwrap();
            prop_assert_eq!(digits(&text, before), (expected as u64, number.len()));
            let scale = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
            let all = [number.as_bytes(), &rest[..scale]].concat();
            if all.len() <= 19 {
                let value = String::from_utf8(all).unwrap().parse().unwrap_or(0);
                let length = number.len() + if scale > 0 { 1 + scale } else { 0 };
                prop_assert_eq!(super::number(&text), Number { value, whole: number.len(), scale, length });
            }
            prop_assert_eq!(digits(&rest, 0).1, rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len()));
        }
    }
}
