//! Symbols and condition lists met before, found again by their bytes.

use tickberry_wire::{Conditions, Symbol};

/// Two bounded caches: an entry that collides is replaced, so hostile input costs time and no memory.
#[derive(Default)]
pub(super) struct Interner {
    symbols: Cache<Symbol, 1024>,
    /// Keyed by the list's JSON text.
    conditions: Cache<Conditions, 256>,
}

impl Interner {
    /// The symbol of that text, if it is one.
    #[inline]
    pub(super) fn symbol(&mut self, text: &[u8]) -> Option<Symbol> {
        self.symbols.get(text, || Symbol::new(std::str::from_utf8(text).ok()?).ok())
    }

    /// The list of that JSON text; `read` makes it if it was not met before.
    #[inline]
    pub(super) fn conditions(
        &mut self,
        json: &[u8],
        read: impl FnOnce() -> Option<Conditions>,
    ) -> Option<Conditions> {
        self.conditions.get(json, read)
    }
}

/// A longer text is made into its value each time.
const LONGEST_KEPT: usize = 128;

/// A text in short: its length, first and last eight bytes. Of a text of 8 to 16 bytes that is all.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Digest {
    first: u64,
    last: u64,
    length: usize,
}

impl Digest {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (word(text), 0),
        };
        Self { first, last, length: text.len() }
    }

    /// Whether texts of equal digests are equal.
    #[inline]
    const fn is_whole(self) -> bool {
        self.length <= 16
    }

    #[inline]
    const fn hash(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(29) ^ self.length as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }
}

struct Slot<T> {
    digest: Digest,
    text: Box<[u8]>,
    value: T,
}

struct Cache<T, const SLOTS: usize>(Vec<Option<Slot<T>>>);

impl<T, const SLOTS: usize> Default for Cache<T, SLOTS> {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| None).collect())
    }
}

impl<T: Clone, const SLOTS: usize> Cache<T, SLOTS> {
    #[inline]
    fn get(&mut self, text: &[u8], make: impl FnOnce() -> Option<T>) -> Option<T> {
        let digest = Digest::of(text);
        let slot = &mut self.0[digest.hash() % SLOTS];
        if let Some(known) = slot
            && known.digest == digest
            && (digest.is_whole() || known.text.as_ref() == text)
        {
            return Some(known.value.clone());
        }
        let value = make()?;
        if text.len() <= LONGEST_KEPT {
            *slot = Some(Slot { digest, text: text.into(), value: value.clone() });
        }
        Some(value)
    }
}
