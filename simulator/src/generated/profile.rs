//! How a symbol trades: its decimals, price, activity.

use super::level::{mix, seed_of};
use super::tables::{BTC, ETH, STOCK, Table};

/// What sort of market a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Trades at all hours; fractions as volumes; no conditions.
    Crypto,
    /// Trades in New York hours; whole volumes; conditions.
    Stock,
    /// Price updates only (volume 0), Monday to Friday.
    Forex,
}

/// What the generator needs to know of a symbol.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its market.
    pub kind: Kind,
    /// The symbol as subscribed to.
    pub symbol: std::sync::Arc<str>,
    /// The price about which it wanders.
    pub base: f64,
    /// Decimals of its prices.
    pub price_scale: u8,
    /// Decimals of its volumes.
    pub volume_scale: u8,
    /// Moments with trades per second.
    pub(super) moments_per_s: f64,
    /// Typical move within a second, as a share of the price.
    pub(super) step: f64,
    /// Measured distributions.
    pub(super) table: &'static Table,
    /// Everything random of this symbol follows from this.
    pub(super) seed: u64,
}

/// (symbol, base price, price decimals, volume decimals, activity as a share of the table's). BINANCE spot.
const CRYPTO: &[(&str, f64, u8, u8, f64)] = &[
    ("BTCUSDT", 61_830.0, 2, 5, 1.0),
    ("ETHUSDT", 2_682.0, 2, 4, 1.0),
    ("BNBUSDT", 512.0, 2, 3, 0.4),
    ("SOLUSDT", 162.0, 2, 3, 0.7),
    ("XRPUSDT", 0.61, 4, 0, 0.4),
    ("DOGEUSDT", 0.104, 5, 0, 0.4),
    ("ADAUSDT", 0.345, 4, 1, 0.2),
    ("TRXUSDT", 0.127, 4, 1, 0.2),
    ("AVAXUSDT", 22.6, 2, 2, 0.2),
    ("LINKUSDT", 10.4, 2, 2, 0.2),
    ("LTCUSDT", 60.4, 2, 3, 0.15),
    ("DOTUSDT", 4.6, 3, 2, 0.15),
    ("SHIBUSDT", 0.000_013_9, 8, 0, 0.3),
    ("PEPEUSDT", 0.000_008_3, 8, 0, 0.5),
    ("ETHBTC", 0.043_37, 5, 4, 0.1),
    ("BTCEUR", 56_500.0, 2, 5, 0.1),
];

/// (symbol, base price, activity)
const STOCKS: &[(&str, f64, f64)] = &[
    ("AAPL", 228.0, 1.0),
    ("TSLA", 248.0, 1.2),
    ("NVDA", 131.0, 1.5),
    ("MSFT", 417.0, 0.7),
    ("AMZN", 196.0, 0.8),
    ("GOOG", 172.0, 0.5),
    ("META", 571.0, 0.5),
    ("SPY", 579.0, 1.2),
    ("QQQ", 494.0, 0.9),
    ("XOM", 119.0, 0.3),
];

const CRYPTO_VENUES: &[&str] =
    &["BINANCE", "COINBASE", "KRAKEN", "BITFINEX", "BITSTAMP", "GEMINI", "OKEX", "KUCOIN", "HUOBI"];

impl Profile {
    /// The profile of a symbol, made up where it isn't known; `None` for what is no symbol of any market: it is
    /// met with silence, as by the vendor.
    pub fn of(seed: u64, symbol: &str) -> Option<Profile> {
        let seed = seed_of(seed, symbol);
        let random =
            |from: f64, to: f64| from * (to / from).powf((mix(seed) >> 11) as f64 / (1u64 << 53) as f64);
        let profile = |kind, base, scales: (u8, u8), activity: f64, step, table: &'static Table| {
            let (price_scale, volume_scale) = scales;
            let moments_per_s = table.moments_per_s * activity;
            Some(Profile {
                kind,
                symbol: symbol.into(),
                base,
                price_scale,
                volume_scale,
                moments_per_s,
                step,
                table,
                seed,
            })
        };
        let name = |name: &str, extra: &str| {
            (1..=20).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || extra.contains(c))
        };
        match symbol.split_once(':') {
            Some((venue, pair)) if CRYPTO_VENUES.contains(&venue) && name(pair, "-_/") => {
                let table = if pair == "BTCUSDT" { &BTC } else { &ETH };
                let known = CRYPTO.iter().find(|known| known.0 == pair);
                let &(_, base, price, volume, activity) =
                    known.unwrap_or(&("", random(0.02, 50.0), 4, 1, 0.15));
                profile(Kind::Crypto, base, (price, volume), activity, table.step, table)
            }
            Some(("OANDA" | "IC MARKETS" | "PEPPERSTONE", pair)) if name(pair, "_/") => {
                let yen = pair.ends_with("JPY");
                profile(
                    Kind::Forex,
                    if yen { 149.0 } else { 1.09 },
                    (if yen { 3 } else { 5 }, 0),
                    0.3,
                    2e-5,
                    &ETH,
                )
            }
            None if symbol.len() <= 8
                && name(symbol, ".-")
                && symbol.starts_with(|c: char| c.is_ascii_uppercase()) =>
            {
                let known = STOCKS.iter().find(|known| known.0 == symbol);
                let &(_, base, activity) = known.unwrap_or(&("", random(8.0, 400.0), 0.1));
                profile(Kind::Stock, base, (4, 0), activity, STOCK.step, &STOCK)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plausible_symbol_has_a_profile() {
        let kind = |symbol| Profile::of(1, symbol).map(|p| p.kind);
        for symbol in ["BINANCE:BTCUSDT", "BINANCE:WIFUSDT", "COINBASE:BTC-USD"] {
            assert_eq!(kind(symbol), Some(Kind::Crypto), "{symbol}");
        }
        for symbol in ["AAPL", "BRK.B", "ZZZZ"] {
            assert_eq!(kind(symbol), Some(Kind::Stock), "{symbol}");
        }
        assert_eq!(kind("OANDA:EUR_USD"), Some(Kind::Forex));
        for symbol in
            ["", "aapl", "NOWHERE:BTCUSDT", "BINANCE:", "BINANCE:btcusdt", "AAPL+", "a b", "BINANCE:BTC:USDT"]
        {
            assert_eq!(kind(symbol), None, "{symbol}");
        }
        let eth = Profile::of(1, "BINANCE:ETHUSDT").expect("known");
        assert_eq!((eth.price_scale, eth.volume_scale), (2, 4));
        assert!(
            Profile::of(1, "ZZZZ").expect("made up").base != Profile::of(1, "ZZZY").expect("made up").base
        );
    }
}
