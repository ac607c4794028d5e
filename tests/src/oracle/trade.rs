//! What goes into the oracle: trades in the order in which the journal counted them.

use super::exact::{Exact, exact, nearest};
use std::collections::HashMap;

/// One trade as it was sent, without its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Finnhub's name of it, `BINANCE:BTCUSDT`.
    pub symbol: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Price as text.
    pub price: String,
    /// Volume as text.
    pub volume: String,
}

/// A trade with its identity and exact numbers.
#[derive(Debug, Clone)]
pub struct Trade {
    /// Finnhub's name of it.
    pub symbol: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Exact price.
    pub price: Exact,
    /// Exact volume; zero is a price update.
    pub volume: Exact,
    /// The gateway's life that counted it.
    pub epoch: i64,
    /// Its number there.
    pub offset: i64,
}

impl Trade {
    /// A sent trade at a place in a journal.
    pub fn new(sent: &Sent, epoch: i64, offset: i64) -> Result<Trade, String> {
        Ok(Trade {
            symbol: sent.symbol.clone(),
            time_ms: sent.time_ms,
            price: exact(&sent.price)?,
            volume: exact(&sent.volume)?,
            epoch,
            offset,
        })
    }

    /// What the design orders the trades of a window by.
    pub fn order(&self) -> (i64, i64, i64) {
        (self.time_ms, self.epoch, self.offset)
    }
}

/// The sent trades counted from offset 0 in one epoch: the order is all that decides a window.
pub fn in_arrival_order(sent: &[Sent]) -> Result<Vec<Trade>, String> {
    sent.iter().enumerate().map(|(i, trade)| Trade::new(trade, 1, i as i64)).collect()
}

/// A row of the table `trades`.
#[derive(Debug, Clone, PartialEq)]
pub struct TradeRow {
    /// Feed.
    pub source: String,
    /// The gateway's life that counted it.
    pub epoch: i64,
    /// Its number there.
    pub offset: i64,
    /// Finnhub's name of it.
    pub symbol: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The double nearest to the price.
    pub price: f64,
    /// The double nearest to the volume.
    pub volume: f64,
}

/// What a stored row shows of a trade: symbol, time, and the bits of price and volume.
type Look = (String, i64, u64, u64);

/// Gives every stored row the exact trade it stands for. An error unless rows and sent trades are the
/// same collection, equal trades counted: this is the check of the table `trades` itself.
pub fn matched(sent: &[Sent], rows: &[TradeRow]) -> Result<Vec<Trade>, String> {
    let mut waiting: HashMap<Look, Vec<(Exact, Exact)>> = HashMap::new();
    for trade in sent {
        let (price, volume) = (exact(&trade.price)?, exact(&trade.volume)?);
        let key =
            (trade.symbol.clone(), trade.time_ms, nearest(&price).to_bits(), nearest(&volume).to_bits());
        waiting.entry(key).or_default().push((price, volume));
    }
    let (mut trades, mut strangers) = (Vec::new(), Vec::new());
    for row in rows {
        let key = (row.symbol.clone(), row.time_ms, row.price.to_bits(), row.volume.to_bits());
        let (symbol, time_ms, epoch, offset) = (row.symbol.clone(), row.time_ms, row.epoch, row.offset);
        match waiting.get_mut(&key).and_then(Vec::pop) {
            Some((price, volume)) => trades.push(Trade { symbol, time_ms, price, volume, epoch, offset }),
            None => strangers.push(row),
        }
    }
    let missing: usize = waiting.values().map(Vec::len).sum();
    if missing == 0 && strangers.is_empty() {
        return Ok(trades);
    }
    let first_missing = waiting.iter().find(|(_, left)| !left.is_empty()).map(|(key, _)| key);
    Err(format!(
        "sent {}, stored {}: {missing} missing (one: {first_missing:?}), {} that nobody sent (first: {:?})",
        sent.len(),
        rows.len(),
        strangers.len(),
        strangers.first()
    ))
}
