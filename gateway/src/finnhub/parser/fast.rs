//! The single pass. It reads trade frames of plain JSON, in any key order, and hands back everything else.
//!
//! What it accepts is a subset of JSON; the moment something is unusual (an escape, an exponent, more than 18 digits, a
//! repeated key, a nested value under an unknown key, a byte outside ASCII where it does not belong) it gives up and
//! the frame is read again by serde. So there is one place that decides what a strange frame means.

use tickberry_wire::{Conditions, Decimal, Symbol, Trade};

use super::intern::Interner;
use super::swar;

/// The frame's trades, or `None` where serde has to look.
pub(super) fn trades(frame: &[u8], interner: &mut Interner) -> Option<Vec<Trade>> {
    let mut cursor = Cursor { bytes: frame, at: 0 };
    let mut trades = None;
    let mut is_trade = false;
    cursor.space();
    cursor.expect(b'{')?;
    loop {
        match cursor.key()? {
            b"data" if trades.is_none() => trades = Some(cursor.elements(interner)?),
            b"type" if !is_trade => {
                // Any other type is for serde.
                is_trade = cursor.string()? == b"trade";
                is_trade.then_some(())?;
            }
            b"data" | b"type" | b"msg" => return None,
            _ => cursor.skip()?,
        }
        if cursor.end_or_comma(b'}')? {
            break;
        }
    }
    (is_trade && cursor.at == frame.len()).then_some(())?;
    trades
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then_some(())?;
        self.at += 1;
        Some(())
    }

    #[inline]
    fn take(&mut self, text: &[u8; 5]) -> Option<()> {
        (self.bytes.get(self.at..)?.first_chunk::<5>()? == text).then_some(())?;
        self.at += 5;
        Some(())
    }

    /// A key and its colon, and the space around both.
    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        self.space();
        let key = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Some(key)
    }

    /// A key of an element: the letter of the five that are known, 0 for any other.
    #[inline]
    fn letter(&mut self) -> Option<u8> {
        if let Some([b'"', letter @ (b'c' | b'p' | b's' | b't' | b'v'), b'"', b':', next]) =
            self.bytes.get(self.at..)?.first_chunk::<5>()
            && *next > b' '
        {
            self.at += 4;
            return Some(*letter);
        }
        match self.key()? {
            [letter @ (b'c' | b'p' | b's' | b't' | b'v')] => Some(*letter),
            _ => Some(0),
        }
    }

    /// Behind a value: a comma (`false`), or the end of the object or list and the space behind that (`true`).
    #[inline]
    fn end_or_comma(&mut self, end: u8) -> Option<bool> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            return Some(false);
        }
        (byte == end).then_some(())?;
        self.space();
        Some(true)
    }

    /// A string of ASCII without escapes: its text.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = self.bytes.get(self.at..)?;
        let length = swar::plain(rest);
        (*rest.get(length)? == b'"').then_some(())?;
        self.at += length + 1;
        Some(&rest[..length])
    }

    /// A value nobody asked for: a plain string, a plain number, true, false or null.
    fn skip(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        for word in [&b"null"[..], b"true", b"false"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Some(());
            }
        }
        if self.peek()? == b'"' { self.string().map(|_| ()) } else { self.number().map(|_| ()) }
    }

    fn elements(&mut self, interner: &mut Interner) -> Option<Vec<Trade>> {
        self.expect(b'[')?;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Vec::new());
        }
        // A trade takes some 75 to 105 bytes of text.
        let mut trades = Vec::with_capacity(self.bytes.len() / 72 + 1);
        loop {
            self.element(interner, &mut trades)?;
            if self.end_or_comma(b']')? {
                return Some(trades);
            }
            self.space();
        }
    }

    #[inline]
    fn element(&mut self, interner: &mut Interner, trades: &mut Vec<Trade>) -> Option<()> {
        let start = self.at;
        if self.in_order(interner, trades).is_some() {
            return Some(());
        }
        self.at = start;
        trades.push(self.in_any_order(interner)?);
        Some(())
    }

    /// As Finnhub writes it: all five keys in alphabetical order without space.
    #[inline]
    fn in_order(&mut self, interner: &mut Interner, trades: &mut Vec<Trade>) -> Option<()> {
        self.take(b"{\"c\":")?;
        let conditions = self.conditions(interner)?;
        self.take(b",\"p\":")?;
        let price = self.number()?;
        self.take(b",\"s\":")?;
        let symbol = self.symbol(interner)?;
        self.take(b",\"t\":")?;
        let time_ms = self.whole()?;
        self.take(b",\"v\":")?;
        let volume = self.number().filter(|volume| volume.mantissa() >= 0)?;
        self.expect(b'}')?;
        // What `end_or_comma` does behind the last member.
        self.space();
        trades.push(Trade { symbol, time_ms, price, volume, conditions });
        Some(())
    }

    fn in_any_order(&mut self, interner: &mut Interner) -> Option<Trade> {
        self.expect(b'{')?;
        let (mut price, mut volume, mut time, mut symbol) = (None, None, None, None);
        let mut conditions = None;
        loop {
            match self.letter()? {
                b'p' if price.is_none() => price = Some(self.number()?),
                b'v' if volume.is_none() => volume = Some(self.number()?),
                b't' if time.is_none() => time = Some(self.whole()?),
                b's' if symbol.is_none() => symbol = Some(self.symbol(interner)?),
                b'c' if conditions.is_none() => conditions = Some(self.conditions(interner)?),
                b'p' | b'v' | b't' | b's' | b'c' => return None,
                _ => self.skip()?,
            }
            if self.end_or_comma(b'}')? {
                break;
            }
        }
        let volume = volume?;
        (volume.mantissa() >= 0).then_some(())?;
        Some(Trade {
            symbol: symbol?,
            time_ms: time?,
            price: price?,
            volume,
            conditions: conditions.flatten(),
        })
    }

    #[inline]
    fn symbol(&mut self, interner: &mut Interner) -> Option<Symbol> {
        let text = self.string()?;
        interner.symbol(text)
    }

    /// The outer `Option`: understood. The inner: the feed sent a list.
    #[inline]
    fn conditions(&mut self, interner: &mut Interner) -> Option<Option<Conditions>> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"null") {
            self.at += 4;
            return Some(None);
        }
        self.expect(b'[')?;
        let mut end = self.at;
        // The list's text up to its bracket; with anything but plain short strings inside, `list` gives up.
        while *self.bytes.get(end)? != b']' {
            end += 1;
        }
        let inside = &self.bytes[self.at..end];
        self.at = end + 1;
        interner.conditions(inside, || list(inside)).map(Some)
    }

    /// A number without exponent and with at most 18 digits, as JSON writes it.
    #[inline]
    fn number(&mut self) -> Option<Decimal> {
        let rest = self.bytes.get(self.at..)?;
        let negative = rest.first() == Some(&b'-');
        let rest = &rest[usize::from(negative)..];
        let number = swar::number(rest);
        let swar::Number { value, whole, scale, length } = number;
        let plain = whole >= 1
            && (whole == 1 || rest[0] != b'0')
            && whole + scale <= Decimal::MAX_DIGITS as usize
            && !matches!(rest.get(length), Some(b'e' | b'E' | b'.'));
        plain.then_some(())?;
        self.at += length + usize::from(negative);
        let value = value as i64;
        Decimal::new(if negative { -value } else { value }, scale as u8)
    }

    /// A whole number, not negative.
    #[inline]
    fn whole(&mut self) -> Option<i64> {
        let rest = self.bytes.get(self.at..)?;
        let (value, length) = swar::digits(rest, 0);
        let plain = (1..Decimal::MAX_DIGITS as usize).contains(&length)
            && (length == 1 || rest[0] != b'0')
            && !matches!(rest.get(length), Some(b'e' | b'E' | b'.'));
        plain.then_some(())?;
        self.at += length;
        Some(value as i64)
    }
}

/// The text between a list's brackets as conditions: plain strings only.
fn list(inside: &[u8]) -> Option<Conditions> {
    let mut cursor = Cursor { bytes: inside, at: 0 };
    let mut codes = Vec::new();
    cursor.space();
    if cursor.at == inside.len() {
        return Conditions::new([]);
    }
    loop {
        codes.push(std::str::from_utf8(cursor.string()?).ok()?);
        cursor.space();
        if cursor.at == inside.len() {
            return Conditions::new(codes);
        }
        cursor.expect(b',')?;
        cursor.space();
    }
}
