//! Trade by trade: whether the store has each that the journal has, and each once.
//!
//! A week of identities would fill a Pi's memory, so they are counted and summed by symbol, minute and block of offsets:
//! equal counts and sums are equal sets, but for one chance in 2⁶⁴.

use std::collections::BTreeMap;

use serde::Deserialize;
use tickberry_store::sqlite::schema::BLOCK;
use tickberry_wire::Columns;

use super::MINUTE_MS;

/// Symbol, then what part of its trades.
type Parts = BTreeMap<Part, Tally>;

/// A minute's trades in a block of one epoch: retention forgets such blocks whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    minute: i64,
    block: (u64, u64),
}

/// A set of trades, told from others by number and sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

/// What the journal, or the store, has.
#[derive(Debug, Default)]
pub(super) struct Trades(BTreeMap<String, Parts>);

/// What a comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Trades of the journal that were looked for.
    pub(super) trades: u64,
    /// Those that the store lacks.
    pub(super) lost: u64,
    /// Trades of the store that the journal does not have: one more than there were.
    pub(super) doubled: u64,
}

/// A stored trade, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    epoch: u64,
    pub(super) journal_offset: u64,
    time_ms: i64,
}

impl Trades {
    /// Notes the trades of a batch of the journal.
    pub(super) fn note(&mut self, columns: &Columns) {
        let head = columns.head();
        for (offset, row) in (head.first_offset..).zip(columns.rows()) {
            let symbol = &columns.groups()[usize::from(row.group)].symbol;
            self.add(symbol.as_str(), head.epoch.get(), offset, row.time_ms);
        }
    }

    /// Notes a stored one.
    pub(super) fn stored(&mut self, symbol: &str, row: &Row) {
        self.add(symbol, row.epoch, row.journal_offset, row.time_ms);
    }

    fn add(&mut self, symbol: &str, epoch: u64, offset: u64, time_ms: i64) {
        if !self.0.contains_key(symbol) {
            self.0.insert(symbol.to_owned(), Parts::new());
        }
        let Some(parts) = self.0.get_mut(symbol) else { return };
        let part = Part { minute: time_ms.div_euclid(MINUTE_MS), block: (offset / BLOCK, epoch) };
        let tally = parts.entry(part).or_default();
        tally.count += 1;
        tally.sum = tally.sum.wrapping_add(mixed(epoch, offset));
    }

    /// The symbols there are.
    pub(super) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Compares the trades from a time on with those of the store; not those older than all that the store still keeps, nor those of
    /// epochs before the journal's first: the store has them of a journal that is gone, with its card for instance.
    pub(super) fn compare(&self, store: &Trades, from_ms: i64) -> Found {
        let kept = store.0.values().flat_map(BTreeMap::keys).map(|part| part.block).min();
        let first = self.0.values().flat_map(BTreeMap::keys).map(|part| part.block.1).min();
        let inside = |part: &Part| {
            part.minute >= from_ms.div_euclid(MINUTE_MS)
                && kept.is_none_or(|kept| part.block >= kept)
                && first.is_some_and(|first| part.block.1 >= first)
        };
        let (mut found, none) = (Found::default(), Parts::new());
        for (symbol, parts) in &self.0 {
            let stored = store.0.get(symbol).unwrap_or(&none);
            for (part, tally) in parts.iter().filter(|(part, _)| inside(part)) {
                let there = stored.get(part).copied().unwrap_or_default();
                let is_other = u64::from(there.count == tally.count && there.sum != tally.sum);
                found.trades += tally.count;
                found.lost += tally.count.saturating_sub(there.count) + is_other;
                found.doubled += there.count.saturating_sub(tally.count) + is_other;
            }
            let others = stored.iter().filter(|(part, _)| inside(part) && !parts.contains_key(part));
            found.doubled += others.map(|(_, tally)| tally.count).sum::<u64>();
        }
        found
    }
}

/// An identity as a number of which every bit depends on all of it (splitmix64).
fn mixed(epoch: u64, offset: u64) -> u64 {
    let mut bits = epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ offset;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trades(identities: impl IntoIterator<Item = (u64, u64)>) -> Trades {
        let mut trades = Trades::default();
        for (epoch, offset) in identities {
            let time_ms = i64::try_from(offset).unwrap() * 100;
            trades.stored("A", &Row { epoch, journal_offset: offset, time_ms });
        }
        trades
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_counted() {
        let all = || (0..10_000).map(|offset| (1, offset));
        let journal = trades(all());
        let moved = |at: u64| move |(epoch, offset)| (epoch + u64::from(offset == at), offset);
        for (name, store, lost, doubled) in [
            ("equal", trades(all()), 0, 0),
            ("one missing", trades(all().filter(|(_, offset)| *offset != 5_000)), 1, 0),
            ("the last missing", trades(all().take(9_999)), 1, 0),
            ("again under another epoch", trades(all().chain([(2, 77)])), 0, 1),
            ("some of a journal that is gone", trades(all().chain([(0, 77), (0, 9_999)])), 0, 0),
            ("another in its place", trades(all().map(moved(77))), 1, 1),
            ("one at a time of its own", trades(all().chain([(1, 90_000)])), 0, 1),
            ("an old block forgotten", trades(all().skip(BLOCK as usize)), 0, 0),
            ("the first of a block missing", trades(all().skip(1)), 1, 0),
        ] {
            let found = journal.compare(&store, 0);
            assert_eq!((found.lost, found.doubled), (lost, doubled), "{name}");
        }
        assert_eq!(journal.compare(&trades([]), 0).lost, 10_000);
        assert_eq!(journal.compare(&trades([]), 999_900).trades, 400);
    }

    #[test]
    fn equal_numbers_of_other_trades_are_seen() {
        let found = trades([(1, 1), (1, 2)]).compare(&trades([(1, 1), (1, 3)]), 0);
        assert_eq!(found, Found { trades: 2, lost: 1, doubled: 1 });
    }
}
