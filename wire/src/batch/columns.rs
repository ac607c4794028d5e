//! A batch of trades as columns: what the decoder fills without allocating for each trade.
//!
//! # The bit columns
//!
//! Behind the groups stand 16 bits of parameters (Golomb orders of times, prices and volumes, 5 bits each; whether
//! volumes carry a sign), then for each trade in offset order:
//!
//! | field | bits |
//! |---|---|
//! | group | only with several symbols: 0 as before, or 1 and the index |
//! | scales | only in groups of [`Precision::PerTrade`]: 5 bits a number |
//! | time | 0 as before, or 1 and zigzag(difference) − 1 in exponential Golomb code |
//! | price | the same, against the group's last price |
//! | volume | exponential Golomb code |
//! | conditions | only if the batch has any: 0 as before, or 1 and the index into its list, 0 for none |

use super::Head;
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
#[derive(Clone, Debug)]
pub struct Columns {
    pub(super) head: Head,
    pub(super) groups: Vec<Group>,
    pub(super) rows: Vec<Row>,
    pub(super) conditions: Vec<Conditions>,
    /// The bit columns with zeros behind them, so that every read is one load of eight bytes.
    pub(super) padded: Vec<u8>,
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
            padded: Vec::new(),
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

    /// The columns of trades that were not encoded: what decoding their encoding gives.
    ///
    /// # Errors
    /// As [`encode`](super::encode).
    pub fn from_batch(batch: &crate::Batch) -> Result<Self, super::EncodeError> {
        let trades: &[crate::Trade] =
            if let crate::Body::Trades(trades) = &batch.body { trades } else { &[] };
        let mut columns = super::encode::columns_of(trades)?;
        columns.head = Head::of(batch);
        Ok(columns)
    }
}

fn written(mantissa: i64, scale: u8, precision: Precision) -> Decimal {
    let decimal = Decimal::new(mantissa, scale).expect("the decoder checked mantissa and scale");
    if precision == Precision::Minimal { decimal.normalized() } else { decimal }
}
