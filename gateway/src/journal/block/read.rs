//! Columns to batches.

use tickberry_wire::{Batch, Body, Conditions, Decimal, Epoch, Symbol, Trade, encode};

use super::super::format::FrameHead;
use super::MAX_UNPACKED;
use super::column::{
    ANCHORS, CODES, COMMITTED, CONDITIONS, COUNT, Cursor, ELAPSED, PRICE, RAW, SCALE, SHAPES, SYMBOL,
    SYMBOLS, TIME, VOLUME, unzigzag,
};

/// An unpacked block, to be walked batch by batch. Its buffers are used again for the next one.
#[derive(Default)]
pub(in crate::journal) struct Block {
    bytes: Vec<u8>,
    columns: [Cursor; COUNT],
    series: Vec<Series>,
    lists: Vec<Conditions>,
    epoch: Option<Epoch>,
    next: u64,
    last: Last,
    payload: Vec<u8>,
    trades: Vec<Trade>,
}

/// What the next differences are counted from.
#[derive(Default)]
struct Last {
    elapsed_ms: u64,
    committed: u64,
    anchor_ms: i64,
    symbol: usize,
    time_ms: i64,
}

struct Series {
    symbol: Symbol,
    /// The one scale of all numbers, which then have no trailing zeros; `None` when each has its own.
    price_scale: Option<u8>,
    volume_scale: Option<u8>,
    last_price: i64,
}

impl Block {
    /// Begins with these bytes. What is no block has no batches; that would be a fault of ours, for the checksum was
    /// right.
    pub(in crate::journal) fn unpack(&mut self, epoch: u64, first: u64, packed: &[u8]) {
        self.columns = Default::default();
        self.series.clear();
        self.lists.clear();
        (self.epoch, self.next) = (Epoch::from_raw(epoch), first);
        self.last = Last { committed: first, ..Last::default() };
        if self.open(packed).is_none() {
            self.columns = Default::default();
        }
    }

    fn open(&mut self, packed: &[u8]) -> Option<()> {
        let len = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
        let len = usize::try_from(len).ok().filter(|&len| len <= MAX_UNPACKED)?;
        self.bytes.resize(len, 0);
        if zstd::bulk::decompress_to_buffer(packed, &mut self.bytes).ok()? != len {
            return None;
        }
        let mut lengths = Cursor { at: 0, end: len };
        let mut sizes = [0; COUNT];
        for size in &mut sizes {
            *size = usize::try_from(lengths.take(&self.bytes)?).ok()?;
        }
        let mut at = lengths.at;
        for (column, size) in self.columns.iter_mut().zip(sizes) {
            let end = at.checked_add(size).filter(|&end| end <= len)?;
            *column = Cursor { at, end };
            at = end;
        }
        self.open_symbols()?;
        self.open_lists()
    }

    fn open_symbols(&mut self) -> Option<()> {
        let (column, bytes) = (&mut self.columns[SYMBOLS], &self.bytes);
        while column.at < column.end {
            let symbol = Symbol::new(column.take_text(bytes)?).ok()?;
            let mut scale = || Some(column.take(bytes)?.checked_sub(1).map(|scale| scale as u8));
            let (price_scale, volume_scale) = (scale()?, scale()?);
            self.series.push(Series { symbol, price_scale, volume_scale, last_price: 0 });
        }
        Some(())
    }

    fn open_lists(&mut self) -> Option<()> {
        let (column, bytes) = (&mut self.columns[CODES], &self.bytes);
        while column.at < column.end {
            let count = column.take(bytes)?;
            let codes: Option<Vec<&str>> = (0..count).map(|_| column.take_text(bytes)).collect();
            self.lists.push(Conditions::new(codes?)?);
        }
        Some(())
    }

    /// Makes the next batch that reaches beyond `from`, and tells its fields; its bytes are then [`Block::payload`].
    /// `None` at the end.
    pub(in crate::journal) fn advance(&mut self, from: u64) -> Option<FrameHead> {
        loop {
            let shape = self.take(SHAPES)?;
            let (kept, size) = (shape % 2 == 1, shape / 2);
            let count = if kept { self.take(SHAPES)? } else { size };
            let (first, count) = (self.next, u32::try_from(count).ok()?);
            let end = first.checked_add(u64::from(count))?;
            let wanted = end > from;
            self.payload.clear();
            if kept {
                let bytes = self.columns[RAW].take_bytes(&self.bytes, size)?;
                self.payload.extend_from_slice(bytes);
            } else {
                let batch = self.batch(size)?;
                if wanted {
                    encode(&batch, &mut self.payload).ok()?;
                }
                if let Body::Trades(trades) = batch.body {
                    self.trades = trades;
                }
            }
            self.next = end;
            if wanted {
                return Some(FrameHead { len: self.payload.len() as u32, count, first, committed: 0 });
            }
        }
    }

    /// The batch that was made last.
    pub(in crate::journal) fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn batch(&mut self, count: u64) -> Option<Batch> {
        self.last.elapsed_ms = self.last.elapsed_ms.wrapping_add_signed(unzigzag(self.take(ELAPSED)?));
        self.last.committed = self.last.committed.wrapping_add_signed(unzigzag(self.take(COMMITTED)?));
        let anchor_ms = self.take(ANCHORS)?.checked_sub(1).map(|difference| {
            self.last.anchor_ms = self.last.anchor_ms.wrapping_add(unzigzag(difference));
            self.last.anchor_ms
        });
        let mut trades = std::mem::take(&mut self.trades);
        trades.clear();
        for _ in 0..count {
            trades.push(self.trade()?);
        }
        Some(Batch {
            epoch: self.epoch?,
            first_offset: self.next,
            committed: self.last.committed,
            elapsed_ms: self.last.elapsed_ms,
            anchor_ms,
            body: Body::Trades(trades),
        })
    }

    fn trade(&mut self) -> Option<Trade> {
        let step = usize::try_from(self.take(SYMBOL)?).ok()?;
        let time_ms = self.last.time_ms.wrapping_add(unzigzag(self.take(TIME)?));
        let price = unzigzag(self.take(PRICE)?);
        let volume = self.take(VOLUME)? as i64;
        self.last.symbol = self.last.symbol.checked_add(step)?.checked_rem(self.series.len())?;
        self.last.time_ms = time_ms;
        let series = &mut self.series[self.last.symbol];
        let price = series.last_price.wrapping_add(price);
        series.last_price = price;
        let (scales, bytes) = (&mut self.columns[SCALE], &self.bytes);
        let mut number = |mantissa, scale: Option<u8>| match scale {
            Some(scale) => Decimal::new(mantissa, scale).map(Decimal::normalized),
            None => Decimal::new(mantissa, u8::try_from(scales.take(bytes)?).ok()?),
        };
        let price = number(price, series.price_scale)?;
        let volume = number(volume, series.volume_scale)?;
        let symbol = series.symbol.clone();
        let conditions = if self.lists.is_empty() {
            None
        } else {
            match usize::try_from(self.take(CONDITIONS)?).ok()?.checked_sub(1) {
                Some(list) => Some(self.lists.get(list)?.clone()),
                None => None,
            }
        };
        Some(Trade { symbol, time_ms, price, volume, conditions })
    }

    #[inline]
    fn take(&mut self, column: usize) -> Option<u64> {
        self.columns[column].take(&self.bytes)
    }
}
