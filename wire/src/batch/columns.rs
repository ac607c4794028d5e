//! A batch of trades as columns: what the decoder fills without allocating for each trade.
//!
//! # The bit columns
//!
//! Behind the groups and the conditions, least significant bit first:
//!
//! | part | bits |
//! |---|---|
//! | extras, for each trade | none in the usual batch; with several symbols 0 as before, or 1 and the group's index; in groups of [`Precision::PerTrade`] 5 bits a number for its scale; with conditions 0 as before, or 1 and the index into the list, 0 for none |
//! | numbers, for each trade | its volume, price and time, each of the width that its selector says |
//! | padding | zeros up to the next byte |
//! | selectors, for each trade | whether its time and its price differ from those before, and whether its volume is of the other width |
//! | padding | zeros so that the widths end with a byte |
//! | widths | whether times are zigzag (1), whether volumes are (1), the widths of times, prices, common volumes and other volumes (6 each; 63 for a time means 64) |
//!
//! A time is the difference to the trade before, a price the zigzag difference to the group's price before.

use std::sync::Arc;

use super::Head;
use super::bytes::{BYTES, word};
use crate::record::Epoch;
use crate::{Conditions, Decimal, Symbol};

/// How the decimals of a group's numbers were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// No number has a trailing zero behind the point; all stand at the group's scale.
    Minimal,
    /// All numbers have the group's scale.
    Fixed,
    /// Each number has a scale of its own.
    PerTrade,
}

/// A symbol of a batch, and how its numbers are scaled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// What was traded.
    pub symbol: Symbol,
    /// How prices were written.
    pub price_precision: Precision,
    /// How volumes were written.
    pub volume_precision: Precision,
    pub(super) price_scale: u8,
    pub(super) volume_scale: u8,
    pub(super) last_price: i64,
    /// The symbol's bytes in the batch, and the first eight of them as a number: where the next batch has the same, its
    /// text is not read again.
    pub(super) coded: Arc<[u8]>,
    pub(super) coded_word: u64,
}

impl Group {
    pub(super) fn new(symbol: Symbol, coded: &[u8]) -> Self {
        Self {
            symbol,
            price_precision: Precision::Minimal,
            volume_precision: Precision::Minimal,
            price_scale: 0,
            volume_scale: 0,
            last_price: 0,
            coded: coded.into(),
            coded_word: word(coded, 0),
        }
    }

    /// Whether its bytes in the last batch were `length` of these, of which the first ones are `first`.
    #[inline(always)]
    pub(super) fn is_coded_as(&self, first: u64, length: usize, bytes: &[u8]) -> bool {
        self.coded.len() == length
            && match BYTES.get(length) {
                Some(mask) => self.coded_word == first & mask,
                None => *self.coded == bytes[..length],
            }
    }

    /// Whether each number of a kind has a scale of its own; else it is the same for all rows of the group.
    pub fn has_own_scales(&self) -> bool {
        [self.price_precision, self.volume_precision].contains(&Precision::PerTrade)
    }
}

/// One trade: integers only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// When, ms since 1970 UTC.
    pub time_ms: i64,
    /// Price · 10^`price_scale`.
    pub price: i64,
    /// Volume · 10^`volume_scale`.
    pub volume: i64,
    /// Index into [`Columns::groups`].
    pub group: u16,
    /// 0 for none, else index + 1 into the batch's conditions.
    pub(super) conditions: u16,
    /// Scale of `price`; the same for all rows of a group unless [`Precision::PerTrade`].
    pub price_scale: u8,
    /// Scale of `volume`; likewise.
    pub volume_scale: u8,
}

/// Buffers for [`decode_columns`](super::decode_columns), used again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    pub(super) head: Head,
    pub(super) groups: Vec<Group>,
    pub(super) rows: Vec<Row>,
    pub(super) conditions: Vec<Conditions>,
    pub(super) in_order: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            head: Head {
                epoch: Epoch::new(0, 0),
                first_offset: 0,
                count: 0,
                committed: 0,
                elapsed_ms: 0,
                anchor_ms: None,
            },
            groups: Vec::new(),
            rows: Vec::new(),
            conditions: Vec::new(),
            in_order: false,
        }
    }
}

impl Columns {
    /// What the batch begins with.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The batch's symbols.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The trades, in offset order from [`Head::first_offset`].
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Bytes of memory its buffers hold, without the texts of symbols and conditions, which are shared.
    pub fn heap_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + self.rows.capacity() * size_of::<Row>()
            + self.conditions.capacity() * size_of::<Conditions>()
    }

    /// True only if no trade's time is before that of the trade before it.
    pub const fn are_in_order(&self) -> bool {
        self.in_order
    }

    /// A row's price with the digits it was sent with.
    pub fn price(&self, row: &Row) -> Decimal {
        written(row.price, row.price_scale, self.groups[usize::from(row.group)].price_precision)
    }

    /// A row's volume with the digits it was sent with.
    pub fn volume(&self, row: &Row) -> Decimal {
        written(row.volume, row.volume_scale, self.groups[usize::from(row.group)].volume_precision)
    }

    /// A row's conditions, if the feed sent any.
    pub fn conditions(&self, row: &Row) -> Option<&Conditions> {
        self.conditions.get(usize::from(row.conditions).checked_sub(1)?)
    }

    /// One symbol, no conditions, no scales of single numbers: the usual batch.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.groups.as_slice(), [group] if !group.has_own_scales()) && self.conditions.is_empty()
    }

    /// The columns of a batch that was not encoded: what decoding its encoding gives.
    ///
    /// # Errors
    /// As [`encode`](super::encode).
    pub fn from_batch(batch: &crate::Batch) -> Result<Self, super::EncodeError> {
        let mut columns = match &batch.body {
            crate::Body::Trades(trades) => super::encode::columns_of(trades)?,
            _ => Self::default(),
        };
        columns.head = Head::of(batch);
        Ok(columns)
    }
}

fn written(mantissa: i64, scale: u8, precision: Precision) -> Decimal {
    let decimal = Decimal::new(mantissa, scale).expect("the decoder checked mantissa and scale");
    if precision == Precision::Minimal { decimal.normalized() } else { decimal }
}
