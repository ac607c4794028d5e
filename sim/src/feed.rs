//! Trades as a feed sends them, with all that is strange about real ones.

use tickberry_wire::{Conditions, Decimal, Symbol, Trade};

use crate::random::Random;

const NAMES: [&str; 4] = ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "AAPL", "OANDA:EUR_USD"];

/// The feed: knows the exchange's time, and what it sent last.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    last: Vec<Trade>,
}

impl Feed {
    /// A frame at this exchange time.
    pub fn frame(
        &mut self,
        now_ms: i64,
        symbols: u64,
        kept_ms: u32,
        many: bool,
        random: &mut Random,
    ) -> Vec<Trade> {
        let count = if many { random.within(200, 1_500) } else { random.within(1, 5) };
        let mut trades: Vec<Trade> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            // Equal in time, price and volume, and still another trade.
            if let Some(last) = trades.last()
                && random.percent(10)
            {
                trades.push(last.clone());
                continue;
            }
            let symbol = NAMES[random.below(symbols) as usize];
            let volume = if random.percent(8) { 0 } else { random.within(1, 90_000) as i64 };
            trades.push(Trade {
                symbol: Symbol::new(symbol).expect("a name without strange characters"),
                time_ms: time(now_ms, kept_ms, random),
                price: decimal(6_000_000 + random.below(9_999) as i64, 2),
                volume: decimal(volume, random.below(6) as u8),
                conditions: random
                    .percent(10)
                    .then(|| Conditions::new(["1", "24"]).expect("two short codes")),
            });
        }
        self.last.clone_from(&trades);
        trades
    }

    /// The last frame once more.
    pub fn repeat(&self) -> Vec<Trade> {
        self.last.clone()
    }
}

fn time(now_ms: i64, kept_ms: u32, random: &mut Random) -> i64 {
    let back = |n: u64| now_ms - n.cast_signed();
    match random.below(100) {
        // Late within the kept hour, and beyond it.
        0..=5 => back(random.below(u64::from(kept_ms))),
        6..=7 => back(u64::from(kept_ms) + random.below(7_200_000)),
        // Implausible, and plausible but far ahead.
        8 => [0, -1, 253_402_300_800_000, 900_000_000_000][random.below(4) as usize],
        9 if random.percent(30) => now_ms + 7_200_000 + random.below(600_000).cast_signed(),
        // Many share a millisecond.
        10..=50 => now_ms - now_ms.rem_euclid(100),
        _ => back(random.below(400)),
    }
}

fn decimal(mantissa: i64, scale: u8) -> Decimal {
    Decimal::new(mantissa, scale).expect("a few digits")
}
