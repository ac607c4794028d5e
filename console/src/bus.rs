//! Messages of the bus, turned into what the view is told. The one place that knows topics and shapes.

use serde::de::DeserializeOwned;
use tickberry_wire::json::{
    AggregatorStatus, GatewayStatus, LiveJson, MinuteJson, Presence, StatusJson, TradeKind,
};
use tickberry_wire::topic::{self, Topic};
use tickberry_wire::{Batch, Body, Control, Decimal, DecodeError, Source, Symbol, Trade, is_plausible_time};

use crate::view::{AggregatorReport, Event, Gap, GatewayReport, LiveReport, Minute, Price, SymbolReport};

/// What the console listens to.
pub fn subscriptions() -> Vec<String> {
    ["live", "minutes", "status", "batches"].map(topic::all).into()
}

/// A message that says nothing to us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its topic is not of the contract.
    #[error("unknown topic")]
    Topic,
    /// Its JSON is not what the topic promises.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Its batch does not decode.
    #[error(transparent)]
    Batch(#[from] DecodeError),
    /// A number in it is none.
    #[error("`{0}` is not a number")]
    Number(String),
}

/// Reads one message. Retained messages that were cleared (empty) say nothing.
pub(crate) fn read(path: &str, payload: &[u8]) -> Result<Vec<Event>, Unreadable> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    match Topic::parse(path).ok_or(Unreadable::Topic)? {
        Topic::Batches(source) => Ok(batch(&source, &tickberry_wire::decode(payload)?)),
        Topic::Live(..) => live(serde_json::from_slice(payload)?),
        Topic::Minutes(..) => {
            let json: MinuteJson = serde_json::from_slice(payload)?;
            let (source, symbol) = (json.source.to_string(), json.symbol.to_string());
            Ok(vec![Event::Minute { source, symbol, minute: minute(&json)? }])
        }
        Topic::Status(service, node) => match service.as_str() {
            "gateway" => {
                let gone = || vec![Event::GatewayGone { node: node.clone() }];
                let detail: Option<GatewayStatus> = status(payload)?;
                Ok(detail.map_or_else(gone, |detail| vec![Event::Gateway(gateway(&node, detail))]))
            }
            "aggregator" => {
                let detail: Option<AggregatorStatus> = status(payload)?;
                let gone = || vec![Event::AggregatorGone { node: node.clone() }];
                Ok(detail.map_or_else(gone, |detail| aggregator(&node, detail)))
            }
            _ => Ok(Vec::new()),
        },
        Topic::Trades(..) => Ok(Vec::new()),
    }
}

fn status<T: DeserializeOwned>(payload: &[u8]) -> Result<Option<T>, Unreadable> {
    let json: StatusJson<'_, T> = serde_json::from_slice(payload)?;
    Ok(json.detail.filter(|_| json.state == Presence::Online))
}

fn batch(source: &Source, batch: &Batch) -> Vec<Event> {
    let source = source.to_string();
    let mut events = Vec::with_capacity(2);
    match &batch.body {
        Body::Commit | Body::Lost { .. } | Body::Control(Control::Tick) => {}
        Body::Control(Control::EpochStart(_)) => events.push(Event::EpochStart { source: source.clone() }),
        Body::Control(Control::Gap(gap)) => {
            let one = |symbol: String| {
                let reason = gap.reason.as_str().to_owned();
                let (start_ms, end_ms) = (gap.from_ms, gap.to_ms);
                Event::Gap(Gap { source: source.clone(), symbol, start_ms, end_ms, reason })
            };
            if gap.symbols.is_empty() {
                events.push(one("*".into()));
            } else {
                events.extend(gap.symbols.iter().map(|symbol| one(symbol.to_string())));
            }
        }
        Body::Trades(trades) => {
            let received_ms = batch.received_ms();
            events.push(Event::Prices { source: source.clone(), received_ms, prices: prices(trades) });
        }
    }
    let (epoch, head, committed) = (batch.epoch.get(), batch.end_offset(), batch.committed);
    events.push(Event::Progress { source, epoch, head, committed });
    events
}

/// The prices that can matter: of each symbol the last of each second. A burst of a thousand trades in a
/// millisecond is one step of a line.
fn prices(trades: &[Trade]) -> Vec<Price> {
    let mut out: Vec<(&Symbol, Price)> = Vec::new();
    for trade in trades.iter().filter(|trade| is_plausible_time(trade.time_ms)) {
        let (time_ms, price, update) = (trade.time_ms, trade.price, trade.is_price_update());
        let same = out.iter_mut().rev().find(|(symbol, _)| **symbol == trade.symbol);
        match same {
            Some((_, last)) if last.time_ms.div_euclid(1000) == time_ms.div_euclid(1000) => {
                if last.time_ms <= time_ms {
                    (last.time_ms, last.price, last.update) = (time_ms, price, update);
                }
            }
            _ => {
                out.push((&trade.symbol, Price { symbol: trade.symbol.to_string(), time_ms, price, update }))
            }
        }
    }
    out.into_iter().map(|(_, price)| price).collect()
}

fn live(json: LiveJson) -> Result<Vec<Event>, Unreadable> {
    let update = json.last_kind == TradeKind::PriceUpdate;
    Ok(vec![Event::Live(LiveReport {
        source: json.source.to_string(),
        symbol: json.symbol.to_string(),
        last: Some((json.last_time_ms, json.last_price, update)),
        minute: json.minute.as_ref().map(minute).transpose()?,
    })])
}

fn minute(json: &MinuteJson) -> Result<Minute, Unreadable> {
    let real = |decimal: Decimal| decimal.to_f64();
    Ok(Minute {
        start_ms: json.start_ms,
        open: real(json.open),
        high: real(json.high),
        low: real(json.low),
        close: real(json.close),
        volume: json.volume.0.parse().map_err(|_| Unreadable::Number(json.volume.0.clone()))?,
        trade_count: json.trade_count,
        vwap: json.vwap,
        avg_price: json.avg_price,
        coverage: json.coverage,
        revision: json.revision,
        last: json.is_final != 0,
    })
}

/// The word an enum has in JSON.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".into(),
    }
}

fn gateway(node: &str, status: GatewayStatus) -> GatewayReport {
    GatewayReport {
        node: node.to_owned(),
        source: status.source.to_string(),
        simulated: status.simulated,
        state: word(status.feed_state),
        since_ms: status.since_ms,
        last_frame_ms: status.last_frame_ms,
        journal: status.journal,
        last_trade_ms: status.last_trade_ms,
        epoch: status.epoch,
        head: status.head,
        committed: status.committed,
        durable: status.durable,
        disk_bytes_today: Some(status.disk_bytes_today),
        message: status.message,
        symbols: status
            .symbols
            .into_iter()
            .map(|said| SymbolReport {
                symbol: said.symbol.to_string(),
                state: word(said.state),
                last_trade_ms: said.last_trade_ms,
            })
            .collect(),
    }
}

fn aggregator(node: &str, status: AggregatorStatus) -> Vec<Event> {
    let report = |stream: tickberry_wire::json::StreamStatus| {
        Event::Aggregator(AggregatorReport {
            node: node.to_owned(),
            source: stream.source.to_string(),
            epoch: stream.epoch,
            consumed: stream.consumed,
            stored: stream.stored,
            store: stream.store.into_owned(),
            lost: stream.lost,
            doubled: stream.doubled,
            message: stream.message,
        })
    };
    status.streams.into_iter().map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickberry_wire::{Epoch, Gap as WireGap, GapReason, encode};

    fn batch(body: Body) -> Vec<u8> {
        let mut bytes = Vec::new();
        let epoch = Epoch::from_raw(7).expect("small");
        let batch =
            Batch { epoch, first_offset: 10, committed: 9, elapsed_ms: 500, anchor_ms: Some(1_000), body };
        encode(&batch, &mut bytes).expect("encodes");
        bytes
    }

    fn trade(symbol: &str, time_ms: i64, price: &str, volume: &str) -> Trade {
        let decimal = |text| Decimal::parse(text).expect("a number");
        let symbol = Symbol::new(symbol).expect("a symbol");
        Trade { symbol, time_ms, price: decimal(price), volume: decimal(volume), conditions: None }
    }

    #[test]
    fn a_batch_tells_prices_and_progress() {
        let at = 1_700_000_000_000;
        let trades = vec![
            trade("A", at, "1.10", "1"),
            trade("B", at, "2", "1"),
            trade("A", at + 400, "1.20", "0"),
            trade("A", at + 300, "1.30", "1"),
            trade("A", at + 1000, "1.40", "1"),
            trade("A", 5, "9", "1"),
        ];
        let events = read("tickberry/v1/batches/finnhub", &batch(Body::Trades(trades))).expect("reads");
        let price = |symbol: &str, time_ms, text, update| Price {
            symbol: symbol.into(),
            time_ms,
            price: Decimal::parse(text).expect("a number"),
            update,
        };
        let prices = vec![
            price("A", at + 400, "1.20", true),
            price("B", at, "2", false),
            price("A", at + 1000, "1.40", false),
        ];
        let source = || "finnhub".to_owned();
        assert_eq!(
            events,
            [
                Event::Prices { source: source(), received_ms: Some(1_500), prices },
                Event::Progress { source: source(), epoch: 7, head: 16, committed: 9 },
            ]
        );
        let events = read("tickberry/v1/batches/finnhub", &batch(Body::Commit)).expect("reads");
        assert_eq!(events, [Event::Progress { source: source(), epoch: 7, head: 10, committed: 9 }]);
    }

    #[test]
    fn a_gap_of_two_symbols_is_two_gaps() {
        let symbols = ["A", "B"].map(|name| Symbol::new(name).expect("a symbol")).to_vec();
        let gap = WireGap { from_ms: 5, to_ms: 9, reason: GapReason::Stall, symbols };
        let events = read("tickberry/v1/batches/s", &batch(Body::Control(Control::Gap(gap)))).expect("reads");
        let one = |symbol: &str| {
            Event::Gap(Gap {
                source: "s".into(),
                symbol: symbol.into(),
                start_ms: 5,
                end_ms: 9,
                reason: "stall".into(),
            })
        };
        assert_eq!(events[..2], [one("A"), one("B")]);
    }

    #[test]
    fn statuses_and_wills() {
        let online = r#"{"service":"gateway","node":"pi","state":"online","source":"finnhub","simulated":false,
            "feed_state":"backing_off","since_ms":5,"message":null,"last_frame_ms":null,"last_trade_ms":4,"epoch":1,
            "head":3,"committed":2,"durable":true,"disk_bytes_today":77,"journal":"http://x/","a_new_key":[1],
            "symbols":[{"symbol":"AAPL","state":"price_updates","last_trade_ms":null}]}"#;
        let events = read("tickberry/v1/status/gateway/pi", online.as_bytes()).expect("reads");
        let [Event::Gateway(report)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((report.state.as_str(), report.disk_bytes_today), ("backing_off", Some(77)));
        assert_eq!(report.symbols[0].state, "price_updates");
        let will = br#"{"service":"gateway","node":"pi","state":"offline"}"#;
        let events = read("tickberry/v1/status/gateway/pi", will).expect("reads");
        assert_eq!(events, [Event::GatewayGone { node: "pi".into() }]);
        let will = br#"{"service":"aggregator","node":"pi","state":"offline"}"#;
        let events = read("tickberry/v1/status/aggregator/pi", will).expect("reads");
        assert_eq!(events, [Event::AggregatorGone { node: "pi".into() }]);
        let other = read("tickberry/v1/status/broker/pi", br#"{"service":"broker"}"#).expect("reads");
        assert_eq!(other, []);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (topic, payload) in [
            ("tickberry/v2/live/a/b", &b"{}"[..]),
            ("tickberry/v1/live/a/b", b"{}"),
            ("tickberry/v1/minutes/a/b", b"[1"),
            ("tickberry/v1/batches/a", b"\xff\xff"),
            ("tickberry/v1/status/gateway/pi", b"null"),
        ] {
            assert!(read(topic, payload).is_err(), "{topic}");
        }
        assert_eq!(read("tickberry/v1/live/a/b", b"").expect("a cleared message"), []);
    }
}
