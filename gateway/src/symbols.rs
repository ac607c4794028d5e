//! What is heard of each symbol.

use std::collections::HashMap;

use tickberry_wire::json::{SymbolState, SymbolStatus};
use tickberry_wire::{Symbol, Trade, is_plausible_time};

/// Without a trade for this long a symbol is quiet.
const QUIET_MS: u64 = 300_000;

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// Event time of the newest trade, price updates not counted.
    last_trade_ms: Option<i64>,
    /// When a trade was last received (monotonic).
    traded: Option<u64>,
    /// Whether anything was received.
    anything: bool,
}

/// The subscribed symbols, in the order they are configured in.
#[derive(Debug)]
pub struct SymbolBook {
    heard: Vec<(Symbol, Heard)>,
    index: HashMap<Symbol, usize>,
    last_trade_ms: Option<i64>,
}

impl SymbolBook {
    /// Nothing heard yet.
    pub fn new(symbols: &[Symbol]) -> Self {
        Self {
            heard: symbols.iter().map(|symbol| (symbol.clone(), Heard::default())).collect(),
            index: symbols.iter().cloned().zip(0..).collect(),
            last_trade_ms: None,
        }
    }

    /// Trades and price updates were received.
    pub fn hear(&mut self, trades: &[Trade], now: u64) {
        for trade in trades {
            // One absurd time would stay the newest for ever.
            let time = is_plausible_time(trade.time_ms).then_some(trade.time_ms);
            self.last_trade_ms = self.last_trade_ms.max(time);
            // What was not asked for is journaled all the same, but has no line here.
            let Some(index) = self.index.get(&trade.symbol) else { continue };
            let heard = &mut self.heard[*index].1;
            heard.anything = true;
            if !trade.is_price_update() {
                heard.last_trade_ms = heard.last_trade_ms.max(time);
                heard.traded = Some(now);
            }
        }
    }

    /// Event time of the newest trade or price update.
    pub const fn last_trade_ms(&self) -> Option<i64> {
        self.last_trade_ms
    }

    /// The state of each.
    pub fn status(&self, now: u64) -> Vec<SymbolStatus> {
        let state = |heard: &Heard| match heard.traded {
            Some(traded) if now.saturating_sub(traded) < QUIET_MS => SymbolState::Trading,
            Some(_) => SymbolState::Quiet,
            None if heard.anything => SymbolState::PriceUpdates,
            None => SymbolState::NeverHeard,
        };
        let line = |(symbol, heard): &(Symbol, Heard)| SymbolStatus {
            symbol: symbol.clone(),
            state: state(heard),
            last_trade_ms: heard.last_trade_ms,
        };
        self.heard.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickberry_wire::Decimal;

    const T: i64 = 1_790_000_000_000;

    fn trade(symbol: &str, time_ms: i64, volume: i64) -> Trade {
        Trade {
            symbol: Symbol::new(symbol).unwrap(),
            time_ms,
            price: Decimal::ZERO,
            volume: Decimal::new(volume, 0).unwrap(),
            conditions: None,
        }
    }

    #[test]
    fn the_four_states() {
        let names = ["A", "B", "C"].map(|name| Symbol::new(name).unwrap());
        let mut book = SymbolBook::new(&names);
        book.hear(
            &[trade("A", T + 7, 1), trade("B", T + 9, 0), trade("A", T + 5, 1), trade("A", i64::MAX, 1)],
            1_000,
        );
        let states = |now| {
            book.status(now).into_iter().map(|line| (line.state, line.last_trade_ms)).collect::<Vec<_>>()
        };
        let (price_updates, never) = ((SymbolState::PriceUpdates, None), (SymbolState::NeverHeard, None));
        assert_eq!(states(300_999), [(SymbolState::Trading, Some(T + 7)), price_updates, never]);
        assert_eq!(states(301_000), [(SymbolState::Quiet, Some(T + 7)), price_updates, never]);
        assert_eq!(book.last_trade_ms(), Some(T + 9));
    }
}
