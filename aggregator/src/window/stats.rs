//! The exact numbers of one window.

use super::exact::{Digits, Exact, POW10, pow10};
use super::ratio::ratio_to_f64;
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A trade's place in the order that decides open and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) time_ms: i64,
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
}

/// One trade as the fold sees it: integers and their scales.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) key: Key,
    pub(crate) price: Digits,
    pub(crate) volume: Digits,
}

/// Count, sums and marks of the trades of one window. Order of arrival leaves no trace in its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    pub(super) count: u64,
    pub(super) first: Key,
    pub(super) last: Key,
    pub(super) open: Digits,
    pub(super) close: Digits,
    pub(super) high: Digits,
    pub(super) low: Digits,
    /// Working scales: the largest sent so far. Sums, `high_at` and `low_at` are at these.
    pub(super) price_scale: u8,
    pub(super) volume_scale: u8,
    pub(super) high_at: i64,
    pub(super) low_at: i64,
    pub(super) price: i128,
    pub(super) volume: i128,
    pub(super) product: i128,
    /// The sums once 128 bits (or 64 for a price) do not suffice; the fields above then hold nothing of use.
    pub(super) wide: Option<Box<Wide>>,
}

#[derive(Clone, Debug)]
pub(super) struct Wide {
    price: BigInt,
    volume: BigInt,
    product: BigInt,
}

impl Stats {
    /// A window begins with its first trade.
    pub(crate) fn new(item: &Item) -> Self {
        let Item { key, price, volume } = *item;
        Self {
            count: 1,
            first: key,
            last: key,
            open: price,
            close: price,
            high: price,
            low: price,
            price_scale: price.scale,
            volume_scale: volume.scale,
            high_at: price.mantissa,
            low_at: price.mantissa,
            price: i128::from(price.mantissa),
            volume: i128::from(volume.mantissa),
            product: i128::from(price.mantissa) * i128::from(volume.mantissa),
            wide: None,
        }
    }

    /// Adds one trade.
    pub(crate) fn add(&mut self, item: &Item) {
        let Item { key, price, volume } = *item;
        if key > self.last {
            self.last = key;
            self.close = price;
        } else if key < self.first {
            self.first = key;
            self.open = price;
        }
        self.count += 1;
        if price.scale == self.price_scale && volume.scale == self.volume_scale && self.wide.is_none() {
            self.add_at(price, price.mantissa, volume.mantissa);
        } else {
            self.add_scaled(price, volume);
        }
    }

    /// Adds numbers that are at the working scales already.
    fn add_at(&mut self, sent: Digits, price: i64, volume: i64) {
        let sums = (
            self.price.checked_add(i128::from(price)),
            self.volume.checked_add(i128::from(volume)),
            self.product.checked_add(i128::from(price) * i128::from(volume)),
        );
        let (Some(price_sum), Some(volume_sum), Some(product_sum)) = sums else {
            return self.add_wide(sent, Digits { mantissa: volume, scale: self.volume_scale, trim: false });
        };
        (self.price, self.volume, self.product) = (price_sum, volume_sum, product_sum);
        if price >= self.high_at && (price > self.high_at || sent != self.high) {
            self.high = highest(self.high, sent);
            self.high_at = price;
        }
        if price <= self.low_at && (price < self.low_at || sent != self.low) {
            self.low = lowest(self.low, sent);
            self.low_at = price;
        }
    }

    fn add_scaled(&mut self, price: Digits, volume: Digits) {
        if self.wide.is_none()
            && self.rescale(price.scale, volume.scale)
            && let Some(price_at) = scaled(price, self.price_scale)
            && let Some(volume_at) = scaled(volume, self.volume_scale)
        {
            self.add_at(price, price_at, volume_at);
        } else {
            self.add_wide(price, volume);
        }
    }

    /// Raises the working scales to at least these; false, and nothing changed, where a number would overflow.
    fn rescale(&mut self, price_scale: u8, volume_scale: u8) -> bool {
        let up = |from: u8, to: u8| POW10.get(usize::from(to.saturating_sub(from))).copied();
        let (Some(prices), Some(volumes)) =
            (up(self.price_scale, price_scale), up(self.volume_scale, volume_scale))
        else {
            return false;
        };
        let (Some(high_at), Some(low_at), Some(price), Some(volume), Some(product)) = (
            self.high_at.checked_mul(prices),
            self.low_at.checked_mul(prices),
            self.price.checked_mul(i128::from(prices)),
            self.volume.checked_mul(i128::from(volumes)),
            self.product.checked_mul(i128::from(prices) * i128::from(volumes)),
        ) else {
            return false;
        };
        (self.high_at, self.low_at) = (high_at, low_at);
        (self.price, self.volume, self.product) = (price, volume, product);
        self.price_scale = self.price_scale.max(price_scale);
        self.volume_scale = self.volume_scale.max(volume_scale);
        true
    }

    #[cold]
    fn add_wide(&mut self, price: Digits, volume: Digits) {
        let mut wide = self.wide.take().unwrap_or_else(|| {
            Box::new(Wide {
                price: self.price.into(),
                volume: self.volume.into(),
                product: self.product.into(),
            })
        });
        let prices = pow10(price.scale.saturating_sub(self.price_scale).into());
        let volumes = pow10(volume.scale.saturating_sub(self.volume_scale).into());
        self.price_scale = self.price_scale.max(price.scale);
        self.volume_scale = self.volume_scale.max(volume.scale);
        let price_at = BigInt::from(price.mantissa) * pow10((self.price_scale - price.scale).into());
        let volume_at = BigInt::from(volume.mantissa) * pow10((self.volume_scale - volume.scale).into());
        wide.price = wide.price * &prices + &price_at;
        wide.volume = wide.volume * &volumes + &volume_at;
        wide.product = wide.product * (prices * volumes) + price_at * volume_at;
        self.high = highest(self.high, price);
        self.low = lowest(self.low, price);
        self.wide = Some(wide);
    }

    /// How many trades.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Where the first and the last trade stand.
    pub(crate) fn ends(&self) -> (Key, Key) {
        (self.first, self.last)
    }

    /// Open, high, low and close.
    pub(crate) fn prices(&self) -> [Digits; 4] {
        [self.open, self.high, self.low, self.close]
    }

    /// The sum of the volumes: mantissa and scale.
    pub(crate) fn volume_sum(&self) -> (BigInt, u8) {
        (self.sums().1, self.volume_scale)
    }

    /// The sum of the volumes.
    pub(crate) fn volume(&self) -> Exact {
        let (mantissa, scale) = self.volume_sum();
        Exact::new(mantissa, scale.into())
    }

    /// The mean of the prices.
    pub(crate) fn average_price(&self) -> f64 {
        let divisor = pow10(self.price_scale.into()) * self.count;
        ratio_to_f64(&self.sums().0, &divisor).unwrap_or_default()
    }

    /// The mean of the prices weighted by volume. Volumes that sum to zero (some negative ones would) weigh nothing:
    /// then it is the plain mean.
    pub(crate) fn vwap(&self) -> f64 {
        let (_, volume, product) = self.sums();
        ratio_to_f64(&product, &(volume * pow10(self.price_scale.into())))
            .unwrap_or_else(|| self.average_price())
    }

    fn sums(&self) -> (BigInt, BigInt, BigInt) {
        match &self.wide {
            Some(wide) => (wide.price.clone(), wide.volume.clone(), wide.product.clone()),
            None => (self.price.into(), self.volume.into(), self.product.into()),
        }
    }
}

/// `digits` at a scale not below its own, if that fits.
fn scaled(digits: Digits, scale: u8) -> Option<i64> {
    digits.mantissa.checked_mul(*POW10.get(usize::from(scale - digits.scale))?)
}

/// The higher one; of equal values the shorter text.
pub(crate) fn highest(a: Digits, b: Digits) -> Digits {
    match a.value_order(b) {
        Ordering::Less => b,
        Ordering::Greater => a,
        Ordering::Equal => a.shorter(b),
    }
}

/// The lower one; of equal values the shorter text.
pub(crate) fn lowest(a: Digits, b: Digits) -> Digits {
    match a.value_order(b) {
        Ordering::Less => a,
        Ordering::Greater => b,
        Ordering::Equal => a.shorter(b),
    }
}

/// Serialized form: the sums as the big integers' bytes, whichever way they are held.
#[derive(Serialize, Deserialize)]
struct Frozen {
    count: u64,
    first: Key,
    last: Key,
    prices: [Digits; 4],
    scales: (u8, u8),
    sums: [Vec<u8>; 3],
}

impl Serialize for Stats {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (price, volume, product) = self.sums();
        Frozen {
            count: self.count,
            first: self.first,
            last: self.last,
            prices: self.prices(),
            scales: (self.price_scale, self.volume_scale),
            sums: [price, volume, product].map(|sum| sum.to_signed_bytes_le()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stats {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let frozen = Frozen::deserialize(deserializer)?;
        let [open, high, low, close] = frozen.prices;
        let [price, volume, product] = frozen.sums.map(|sum| BigInt::from_signed_bytes_le(&sum));
        let (price_scale, volume_scale) = frozen.scales;
        let too_fine = frozen.prices.iter().any(|digits| digits.scale > price_scale);
        if too_fine || frozen.count == 0 {
            return Err(serde::de::Error::custom("a window's scales do not agree"));
        }
        let at = |digits: Digits| scaled(digits, price_scale);
        let narrow =
            (at(high), at(low), i128::try_from(&price), i128::try_from(&volume), i128::try_from(&product));
        let mut stats = Self {
            count: frozen.count,
            first: frozen.first,
            last: frozen.last,
            open,
            close,
            high,
            low,
            price_scale,
            volume_scale,
            high_at: 0,
            low_at: 0,
            price: 0,
            volume: 0,
            product: 0,
            wide: None,
        };
        if let (Some(high_at), Some(low_at), Ok(price), Ok(volume), Ok(product)) = narrow {
            (stats.high_at, stats.low_at) = (high_at, low_at);
            (stats.price, stats.volume, stats.product) = (price, volume, product);
        } else {
            stats.wide = Some(Box::new(Wide { price, volume, product }));
        }
        Ok(stats)
    }
}
