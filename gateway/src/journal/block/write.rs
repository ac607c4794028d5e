//! Batches to columns.

use std::collections::HashMap;

use tickberry_wire::{Batch, Body, Conditions, Decimal, Symbol, Trade};

use super::Entry;
use super::column::{
    ANCHORS, CODES, COMMITTED, CONDITIONS, COUNT, Column, ELAPSED, PRICE, RAW, SCALE, SHAPES, SYMBOL,
    SYMBOLS, TIME, VOLUME, zigzag,
};

/// The unpacked block of these batches; a batch without trades is taken as it is.
pub(super) fn columns(first: u64, batches: &[Entry<'_>], trades: &[Option<Batch>]) -> Vec<u8> {
    let mut writer = Writer::new(first, trades);
    for ((count, payload), trades) in batches.iter().zip(trades) {
        match trades {
            Some(batch) => writer.batch(batch),
            None => writer.raw(*count, payload),
        }
    }
    let mut lengths = Column::default();
    writer.columns.iter().for_each(|column| lengths.put(column.0.len() as u64));
    let mut out = lengths.0;
    writer.columns.iter().for_each(|column| out.extend_from_slice(&column.0));
    out
}

/// How the numbers of a kind are written, for one symbol.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    /// Some have trailing zeros behind the point.
    any_padded: bool,
    max_scale: u8,
    /// Digits before the point.
    max_digits: u32,
}

impl Form {
    fn see(&mut self, number: Decimal) {
        let (mantissa, scale) = (number.mantissa(), number.scale());
        let digits = mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
        self.any_padded |= scale > 0 && mantissa % 10 == 0;
        self.max_scale = self.max_scale.max(scale);
        self.max_digits = self.max_digits.max(digits.saturating_sub(u32::from(scale)));
    }

    /// The one scale of all of them.
    fn scale(self) -> Option<u8> {
        let fits = self.max_digits + u32::from(self.max_scale) <= Decimal::MAX_DIGITS;
        (fits && !self.any_padded).then_some(self.max_scale)
    }

    fn code(self) -> u64 {
        self.scale().map_or(0, |scale| u64::from(scale) + 1)
    }
}

struct Series {
    symbol: Symbol,
    price: Form,
    volume: Form,
    last_price: i64,
}

struct Writer {
    columns: [Column; COUNT],
    series: Vec<Series>,
    lists: HashMap<Conditions, u64>,
    elapsed_ms: u64,
    committed: u64,
    anchor_ms: i64,
    symbol: usize,
    time_ms: i64,
}

impl Writer {
    fn new(first: u64, trades: &[Option<Batch>]) -> Self {
        let mut writer = Self {
            columns: Default::default(),
            series: Vec::new(),
            lists: HashMap::new(),
            elapsed_ms: 0,
            committed: first,
            anchor_ms: 0,
            symbol: 0,
            time_ms: 0,
        };
        for trade in trades.iter().flatten().flat_map(trades_of) {
            writer.see(trade);
        }
        for series in &writer.series {
            let symbols = &mut writer.columns[SYMBOLS];
            symbols.put_text(series.symbol.as_str());
            symbols.put(series.price.code());
            symbols.put(series.volume.code());
        }
        writer.symbol = 0;
        writer
    }

    fn see(&mut self, trade: &Trade) {
        self.symbol = self.find(&trade.symbol).unwrap_or(self.series.len());
        if self.symbol == self.series.len() {
            let symbol = trade.symbol.clone();
            let (price, volume) = (Form::default(), Form::default());
            self.series.push(Series { symbol, price, volume, last_price: 0 });
        }
        let series = &mut self.series[self.symbol];
        series.price.see(trade.price);
        series.volume.see(trade.volume);
        if let Some(conditions) = &trade.conditions
            && !self.lists.contains_key(conditions)
        {
            self.lists.insert(conditions.clone(), self.lists.len() as u64 + 1);
            let codes = &mut self.columns[CODES];
            codes.put(conditions.codes().len() as u64);
            conditions.codes().for_each(|code| codes.put_text(code));
        }
    }

    /// Mostly it is the one before.
    fn find(&self, symbol: &Symbol) -> Option<usize> {
        let same = |at: &usize| self.series.get(*at).is_some_and(|series| series.symbol == *symbol);
        Some(self.symbol).filter(same).or_else(|| self.series.iter().position(|s| s.symbol == *symbol))
    }

    fn raw(&mut self, count: u32, payload: &[u8]) {
        self.columns[SHAPES].put(payload.len() as u64 * 2 + 1);
        self.columns[SHAPES].put(u64::from(count));
        self.columns[RAW].0.extend_from_slice(payload);
    }

    fn batch(&mut self, batch: &Batch) {
        let trades = trades_of(batch);
        self.columns[SHAPES].put(trades.len() as u64 * 2);
        self.columns[ELAPSED].put(zigzag(batch.elapsed_ms.wrapping_sub(self.elapsed_ms) as i64));
        self.columns[COMMITTED].put(zigzag(batch.committed.wrapping_sub(self.committed) as i64));
        (self.elapsed_ms, self.committed) = (batch.elapsed_ms, batch.committed);
        let anchor = batch.anchor_ms.map_or(0, |anchor| {
            let difference = anchor.wrapping_sub(std::mem::replace(&mut self.anchor_ms, anchor));
            // An anchor at the other end of time comes back wrong, and the batch stays as it is.
            zigzag(difference).wrapping_add(1)
        });
        self.columns[ANCHORS].put(anchor);
        trades.iter().for_each(|trade| self.trade(trade));
    }

    fn trade(&mut self, trade: &Trade) {
        let symbol = self.find(&trade.symbol).expect("every symbol was seen");
        let (series, columns) = (&mut self.series[symbol], &mut self.columns);
        let count = self.lists.len();
        let (price_form, volume_form) = (series.price, series.volume);
        let mut mantissa = |number: Decimal, form: Form| match form.scale() {
            Some(scale) => number.mantissa() * 10i64.pow(u32::from(scale - number.scale())),
            None => {
                columns[SCALE].put(u64::from(number.scale()));
                number.mantissa()
            }
        };
        let price = mantissa(trade.price, price_form);
        let volume = mantissa(trade.volume, volume_form);
        columns[PRICE].put(zigzag(price.wrapping_sub(std::mem::replace(&mut series.last_price, price))));
        columns[VOLUME].put(volume as u64);
        columns[TIME].put(zigzag(trade.time_ms.wrapping_sub(self.time_ms)));
        self.time_ms = trade.time_ms;
        let symbols = self.series.len();
        columns[SYMBOL].put(((symbol + symbols - self.symbol) % symbols) as u64);
        self.symbol = symbol;
        if count > 0 {
            let list = trade.conditions.as_ref().and_then(|conditions| self.lists.get(conditions));
            columns[CONDITIONS].put(list.copied().unwrap_or(0));
        }
    }
}

fn trades_of(batch: &Batch) -> &[Trade] {
    if let Body::Trades(trades) = &batch.body { trades } else { &[] }
}
