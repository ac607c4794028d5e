//! What was measured, as tables the generator draws from. BTC and ETH: 9,757 and 6,106 recorded Binance trades of
//! 2024-08-08; stocks: the AAPL and TSLA trades among the real Finnhub frames.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// An inverse distribution function: (share of draws below, value), rising. Between two knots the value grows
/// geometrically, which suits the heavy tails of everything here.
#[derive(Debug)]
pub(super) struct Quantiles(pub(super) &'static [(f64, f64)]);

impl Quantiles {
    pub(super) fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let share: f64 = rng.random();
        let above = self.0.partition_point(|knot| knot.0 < share).clamp(1, self.0.len() - 1);
        let ((from, low), (to, high)) = (self.0[above - 1], self.0[above]);
        low * (high / low).powf(((share - from) / (to - from)).clamp(0.0, 1.0))
    }
}

/// The measured shape of one market.
#[derive(Debug)]
pub(super) struct Table {
    /// Distinct milliseconds with trades, per second.
    pub(super) moments_per_s: f64,
    /// Typical move of the price within a second, as a share of it.
    pub(super) step: f64,
    /// Milliseconds from one such moment to the next.
    pub(super) gap_ms: Quantiles,
    /// Trades that share one millisecond (rounded down).
    pub(super) size: Quantiles,
    /// Volumes, in units of the last decimal (rounded down).
    pub(super) volume: Quantiles,
    /// (share, volume): bots that trade the same tiny amount all day.
    pub(super) popular: &'static [(f64, u64)],
    /// Share of trades in a burst that repeat the volume of the one before at an unchanged price: a popular one, any
    /// other one. Half of it where the price has moved.
    pub(super) repeat: (f64, f64),
    /// A burst of n trades walks through the book unless n − 1 draws with this share all come true.
    pub(super) stay: f64,
    /// Share of trades in a walk that are at a new price, and the mean step as a share of the price.
    pub(super) walk: (f64, f64),
    /// Between moments: share of unchanged prices, and of moves by one tick.
    pub(super) between: (f64, f64),
}

pub(super) static BTC: Table = Table {
    moments_per_s: 9.31,
    step: 4.6e-5,
    gap_ms: Quantiles(&[
        (0.0, 1.0),
        (0.12, 1.4),
        (0.2, 3.0),
        (0.3, 6.0),
        (0.4, 11.0),
        (0.5, 26.0),
        (0.6, 56.0),
        (0.7, 103.0),
        (0.8, 174.0),
        (0.9, 314.0),
        (0.95, 492.0),
        (0.98, 695.0),
        (0.99, 844.0),
        (0.995, 1016.0),
        (0.999, 1213.0),
        (1.0, 2014.0),
    ]),
    size: Quantiles(&[
        (0.0, 1.0),
        (0.703, 1.99),
        (0.80, 2.99),
        (0.85, 4.3),
        (0.9, 6.5),
        (0.93, 8.5),
        (0.95, 10.5),
        (0.97, 14.5),
        (0.98, 18.5),
        (0.99, 24.5),
        (0.995, 33.0),
        (0.998, 82.0),
        (0.999, 161.0),
        (1.0, 735.0),
    ]),
    volume: Quantiles(&[
        (0.0, 1.0),
        (0.02, 4.0),
        (0.1, 10.0),
        (0.2, 13.0),
        (0.3, 22.0),
        (0.4, 44.0),
        (0.5, 140.0),
        (0.6, 600.0),
        (0.7, 1500.0),
        (0.8, 2400.0),
        (0.9, 6500.0),
        (0.95, 12000.0),
        (0.99, 34000.0),
        (1.0, 98261.0),
    ]),
    popular: &[(0.075, 9), (0.022, 10), (0.01, 40), (0.01, 2000)],
    repeat: (0.82, 0.13),
    stay: 0.79,
    walk: (0.47, 1.7e-6),
    between: (0.56, 0.31),
};

pub(super) static ETH: Table = Table {
    moments_per_s: 5.58,
    step: 6.3e-5,
    gap_ms: Quantiles(&[
        (0.0, 1.0),
        (0.12, 1.4),
        (0.2, 3.0),
        (0.3, 5.0),
        (0.4, 11.0),
        (0.5, 27.0),
        (0.6, 73.0),
        (0.7, 153.0),
        (0.8, 299.0),
        (0.9, 586.0),
        (0.95, 846.0),
        (0.98, 1170.0),
        (0.99, 1483.0),
        (0.995, 1770.0),
        (0.999, 3032.0),
        (1.0, 3787.0),
    ]),
    size: Quantiles(&[
        (0.0, 1.0),
        (0.57, 1.99),
        (0.72, 2.99),
        (0.8, 4.5),
        (0.85, 6.5),
        (0.9, 8.5),
        (0.93, 9.7),
        (0.95, 11.7),
        (0.97, 14.7),
        (0.98, 17.7),
        (0.99, 22.5),
        (0.995, 27.5),
        (0.998, 36.0),
        (0.999, 48.0),
        (1.0, 219.0),
    ]),
    volume: Quantiles(&[
        (0.0, 1.0),
        (0.03, 8.0),
        (0.1, 20.0),
        (0.2, 25.0),
        (0.3, 41.0),
        (0.4, 110.0),
        (0.5, 420.0),
        (0.6, 1100.0),
        (0.7, 2300.0),
        (0.8, 5000.0),
        (0.9, 13000.0),
        (0.95, 22000.0),
        (0.99, 57000.0),
        (1.0, 522_222.0),
    ]),
    popular: &[(0.12, 20), (0.01, 6), (0.01, 39), (0.006, 1000)],
    repeat: (0.75, 0.17),
    stay: 0.84,
    walk: (0.38, 1.6e-5),
    between: (0.55, 0.28),
};

pub(super) static STOCK: Table = Table {
    moments_per_s: 3.0,
    step: 4e-5,
    gap_ms: Quantiles(&[
        (0.0, 1.0),
        (0.2, 6.0),
        (0.4, 60.0),
        (0.6, 190.0),
        (0.8, 500.0),
        (0.95, 1300.0),
        (1.0, 4000.0),
    ]),
    size: Quantiles(&[
        (0.0, 1.0),
        (0.65, 1.99),
        (0.8, 2.99),
        (0.9, 5.0),
        (0.97, 10.0),
        (0.995, 20.0),
        (1.0, 60.0),
    ]),
    volume: Quantiles(&[
        (0.0, 1.0),
        (0.35, 1.99),
        (0.5, 8.0),
        (0.6, 30.0),
        (0.7, 99.0),
        (0.85, 200.0),
        (0.97, 900.0),
        (1.0, 20000.0),
    ]),
    popular: &[(0.22, 100)],
    repeat: (0.3, 0.1),
    stay: 0.9,
    walk: (0.3, 5e-5),
    between: (0.5, 0.3),
};
