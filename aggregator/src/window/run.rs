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
    /// The earliest and the latest time, where all rows up to the batch's end are of one symbol.
    pub(crate) times: Option<Times>,
}

/// The earliest and the latest time of some rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    earliest: i64,
    latest: i64,
}

impl Times {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
        for row in rows {
            earliest = earliest.min(row.time_ms);
            latest = latest.max(row.time_ms);
        }
        Self { earliest, latest }
    }

    /// The latest plausible time of these rows, if there is any.
    pub(crate) fn latest_plausible(self, rows: &[Row]) -> Option<i64> {
        if is_plausible_time(self.latest) {
            return Some(self.latest);
        }
        rows.iter().map(|row| row.time_ms).filter(|time_ms| is_plausible_time(*time_ms)).max()
    }

    fn are_in(self, start: i64) -> bool {
        is_in(self.earliest, start) && is_in(self.latest, start)
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
struct Sums {
    price: i128,
    volume: i128,
    product: i128,
    highest: i64,
    lowest: i64,
}

impl Sums {
    /// In 64 bits, which suffice for nearly all batches. `None` where they could be too few, or a number is
    /// not positive.
    #[inline]
    fn narrow(rows: &[Row], (prices, volumes): (i64, i64)) -> Option<Self> {
        let (mut price, mut volume, mut product) = (0_i64, 0_i64, 0_i64);
        let (mut highest, mut lowest) = (i64::MIN, i64::MAX);
        let (mut volume_bits, mut least) = (0, i64::MAX);
        for row in rows {
            price = price.wrapping_add(row.price);
            volume = volume.wrapping_add(row.volume);
            product = product.wrapping_add(row.price.wrapping_mul(row.volume));
            highest = highest.max(row.price);
            lowest = lowest.min(row.price);
            volume_bits |= row.volume;
            least = least.min(row.volume);
        }
        // As all are positive, none of the sums can be larger than this product.
        let fits = highest.checked_mul(volume_bits)?.checked_mul(rows.len() as i64).is_some();
        let scaled_fit = highest.checked_mul(prices)? <= LIMIT && volume_bits.checked_mul(volumes)? <= LIMIT;
        if !fits || !scaled_fit || lowest <= 0 || least <= 0 {
            return None;
        }
        let (prices, volumes) = (i128::from(prices), i128::from(volumes));
        Some(Self {
            price: i128::from(price) * prices,
            volume: i128::from(volume) * volumes,
            product: i128::from(product).checked_mul(prices * volumes)?,
            highest,
            lowest,
        })
    }

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
    /// Adds rows from the first on, as long as they are trades of this window whose numbers fit; gives how many.
    ///
    /// Small loops, each over the rows with few values at hand: one loop for all would spend its time moving them.
    #[inline(always)]
    pub(crate) fn add_run(&mut self, rows: &[Row], run: &Run) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let Some(factors) = self.factors((first.price_scale, first.volume_scale)) else { return 0 };
        if let Some(times) = run.times
            && times.are_in(run.start)
            && !run.own_scales
            && let Some(sums) = Sums::narrow(rows, factors)
            && self.add_sums(rows, &sums, factors.0, run.trim)
        {
            self.add_ends(rows, times, run, run.offset);
            return rows.len();
        }
        self.add_chunks(rows, run, factors)
    }

    /// The same for rows of several symbols or windows, and for numbers that need 128 bits.
    #[inline(never)]
    fn add_chunks(&mut self, rows: &[Row], run: &Run, factors: (i64, i64)) -> usize {
        let mut done = 0;
        for chunk in rows[..run.length(rows, factors)].chunks(CHUNK) {
            if !self.add_sums(chunk, &Sums::wide(chunk, factors), factors.0, run.trim) {
                break;
            }
            self.add_ends(chunk, Times::of(chunk), run, run.offset + done as u64);
            done += chunk.len();
        }
        done
    }

    /// Adds sums of these rows; false, and nothing added, if 128 bits do not suffice.
    #[inline(always)]
    fn add_sums(&mut self, chunk: &[Row], sums: &Sums, prices: i64, trim: Trim) -> bool {
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

    /// Moves open and close. Of two trades of one millisecond the offset tells which comes first.
    #[inline(always)]
    fn add_ends(&mut self, chunk: &[Row], times: Times, run: &Run, offset: u64) {
        // Feeds send in order, so that each search ends where it begins.
        let Times { earliest, latest } = times;
        let first = chunk.iter().position(|row| row.time_ms == earliest).unwrap_or(0);
        let last = chunk.iter().rposition(|row| row.time_ms == latest).unwrap_or(0);
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
