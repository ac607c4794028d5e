//! The rows of a batch that go to one and the same window: the loop that everything passes through.

use super::MINUTE_MS;
use super::copies::fingerprint;
use super::exact::{Digits, POW10};
use super::stats::{Key, Stats};
use tickberry_wire::batch::Row;
use tickberry_wire::{Decimal, is_plausible_time};

/// What is the same for all rows of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Index of the symbol in the batch.
    pub(crate) group: u16,
    /// Start of the window.
    pub(crate) start: i64,
    pub(crate) epoch: u64,
    /// Offset of the first row.
    pub(crate) offset: u64,
    pub(crate) trim: Trim,
    /// Each row has scales of its own; else they are the same in the whole group.
    pub(crate) own_scales: bool,
}

/// Whether a symbol's numbers were sent without zeros at their end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim {
    pub(crate) price: bool,
    pub(crate) volume: bool,
}

impl Trim {
    pub(crate) fn price(self, row: &Row) -> Digits {
        Digits { mantissa: row.price, scale: row.price_scale, trim: self.price }
    }

    pub(crate) fn volume(self, row: &Row) -> Digits {
        Digits { mantissa: row.volume, scale: row.volume_scale, trim: self.volume }
    }
}

/// So many products of numbers below 10^18 sum up in 128 bits, so that only the sums have to be looked at.
const CHUNK: usize = 128;
/// What a decimal's mantissa stays below.
const LIMIT: i64 = Decimal::MANTISSA_LIMIT - 1;

impl Stats {
    /// Adds rows from the first on, as long as they are trades of this window whose numbers fit; gives how many.
    ///
    /// Small loops, each over a few rows with few values at hand: one loop for all would spend its time moving them.
    #[inline(never)]
    pub(crate) fn add_run(&mut self, rows: &[Row], run: &Run) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let scales = (first.price_scale, first.volume_scale);
        let Some((prices, volumes)) = self.factors(scales) else { return 0 };
        let is_of_run = |row: &Row| {
            row.group == run.group
                && (row.time_ms.wrapping_sub(run.start) as u64) < MINUTE_MS as u64
                && row.volume != 0
        };
        let mut length = rows.iter().position(|row| !is_of_run(row)).unwrap_or(rows.len());
        if run.own_scales {
            let same = |row: &Row| (row.price_scale, row.volume_scale) == scales;
            length = rows[..length].iter().position(|row| !same(row)).unwrap_or(length);
        }
        if prices != 1 || volumes != 1 {
            let (price_limit, volume_limit) = ((LIMIT / prices) as u64, (LIMIT / volumes) as u64);
            let fits = |row: &Row| {
                row.price.unsigned_abs() <= price_limit && row.volume.unsigned_abs() <= volume_limit
            };
            length = rows[..length].iter().position(|row| !fits(row)).unwrap_or(length);
        }
        let mut done = 0;
        for chunk in rows[..length].chunks(CHUNK) {
            if !self.add_sums(chunk, prices, volumes) {
                break;
            }
            self.add_extremes(chunk, prices, run.trim);
            self.add_ends(chunk, run, run.offset + done as u64);
            done += chunk.len();
        }
        self.count += done as u64;
        done
    }

    /// False, and nothing added, if 128 bits do not suffice.
    #[inline]
    fn add_sums(&mut self, chunk: &[Row], prices: i64, volumes: i64) -> bool {
        let (mut price_sum, mut volume_sum, mut product_sum) = (0_i128, 0_i128, 0_i128);
        for row in chunk {
            let (price, volume) = (row.price * prices, row.volume * volumes);
            price_sum += i128::from(price);
            volume_sum += i128::from(volume);
            product_sum += i128::from(price) * i128::from(volume);
        }
        let (Some(price), Some(volume), Some(product)) = (
            self.price.checked_add(price_sum),
            self.volume.checked_add(volume_sum),
            self.product.checked_add(product_sum),
        ) else {
            return false;
        };
        (self.price, self.volume, self.product) = (price, volume, product);
        true
    }

    #[inline]
    fn add_extremes(&mut self, chunk: &[Row], prices: i64, trim: Trim) {
        let (mut highest, mut lowest) = (i64::MIN, i64::MAX);
        for row in chunk {
            highest = highest.max(row.price);
            lowest = lowest.min(row.price);
        }
        let sent = |price| Digits { mantissa: price, scale: chunk[0].price_scale, trim: trim.price };
        let (high_at, low_at) = (highest * prices, lowest * prices);
        if high_at > self.high_at {
            (self.high, self.high_at) = (sent(highest), high_at);
        } else if high_at == self.high_at && sent(highest) != self.high {
            self.high = self.high.shorter(sent(highest));
        }
        if low_at < self.low_at {
            (self.low, self.low_at) = (sent(lowest), low_at);
        } else if low_at == self.low_at && sent(lowest) != self.low {
            self.low = self.low.shorter(sent(lowest));
        }
    }

    /// Moves open and close. Of two trades of one millisecond the offset tells which comes first.
    #[inline]
    fn add_ends(&mut self, chunk: &[Row], run: &Run, offset: u64) {
        let (mut first, mut last) = (0, 0);
        let (mut earliest, mut latest) = (chunk[0].time_ms, chunk[0].time_ms);
        for (index, row) in chunk.iter().enumerate().skip(1) {
            let (earlier, later) = (row.time_ms < earliest, row.time_ms >= latest);
            first = if earlier { index } else { first };
            earliest = if earlier { row.time_ms } else { earliest };
            last = if later { index } else { last };
            latest = if later { row.time_ms } else { latest };
        }
        let key = |index: usize, time_ms| Key { time_ms, epoch: run.epoch, offset: offset + index as u64 };
        let price = |index: usize| run.trim.price(&chunk[index]);
        if latest >= self.last.time_ms && key(last, latest) > self.last {
            (self.last, self.close) = (key(last, latest), price(last));
        }
        if earliest <= self.first.time_ms && key(first, earliest) < self.first {
            (self.first, self.open) = (key(first, earliest), price(first));
        }
    }

    /// What numbers of these scales are multiplied by to be at the working scales, where those are not finer.
    #[inline]
    fn factors(&self, (price_scale, volume_scale): (u8, u8)) -> Option<(i64, i64)> {
        if self.wide.is_some() {
            return None;
        }
        let factor = |to: u8, from: u8| POW10.get(usize::from(to.checked_sub(from)?)).copied();
        Some((factor(self.price_scale, price_scale)?, factor(self.volume_scale, volume_scale)?))
    }
}

/// Fingerprint of a frame from these rows on, in any order; `symbols` are those of the groups.
pub(crate) fn frame_fingerprint(rows: &[Row], symbol: impl Fn(u16) -> u64) -> u64 {
    rows.iter().fold(0, |sum: u64, row| {
        sum.wrapping_add(fingerprint(symbol(row.group), row.time_ms, row.price, row.volume))
    })
}

/// The latest plausible time, if there is any.
pub(crate) fn latest_time(rows: &[Row]) -> Option<i64> {
    let latest = rows.iter().map(|row| row.time_ms).max()?;
    if is_plausible_time(latest) {
        return Some(latest);
    }
    rows.iter().map(|row| row.time_ms).filter(|time_ms| is_plausible_time(*time_ms)).max()
}
