//! A journal to write down in tests.

use crate::window::{Fold, FoldConfig, Minute};
use tickberry_wire::{
    Batch, Body, Columns, Control, Decimal, Epoch, EpochStart, Gap, GapReason, Symbol, Trade, decode_columns,
    encode,
};

/// Noon of a day in 2024.
pub(super) const NOON: i64 = 1_723_118_400_000;
pub(super) const MINUTE: i64 = 60_000;

pub(super) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

pub(super) fn trade(name: &str, time_ms: i64, price: &str, volume: &str) -> Trade {
    Trade {
        symbol: symbol(name),
        time_ms,
        price: Decimal::parse(price).unwrap(),
        volume: Decimal::parse(volume).unwrap(),
        conditions: None,
    }
}

/// Gives records their offsets.
#[derive(Clone)]
pub(super) struct Journal {
    pub(super) epoch: Epoch,
    pub(super) next: u64,
    pub(super) batches: Vec<Batch>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { epoch: Epoch::new(1_723_118_400, 1), next: 0, batches: Vec::new() }
    }

    pub(super) fn push(&mut self, elapsed_ms: u64, body: Body) -> &mut Self {
        let batch = Batch {
            epoch: self.epoch,
            first_offset: self.next,
            committed: self.next,
            elapsed_ms,
            anchor_ms: None,
            body,
        };
        self.next = batch.end_offset();
        self.batches.push(batch);
        self
    }

    pub(super) fn trades(&mut self, elapsed_ms: u64, trades: &[Trade]) -> &mut Self {
        self.push(elapsed_ms, Body::Trades(trades.to_vec()))
    }

    /// One trade of price 1 and volume 1.
    pub(super) fn at(&mut self, elapsed_ms: u64, time_ms: i64) -> &mut Self {
        self.trades(elapsed_ms, &[trade("A", time_ms, "1", "1")])
    }

    pub(super) fn tick(&mut self, elapsed_ms: u64) -> &mut Self {
        self.push(elapsed_ms, Body::Control(Control::Tick))
    }

    pub(super) fn gap(&mut self, elapsed_ms: u64, from_ms: i64, to_ms: i64, symbols: &[&str]) -> &mut Self {
        let symbols = symbols.iter().map(|name| symbol(name)).collect();
        let gap = Gap { from_ms, to_ms, reason: GapReason::Stall, symbols };
        self.push(elapsed_ms, Body::Control(Control::Gap(gap)))
    }

    pub(super) fn lost(&mut self, count: u64) -> &mut Self {
        self.push(0, Body::Lost { count, reason: GapReason::Quarantine })
    }

    pub(super) fn epoch(&mut self, seconds: u64) -> &mut Self {
        let previous = self.batches.last().map(|_| (self.epoch, self.next));
        self.epoch = Epoch::new(seconds, 7);
        self.push(0, Body::Control(Control::EpochStart(EpochStart { previous, simulated: false })))
    }

    pub(super) fn fold(&self) -> Fold {
        let mut fold = Fold::new(FoldConfig::default());
        self.batches.iter().for_each(|batch| fold.apply_batch(batch));
        fold
    }
}

/// Folds a batch the way the services do: encoded, then decoded into columns.
pub(super) fn apply_encoded(fold: &mut Fold, columns: &mut Columns, batch: &Batch) {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes).unwrap();
    let body = decode_columns(&bytes, columns).unwrap();
    fold.apply(columns, body.as_ref());
}

/// The windows of symbol A, in minutes after noon: (start, trades, revision, final).
pub(super) fn windows(fold: &Fold) -> Vec<(i64, u64, u64, bool)> {
    let row = |minute: Minute| {
        ((minute.start_ms - NOON) / MINUTE, minute.trade_count, minute.revision, minute.is_final)
    };
    fold.minutes().filter(|minute| minute.symbol.as_str() == "A").map(row).collect()
}

/// The watermark, in ms after noon.
pub(super) fn watermark(fold: &Fold) -> Option<i64> {
    fold.watermark().map(|watermark| watermark - NOON)
}
