//! How others write a trade: the same four fields, as their libraries would have it.

use apache_avro::types::Value;
use serde::{Deserialize, Serialize};
use tickberry_wire::Trade;

/// A trade as most programs hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Naive {
    /// Conditions; always null here.
    pub c: Option<Vec<String>>,
    /// Price.
    pub p: f64,
    /// Symbol.
    pub s: String,
    /// Time, ms since 1970 UTC.
    pub t: i64,
    /// Volume.
    pub v: f64,
}

impl Naive {
    /// The trade in that form.
    pub fn of(trade: &Trade) -> Self {
        let Trade { symbol, time_ms, price, volume, .. } = trade;
        Self { c: None, p: price.to_f64(), s: symbol.as_str().to_owned(), t: *time_ms, v: volume.to_f64() }
    }
}

/// A Finnhub frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The trades.
    pub data: Vec<Naive>,
    /// `trade`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Finnhub's JSON of some trades, numbers with the digits they have.
pub fn frame_json(trades: &[Trade]) -> String {
    let one = |trade: &Trade| {
        let Trade { symbol, time_ms, price, volume, .. } = trade;
        format!(r#"{{"c":null,"p":{price},"s":"{symbol}","t":{time_ms},"v":{volume}}}"#)
    };
    let data: Vec<String> = trades.iter().map(one).collect();
    format!(r#"{{"data":[{}],"type":"trade"}}"#, data.join(","))
}

/// The schema of the pipeline that is replaced.
const SCHEMA: &str = r#"{"type":"array","items":{"type":"record","name":"trade","fields":[
    {"name":"c","type":["null",{"type":"array","items":"string"}]},{"name":"p","type":"double"},
    {"name":"s","type":"string"},{"name":"t","type":"long"},{"name":"v","type":"double"}]}}"#;

/// Avro, raw datums.
pub struct Avro(apache_avro::Schema);

impl Default for Avro {
    fn default() -> Self {
        Self(apache_avro::Schema::parse_str(SCHEMA).expect("a valid schema"))
    }
}

impl Avro {
    /// Trades to bytes.
    pub fn encode(&self, trades: &[Naive]) -> Vec<u8> {
        let value = apache_avro::to_value(trades).and_then(|value| value.resolve(&self.0));
        value.and_then(|value| apache_avro::to_avro_datum(&self.0, value)).expect("trades fit the schema")
    }

    /// Bytes to trades.
    pub fn decode(&self, mut bytes: &[u8]) -> Vec<Naive> {
        let value: Value = apache_avro::from_avro_datum(&self.0, &mut bytes, None).expect("what was encoded");
        apache_avro::from_value(&value).expect("trades come back")
    }
}

/// A window as most programs keep it: sums of doubles, open and close by arrival.
#[derive(Debug, Default)]
pub struct NaiveWindow {
    count: u64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    prices: f64,
    turnover: f64,
}

impl NaiveWindow {
    /// Counts a trade in.
    pub fn add(&mut self, price: f64, volume: f64) {
        if self.count == 0 {
            (self.open, self.high, self.low) = (price, price, price);
        }
        self.count += 1;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.volume += volume;
        self.prices += price;
        self.turnover += price * volume;
    }

    /// Number of trades.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_gives_the_trades_back() {
        let naive: Vec<Naive> = crate::trades::load().iter().take(100).map(Naive::of).collect();
        let avro = Avro::default();
        assert_eq!(avro.decode(&avro.encode(&naive)), naive);
        let json = frame_json(&crate::trades::load()[..100]);
        assert_eq!(serde_json::from_str::<Frame>(&json).unwrap().data, naive);
    }
}
