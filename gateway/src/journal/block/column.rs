//! A block's columns, and the numbers in them.

/// How many columns there are.
pub(super) const COUNT: usize = 13;
pub(super) const SHAPES: usize = 0;
pub(super) const RAW: usize = 1;
pub(super) const ELAPSED: usize = 2;
pub(super) const COMMITTED: usize = 3;
pub(super) const ANCHORS: usize = 4;
pub(super) const SYMBOLS: usize = 5;
pub(super) const CODES: usize = 6;
pub(super) const SYMBOL: usize = 7;
pub(super) const TIME: usize = 8;
pub(super) const PRICE: usize = 9;
pub(super) const VOLUME: usize = 10;
pub(super) const SCALE: usize = 11;
pub(super) const CONDITIONS: usize = 12;

/// A column that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Column(pub(super) Vec<u8>);

impl Column {
    pub(super) fn put(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn put_text(&mut self, text: &str) {
        self.put(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Where in the unpacked bytes a column is read next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Cursor {
    /// The next number; `None` at the column's end, and for more than 64 bits.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<u64> {
        let rest = bytes.get(self.at..self.end)?;
        // Most numbers are small.
        let (&byte, _) = rest.split_first()?;
        if byte < 0x80 {
            self.at += 1;
            return Some(u64::from(byte));
        }
        let mut n = 0u64;
        for (i, &byte) in rest.iter().enumerate().take(10) {
            // The tenth byte has room for the 64th bit only.
            if i == 9 && byte > 1 {
                return None;
            }
            n |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Some(n);
            }
        }
        None
    }

    /// The next so many bytes.
    pub(super) fn take_bytes<'a>(&mut self, bytes: &'a [u8], len: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(len).ok()?).filter(|&end| end <= self.end)?;
        let taken = bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn take_text<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        let len = self.take(bytes)?;
        std::str::from_utf8(self.take_bytes(bytes, len)?).ok()
    }
}

pub(super) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

pub(super) const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_cut_ones_do_not() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut column = Column::default();
            column.put(n);
            let end = column.0.len();
            let mut cursor = Cursor { at: 0, end };
            assert_eq!((cursor.take(&column.0), cursor.at), (Some(n), end));
            assert_eq!(Cursor { at: 0, end: end - 1 }.take(&column.0), None);
            assert_eq!(Cursor { at: 0, end: end + 1 }.take(&column.0), None, "beyond the bytes");
        }
        assert_eq!(Cursor { at: 0, end: 11 }.take(&[0xff; 11]), None, "more than 64 bits");
    }

    #[test]
    fn signs_come_back() {
        for n in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
    }
}
