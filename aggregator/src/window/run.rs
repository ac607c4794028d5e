//! The rows of a batch that go to one and the same window: the loop that everything passes through.

use super::MINUTE_MS;
use super::copies::fingerprint;
use super::exact::{Digits, POW10};
use super::stats::{Key, Stats};
use tickberry_wire::batch::{Group, Precision, Row};
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

/// The earliest and the latest time of some rows, and where they stand. Of two trades of one millisecond the offset
/// tells which comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    earliest: (i64, usize),
    latest: (i64, usize),
}

impl Times {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let (mut earliest, mut latest) = ((i64::MAX, 0), (i64::MIN, 0));
        for (index, row) in rows.iter().enumerate() {
            if row.time_ms < earliest.0 {
                earliest = (row.time_ms, index);
            }
            if row.time_ms >= latest.0 {
                latest = (row.time_ms, index);
            }
        }
        Self { earliest, latest }
    }

    /// The same of rows whose times never go back.
    #[inline(always)]
    pub(crate) fn of_ordered(rows: &[Row]) -> Self {
        let [first, .., last] = rows else { return Self::of(rows) };
        Self { earliest: (first.time_ms, 0), latest: (last.time_ms, rows.len() - 1) }
    }

    /// The latest plausible time of these rows, if there is any.
    #[inline(always)]
    pub(crate) fn latest_plausible(self, rows: &[Row]) -> Option<i64> {
        if is_plausible_time(self.latest.0) {
            return Some(self.latest.0);
        }
        rows.iter().map(|row| row.time_ms).filter(|time_ms| is_plausible_time(*time_ms)).max()
    }

    #[inline(always)]
    pub(crate) fn are_in(self, start: i64) -> bool {
        is_in(self.earliest.0, start) && is_in(self.latest.0, start)
    }
}

#[inline]
fn is_in(time_ms: i64, start: i64) -> bool {
    (time_ms.wrapping_sub(start) as u64) < MINUTE_MS as u64
}

/// Whether a symbol's numbers were sent without zeros at their end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trim {
    pub(crate) price: bool,
    pub(crate) volume: bool,
}

impl Trim {
    pub(crate) fn of(group: &Group) -> Self {
        let is_minimal = |precision| precision == Precision::Minimal;
        Self { price: is_minimal(group.price_precision), volume: is_minimal(group.volume_precision) }
    }

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

/// Sums and extremes of some rows.
pub(crate) struct Sums<N> {
    price: N,
    volume: N,
    product: N,
    highest: i64,
    lowest: i64,
}

/// Of rows that were looked at once only.
pub(crate) struct Narrow {
    sums: Sums<i64>,
    /// No volume is larger.
    volume_bound: i64,
    /// See [`frame_fingerprint`].
    pub(crate) frame: u64,
}

impl Narrow {
    /// In 64 bits, which suffice for nearly all batches. `None` where they could be too few, or a number is
    /// not positive: then it may be a price update.
    #[inline(always)]
    pub(crate) fn of(rows: &[Row], symbol: u64) -> Option<Self> {
        let (mut price, mut volume, mut product) = (0_i64, 0_i64, 0_i64);
        let (mut highest, mut lowest) = (i64::MIN, i64::MAX);
        let (mut volume_bound, mut least, mut frame) = (0, i64::MAX, 0_u64);
        for row in rows {
            price = price.wrapping_add(row.price);
            volume = volume.wrapping_add(row.volume);
            product = product.wrapping_add(row.price.wrapping_mul(row.volume));
            highest = highest.max(row.price);
            lowest = lowest.min(row.price);
            volume_bound |= row.volume;
            least = least.min(row.volume);
            frame = frame.wrapping_add(fingerprint(symbol, row.time_ms, row.price, row.volume));
        }
        // As all are positive, none of the sums can be larger than this product.
        let fits = highest.checked_mul(volume_bound)?.checked_mul(rows.len() as i64).is_some();
        let sums = Sums { price, volume, product, highest, lowest };
        (fits && lowest > 0 && least > 0).then_some(Self { sums, volume_bound, frame })
    }

    /// The sums of the numbers multiplied by these; `None` where a number or a sum would be too large.
    #[inline(always)]
    fn scaled(&self, (prices, volumes): (i64, i64)) -> Option<Sums<i128>> {
        let Sums { price, volume, product, highest, lowest } = self.sums;
        let wide =
            Sums { price: price.into(), volume: volume.into(), product: product.into(), highest, lowest };
        if (prices, volumes) == (1, 1) {
            return Some(wide);
        }
        let in_range =
            highest.checked_mul(prices)? <= LIMIT && self.volume_bound.checked_mul(volumes)? <= LIMIT;
        let factor = i128::from(prices) * i128::from(volumes);
        let product = wide.product.checked_mul(factor).filter(|_| in_range)?;
        Some(Sums {
            price: wide.price * i128::from(prices),
            volume: wide.volume * i128::from(volumes),
            product,
            ..wide
        })
    }
}

impl Sums<i128> {
    /// At most [`CHUNK`] rows.
    #[inline]
    fn wide(chunk: &[Row], (prices, volumes): (i64, i64)) -> Self {
        let mut sums = Self { price: 0, volume: 0, product: 0, highest: i64::MIN, lowest: i64::MAX };
        for row in chunk {
            let (price, volume) = (row.price * prices, row.volume * volumes);
            sums.price += i128::from(price);
            sums.volume += i128::from(volume);
            sums.product += i128::from(price) * i128::from(volume);
            sums.highest = sums.highest.max(row.price);
            sums.lowest = sums.lowest.min(row.price);
        }
        sums
    }
}

impl Stats {
    /// Adds rows that are all trades of this window, at one scale; `None`, and nothing added, if 128 bits do not suffice.
    /// `first` is epoch and offset of the first row.
    #[inline(always)]
    pub(crate) fn add_whole(
        &mut self,
        rows: &[Row],
        narrow: &Narrow,
        times: &Times,
        first: (u64, u64),
        trim: Trim,
    ) -> Option<()> {
        let scales = rows.first()?;
        let factors = self.factors((scales.price_scale, scales.volume_scale))?;
        let sums = narrow.scaled(factors)?;
        self.add_sums(rows, &sums, factors.0, trim).then(|| self.add_ends(rows, times, first, trim))
    }

    /// Adds rows from the first on, as long as they are trades of this window whose numbers fit; gives how many.
    pub(crate) fn add_run(&mut self, rows: &[Row], run: &Run) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let Some(factors) = self.factors((first.price_scale, first.volume_scale)) else { return 0 };
        let mut done = 0;
        for chunk in rows[..run.length(rows, factors)].chunks(CHUNK) {
            if !self.add_sums(chunk, &Sums::wide(chunk, factors), factors.0, run.trim) {
                break;
            }
            self.add_ends(chunk, &Times::of(chunk), (run.epoch, run.offset + done as u64), run.trim);
            done += chunk.len();
        }
        done
    }

    /// Adds sums of these rows; false, and nothing added, if 128 bits do not suffice.
    #[inline(always)]
    fn add_sums(&mut self, chunk: &[Row], sums: &Sums<i128>, prices: i64, trim: Trim) -> bool {
        let (Some(price), Some(volume), Some(product)) = (
            self.price.checked_add(sums.price),
            self.volume.checked_add(sums.volume),
            self.product.checked_add(sums.product),
        ) else {
            return false;
        };
        (self.price, self.volume, self.product) = (price, volume, product);
        self.count += chunk.len() as u64;
        let sent = |price| Digits { mantissa: price, scale: chunk[0].price_scale, trim: trim.price };
        let (highest, lowest) = (sent(sums.highest), sent(sums.lowest));
        let (high_at, low_at) = (highest.mantissa * prices, lowest.mantissa * prices);
        if high_at > self.high_at {
            (self.high, self.high_at) = (highest, high_at);
        } else if high_at == self.high_at && highest != self.high {
            self.high = self.high.shorter(highest);
        }
        if low_at < self.low_at {
            (self.low, self.low_at) = (lowest, low_at);
        } else if low_at == self.low_at && lowest != self.low {
            self.low = self.low.shorter(lowest);
        }
        true
    }

    /// Moves open and close.
    #[inline(always)]
    fn add_ends(&mut self, rows: &[Row], times: &Times, (epoch, offset): (u64, u64), trim: Trim) {
        let key = |(time_ms, index)| Key { time_ms, epoch, offset: offset + index as u64 };
        let Times { earliest, latest } = *times;
        if latest.0 >= self.last.time_ms && key(latest) > self.last {
            (self.last, self.close) = (key(latest), trim.price(&rows[latest.1]));
        }
        if earliest.0 <= self.first.time_ms && key(earliest) < self.first {
            (self.first, self.open) = (key(earliest), trim.price(&rows[earliest.1]));
        }
    }

    /// What numbers of these scales are multiplied by to be at the working scales, where those are not finer.
    #[inline(always)]
    fn factors(&self, (price_scale, volume_scale): (u8, u8)) -> Option<(i64, i64)> {
        if self.wide.is_some() {
            return None;
        }
        if (price_scale, volume_scale) == (self.price_scale, self.volume_scale) {
            return Some((1, 1));
        }
        let factor = |to: u8, from: u8| POW10.get(usize::from(to.checked_sub(from)?)).copied();
        Some((factor(self.price_scale, price_scale)?, factor(self.volume_scale, volume_scale)?))
    }
}

impl Run {
    /// How many rows from the first on are trades of the symbol and the window, at one scale, with numbers that fit.
    fn length(&self, rows: &[Row], (prices, volumes): (i64, i64)) -> usize {
        let of_run = |row: &Row| row.group == self.group && is_in(row.time_ms, self.start) && row.volume != 0;
        let up_to = |end: usize, all: &dyn Fn(&Row) -> bool| {
            rows[..end].iter().position(|row| !all(row)).unwrap_or(end)
        };
        let mut length = rows.iter().position(|row| !of_run(row)).unwrap_or(rows.len());
        if self.own_scales {
            let scales = |row: &Row| (row.price_scale, row.volume_scale);
            length = up_to(length, &|row| scales(row) == scales(&rows[0]));
        }
        if prices != 1 || volumes != 1 {
            let (price_limit, volume_limit) = ((LIMIT / prices) as u64, (LIMIT / volumes) as u64);
            length = up_to(length, &|row| {
                row.price.unsigned_abs() <= price_limit && row.volume.unsigned_abs() <= volume_limit
            });
        }
        length
    }
}

/// Fingerprint of a frame from these rows on, in any order; `symbols` are those of the groups.
pub(crate) fn frame_fingerprint(rows: &[Row], symbol: impl Fn(u16) -> u64) -> u64 {
    rows.iter().fold(0, |sum: u64, row| {
        sum.wrapping_add(fingerprint(symbol(row.group), row.time_ms, row.price, row.volume))
    })
}
