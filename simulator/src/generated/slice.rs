//! Ten seconds of one symbol's trades.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::hours::new_york_open;
use super::level::{activity, level, mix};
use super::profile::{Kind, Profile};
use super::tables::Quantiles;
use crate::trade::{Conditions, Scheduled, Trade, number};

/// Length of a slice: slice `n` begins at `n · SLICE_MS` since 1970.
pub const SLICE_MS: i64 = 10_000;

/// The longest a trade is on its way to the client; the usual time is [`USUAL_DELAY_MS`].
pub(super) const MAX_DELAY_MS: i64 = 1000;
const USUAL_DELAY_MS: i64 = 80;
/// Share of trades that come late, so that trades of a symbol go back in time: 9 of 187 neighbours did.
const LATE: f64 = 0.07;
/// Share of moments that are price updates (volume 0) on a market that has trades.
const PRICE_UPDATES: f64 = 0.002;

/// The trades of slice `index`, in exchange order, each with the time it is released at. `rate` multiplies the
/// measured activity.
pub fn slice(profile: &Profile, index: i64, rate: f64) -> Vec<Scheduled> {
    let from_ms = index.saturating_mul(SLICE_MS);
    let open = match profile.kind {
        Kind::Crypto => true,
        Kind::Stock => new_york_open(from_ms),
        // Forex sleeps over the weekend only: day 0 was a Thursday.
        Kind::Forex => !matches!(from_ms.div_euclid(86_400_000).rem_euclid(7), 2 | 3),
    };
    if !open {
        return Vec::new();
    }
    let rng = Xoshiro256PlusPlus::seed_from_u64(mix(profile.seed ^ mix(index as u64)));
    let mut writer = Writer { profile, rng, trades: Vec::new() };
    let pace = profile.moments_per_s / profile.table.moments_per_s * rate * activity(profile.seed, from_ms);
    let mut at_ms = from_ms as f64 + writer.draw(&profile.table.gap_ms) / pace * writer.rng.random::<f64>();
    let mut price = writer.target(from_ms);
    while at_ms < (from_ms + SLICE_MS) as f64 {
        price = writer.between(price, at_ms as i64);
        price = writer.burst(price, at_ms as i64);
        at_ms += (writer.draw(&profile.table.gap_ms) / pace).max(1.0);
    }
    writer.trades
}

struct Writer<'a> {
    profile: &'a Profile,
    rng: Xoshiro256PlusPlus,
    trades: Vec<Scheduled>,
}

impl Writer<'_> {
    fn draw(&mut self, quantiles: &Quantiles) -> f64 {
        quantiles.draw(&mut self.rng)
    }

    /// The smallest step of a price: stocks have four decimals and are quoted in cents.
    fn tick(&self) -> i64 {
        if self.profile.kind == Kind::Stock { 100 } else { 1 }
    }

    /// Where the price should be, in units of its last decimal.
    fn target(&self, time_ms: i64) -> i64 {
        let price = self.profile.base * level(self.profile.seed, time_ms, self.profile.step).exp();
        let units = price * 10f64.powi(i32::from(self.profile.price_scale)) / self.tick() as f64;
        (units.round() as i64).max(1) * self.tick()
    }

    /// The price of the first trade after `price`: mostly the same, or the other side of the spread; now and then
    /// drawn to where it should be.
    fn between(&mut self, price: i64, time_ms: i64) -> i64 {
        let (same, tick) = self.profile.table.between;
        let draw: f64 = self.rng.random();
        let target = self.target(time_ms);
        if draw < same {
            price
        } else if draw < same + tick {
            price
                + self.tick()
                    * if self.rng.random_bool(if target > price { 0.55 } else { 0.45 }) { 1 } else { -1 }
        } else {
            let towards = (target - price) as f64 * self.rng.random::<f64>();
            price + (towards / self.tick() as f64).round() as i64 * self.tick()
        }
        .max(self.tick())
    }

    /// All trades of one millisecond. Returns the last one's price.
    fn burst(&mut self, mut price: i64, time_ms: i64) -> i64 {
        let table = self.profile.table;
        if self.profile.kind == Kind::Forex || self.rng.random_bool(PRICE_UPDATES) {
            self.push(price, 0, time_ms, Conditions::Null);
            return price;
        }
        let size = self.draw(&table.size) as usize;
        let walks = !self.rng.random_bool(table.stay.powi(size as i32 - 1));
        let up = if self.target(time_ms) > price { 0.8 } else { 0.2 };
        let direction = self.tick() * if self.rng.random_bool(up) { 1 } else { -1 };
        let mean_step = (price as f64 * table.walk.1 / self.tick() as f64).max(0.01);
        // Where one tick is already more than the usual step, it is made more rarely.
        let moves = table.walk.0 * mean_step.min(1.0);
        let mut volume = self.volume();
        for n in 0..size {
            let before = price;
            if n > 0 && walks && self.rng.random_bool(moves) {
                let step = if mean_step <= 1.0 || self.rng.random_bool(0.2) {
                    1
                } else {
                    // Exponentially distributed, at least one tick.
                    1 + (-(1.0 - self.rng.random::<f64>()).ln() * (mean_step - 1.0) * 1.25) as i64
                };
                price = (price + direction * step).max(self.tick());
            }
            if n > 0 {
                let popular = table.popular.iter().any(|&(_, popular)| popular == volume);
                let (of_popular, of_others) = table.repeat;
                // A bot's orders lie in one heap at one price.
                let share =
                    if popular { of_popular } else { of_others } * if price == before { 1.0 } else { 0.5 };
                if !self.rng.random_bool(share) {
                    volume = self.volume();
                }
            }
            let conditions = self.conditions(volume, size);
            let shown = price + self.between_cents(volume);
            self.push(shown, volume, time_ms, conditions);
        }
        price
    }

    fn volume(&mut self) -> u64 {
        let mut draw: f64 = self.rng.random();
        for &(share, volume) in self.profile.table.popular {
            if draw < share {
                return volume;
            }
            draw -= share;
        }
        let units = self.draw(&self.profile.table.volume);
        // The tables hold units of ETH's and BTC's last decimal; a market with fewer decimals deals in fewer units.
        if self.profile.kind == Kind::Crypto && self.profile.volume_scale < 4 {
            return (units as u64).max(1) / 10u64.pow(u32::from(3 - self.profile.volume_scale) / 2) + 1;
        }
        units as u64
    }

    /// Small stock orders are often filled between two cents.
    fn between_cents(&mut self, volume: u64) -> i64 {
        let odd = self.profile.kind == Kind::Stock && volume < 100 && self.rng.random_bool(0.3);
        if odd { self.rng.random_range(1..100) } else { 0 }
    }

    fn conditions(&mut self, volume: u64, size: usize) -> Conditions {
        if self.profile.kind != Kind::Stock {
            return Conditions::Null;
        }
        // 1 regular, 8 sweep, 12 odd lot.
        let sweep = size > 1 && self.rng.random_bool(0.5);
        Conditions::List(match (self.rng.random_range(0..40), sweep, volume < 100) {
            (0, _, _) => &[],
            (_, false, false) => &["1"],
            (_, false, true) => &["1", "12"],
            (_, true, false) => &["1", "8"],
            (_, true, true) => &["1", "8", "12"],
        })
    }

    fn push(&mut self, price: i64, volume: u64, time_ms: i64, conditions: Conditions) {
        let late = if self.rng.random_bool(LATE) {
            self.rng.random_range(1..=MAX_DELAY_MS - USUAL_DELAY_MS)
        } else {
            0
        };
        let trade = Trade {
            symbol: self.profile.symbol.clone(),
            time_ms,
            price: number(price.unsigned_abs(), self.profile.price_scale),
            volume: number(volume, self.profile.volume_scale),
            conditions,
        };
        self.trades.push(Scheduled { release_ms: time_ms + USUAL_DELAY_MS + late, trade });
    }
}
