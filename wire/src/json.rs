//! The JSON of the text topics and of the API. Keys are the stores' column names; prices and volumes are number tokens
//! with the digits the feed sent; readers ignore keys they do not know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Batch, Body, Conditions, Decimal, Source, Symbol, Trade};

/// A trade or a price update.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TradeJson {
    /// Which of the two.
    pub kind: TradeKind,
    /// The feed.
    pub source: Source,
    /// The epoch, and
    pub epoch: u64,
    /// the offset: with the source, the trade's identity.
    pub journal_offset: u64,
    /// What was traded.
    pub symbol: Symbol,
    /// When, ms since 1970 UTC.
    pub time_ms: i64,
    /// At which price.
    pub price: Decimal,
    /// How much.
    pub volume: Decimal,
    /// The feed's conditions, if it sent any.
    pub conditions: Option<Conditions>,
    /// When the gateway received it; null while its clock was not set.
    pub received_ms: Option<i64>,
}

/// Whether volume changed hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeKind {
    /// An execution.
    Trade,
    /// Volume 0: a new last price.
    PriceUpdate,
}

impl TradeKind {
    /// The kind of a trade.
    pub const fn of(trade: &Trade) -> Self {
        if trade.is_price_update() { Self::PriceUpdate } else { Self::Trade }
    }
}

impl TradeJson {
    /// The objects of a batch's trades, in offset order; none for other bodies.
    pub fn of_batch<'a>(source: &'a Source, batch: &'a Batch) -> impl Iterator<Item = Self> + 'a {
        let trades: &[Trade] = if let Body::Trades(trades) = &batch.body { trades } else { &[] };
        (batch.first_offset..).zip(trades).map(|(journal_offset, trade)| Self {
            kind: TradeKind::of(trade),
            source: source.clone(),
            epoch: batch.epoch.get(),
            journal_offset,
            symbol: trade.symbol.clone(),
            time_ms: trade.time_ms,
            price: trade.price,
            volume: trade.volume,
            conditions: trade.conditions.clone(),
            received_ms: batch.received_ms(),
        })
    }
}

/// A one-minute window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MinuteJson {
    /// The feed.
    pub source: Source,
    /// What was traded.
    pub symbol: Symbol,
    /// The window is `[start_ms, start_ms + 60,000)`.
    pub start_ms: i64,
    /// Price of the first trade by (time, epoch, offset).
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Price of the last trade by (time, epoch, offset).
    pub close: Decimal,
    /// Sum of the volumes; exact, however many digits.
    pub volume: Exact,
    /// Number of trades; price updates do not count.
    pub trade_count: u64,
    /// Mean price weighted by volume: the double nearest to the exact quotient.
    pub vwap: f64,
    /// Mean of the prices: the double nearest to the exact quotient.
    pub avg_price: f64,
    /// Part of the window in which the feed was heard for this symbol, 0 to 1.
    pub coverage: f64,
    /// Batches folded in after the window was final.
    pub revision: u64,
    /// 1 once the watermark has passed the window's end, else 0.
    #[serde(rename = "final")]
    pub is_final: u8,
}

/// A JSON number token of any length, kept as its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exact(pub String);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::value::RawValue::from_string(self.0.clone())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(serde::de::Error::custom(format!("{text} is not a number")));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The open minute and the last price, ahead of what is committed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveJson {
    /// The feed.
    pub source: Source,
    /// What was traded.
    pub symbol: Symbol,
    /// Price of the latest trade or price update by event time.
    pub last_price: Decimal,
    /// Its time, ms since 1970 UTC.
    pub last_time_ms: i64,
    /// Whether it was a trade.
    pub last_kind: TradeKind,
    /// The newest window of the symbol; null before its first trade.
    pub minute: Option<MinuteJson>,
}

/// A service's retained state. Its keys beside these belong to the service: [`GatewayStatus`], [`AggregatorStatus`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusJson<'a, T> {
    /// `gateway`, `broker`, `aggregator`, `console`.
    pub service: Cow<'a, str>,
    /// The host's name.
    pub node: Cow<'a, str>,
    /// `online`, or, from the last will, `offline`.
    pub state: Presence,
    /// The service's own part; absent when offline.
    #[serde(flatten)]
    pub detail: Option<T>,
}

/// Whether a service's connection to the broker stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It does.
    Online,
    /// It ended without the service saying so.
    Offline,
}

/// What the feed is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// A connection is being made.
    Connecting,
    /// Connected and subscribed; nothing heard yet.
    Subscribing,
    /// Trades arrive.
    Live,
    /// The feed is alive (pings arrive), but no trades.
    Quiet,
    /// Connected, and nothing at all arrives.
    Stalled,
    /// Waiting before the next attempt.
    BackingOff,
    /// The feed refuses the token.
    Refused,
    /// Another connection uses the same token.
    Surplus,
}

/// A gateway's part of its status.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The feed.
    pub source: Source,
    /// Whether it is a simulator.
    pub simulated: bool,
    /// What it is doing.
    pub feed_state: FeedState,
    /// Since when, ms since 1970 UTC by the gateway's clock.
    pub since_ms: i64,
    /// A sentence for a person: what is wrong and what to do; null when nothing is.
    pub message: Option<String>,
    /// When the last frame of any kind was received.
    pub last_frame_ms: Option<i64>,
    /// Event time of the last trade.
    pub last_trade_ms: Option<i64>,
    /// The epoch.
    pub epoch: u64,
    /// Next offset to be given.
    pub head: u64,
    /// Next offset not yet durable.
    pub committed: u64,
    /// Whether the journal is on a disk (false: a memory epoch).
    pub durable: bool,
    /// Bytes written to the journal's disk since midnight UTC.
    pub disk_bytes_today: u64,
    /// Where the journal can be read: an HTTP address, `?from=OFFSET` is added.
    pub journal: String,
    /// The subscribed symbols.
    pub symbols: Vec<SymbolStatus>,
}

/// One subscribed symbol.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SymbolStatus {
    /// Which.
    pub symbol: Symbol,
    /// What is heard of it.
    pub state: SymbolState,
    /// Event time of its last trade.
    pub last_trade_ms: Option<i64>,
}

/// What is heard of a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SymbolState {
    /// Trades within the last minutes.
    Trading,
    /// Trades earlier, none now.
    Quiet,
    /// Volume is always 0: the plan sends prices only.
    PriceUpdates,
    /// Nothing since the gateway started.
    NeverHeard,
}

/// An aggregator's part of its status.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AggregatorStatus {
    /// One entry a source.
    pub streams: Vec<StreamStatus>,
}

/// How far an aggregator is with one source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The feed.
    pub source: Source,
    /// The epoch of the newest record consumed.
    pub epoch: u64,
    /// Next offset to be consumed.
    pub consumed: u64,
    /// Offset below which the store holds every committed trade and its windows.
    pub stored: u64,
    /// `sqlite` or `influxdb`.
    pub store: Cow<'static, str>,
    /// Records below `stored` that no journal could give any more, since the journal's beginning. Null from a release
    /// that does not say.
    #[serde(default)]
    pub lost: Option<u64>,
    /// Trades given to the store as new although it had them, since the aggregator started. Null as above.
    #[serde(default)]
    pub doubled: Option<u64>,
    /// A sentence for a person when something is wrong; else null.
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"source":"finnhub","symbol":"A","start_ms":0,"open":1.50,"high":2,"low":0.00005,"close":1,"volume":123456789012345678901234567890.5,"trade_count":3,"vwap":1.1,"avg_price":1.0,"coverage":1.0,"revision":0,"final":1}"#;
        let minute: MinuteJson = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&minute).unwrap(), text);
    }

    #[test]
    fn an_offline_status_has_no_detail() {
        let will: StatusJson<'_, GatewayStatus> =
            serde_json::from_str(r#"{"service":"gateway","node":"pi","state":"offline"}"#).unwrap();
        assert_eq!((will.state, will.detail), (Presence::Offline, None));
    }
}
