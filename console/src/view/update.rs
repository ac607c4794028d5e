//! What a viewer is sent: everything at first, then what has changed since.
//!
//! Prices, volumes and averages go out as text, digit for digit; a page that made floats of them could
//! not show them as they came.

use serde::Serialize;

use super::symbol::Last;
use super::{FeedStatus, Gap, Minute, StreamStatus, View};
use crate::api::record::real;

/// Which symbol a viewer looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Its source; any when absent.
    pub source: Option<String>,
    /// The symbol; the first of the gateway's list when absent.
    pub symbol: Option<String>,
}

/// One step of the stream of events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Update {
    /// Where to go on from.
    #[serde(skip)]
    pub version: u64,
    /// This machine's clock.
    pub now_ms: i64,
    /// Whether the bus can be heard, since when; only when changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    bus: Option<BusUpdate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feeds: Option<Vec<FeedStatus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Vec<StreamStatus>>,
    /// Those that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    symbols: Vec<SymbolUpdate>,
    /// All kept ones, when there is a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    gaps: Option<Vec<GapUpdate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected: Option<SelectedUpdate>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct BusUpdate {
    up: bool,
    since_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SymbolUpdate {
    source: String,
    symbol: String,
    /// Position in the gateway's list.
    rank: Option<usize>,
    state: String,
    last_price: Option<String>,
    last_kind: Option<&'static str>,
    last_time_ms: Option<i64>,
    last_trade_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct GapUpdate {
    source: String,
    symbol: String,
    start_ms: i64,
    end_ms: i64,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SelectedUpdate {
    source: String,
    symbol: String,
    /// Seconds' last prices: `[time_ms, "price"]`.
    points: Vec<(i64, String)>,
    minutes: Vec<MinuteUpdate>,
}

/// A minute with the keys and the texts of the CSV of `/api/v1/minutes`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct MinuteUpdate {
    start_ms: String,
    open: String,
    high: String,
    low: String,
    close: String,
    volume: String,
    trade_count: String,
    vwap: String,
    avg_price: String,
    coverage: String,
    revision: String,
    r#final: String,
}

impl Update {
    /// Whether there is nothing in it but the time.
    pub fn is_empty(&self) -> bool {
        self.bus.is_none() && self.symbols.is_empty() && self.gaps.is_none() && self.selected.is_none()
    }

    /// Source and symbol it tells of.
    pub fn selected_key(&self) -> Option<(&str, &str)> {
        self.selected.as_ref().map(|selected| (selected.source.as_str(), selected.symbol.as_str()))
    }
}

impl View {
    /// What has changed since a version; everything when `since` is 0.
    pub fn update(&self, selection: &Selection, since: u64, now_ms: i64) -> Update {
        let system = self.system_changed > since || since == 0;
        let status = system.then(|| self.status(now_ms));
        let (feeds, streams) = status.map(|status| (status.feeds, status.streams)).unzip();
        let gaps = self.feeds.values().any(|feed| feed.gaps_changed > since) || since == 0;
        Update {
            version: self.version,
            now_ms,
            bus: system.then_some(BusUpdate { up: self.bus.up, since_ms: self.bus.since_ms }),
            feeds,
            streams,
            symbols: self.symbol_updates(since),
            gaps: gaps
                .then(|| self.feeds.values().flat_map(|feed| &feed.gaps).map(GapUpdate::from).collect()),
            selected: self.selected(selection, since),
        }
    }

    fn symbol_updates(&self, since: u64) -> Vec<SymbolUpdate> {
        let changed = self.symbols.iter().filter(|(_, symbol)| symbol.changed > since || since == 0);
        changed
            .map(|((source, name), symbol)| SymbolUpdate {
                source: source.clone(),
                symbol: name.clone(),
                rank: symbol.rank,
                state: symbol.state.clone(),
                last_price: symbol.last.map(|last| last.price.to_string()),
                last_kind: symbol.last.map(|last| kind(&last)),
                last_time_ms: symbol.last.map(|last| last.time_ms),
                last_trade_ms: symbol.last_trade_ms,
            })
            .collect()
    }

    fn selected(&self, selection: &Selection, since: u64) -> Option<SelectedUpdate> {
        let fits = |source: &str, name: &str| {
            selection.source.as_deref().is_none_or(|wanted| wanted == source)
                && selection.symbol.as_deref().is_none_or(|wanted| wanted == name)
        };
        let candidates = self.symbols.iter().filter(|((source, name), _)| fits(source, name));
        let ((source, name), symbol) =
            candidates.min_by_key(|(key, symbol)| (symbol.rank.unwrap_or(usize::MAX), *key))?;
        let points: Vec<_> =
            symbol.points(since).map(|point| (point.time_ms, point.price.to_string())).collect();
        let minutes: Vec<_> = symbol.minutes(since).map(MinuteUpdate::from).collect();
        let news = since == 0 || !points.is_empty() || !minutes.is_empty();
        news.then(|| SelectedUpdate { source: source.clone(), symbol: name.clone(), points, minutes })
    }

    /// The id of an update: what a viewer that comes back gives as `Last-Event-ID`.
    pub fn event_id(&self, version: u64) -> String {
        format!("{:x}-{version}", self.instance)
    }

    /// The version behind an id; 0 (everything) for one of another process or of nobody.
    pub fn resume(&self, event_id: &str) -> u64 {
        event_id
            .split_once('-')
            .filter(|(instance, _)| u64::from_str_radix(instance, 16) == Ok(self.instance))
            .and_then(|(_, version)| version.parse().ok())
            .filter(|version| *version <= self.version)
            .unwrap_or(0)
    }
}

fn kind(last: &Last) -> &'static str {
    if last.update { "price_update" } else { "trade" }
}

impl From<&Gap> for GapUpdate {
    fn from(gap: &Gap) -> GapUpdate {
        GapUpdate {
            source: gap.source.clone(),
            symbol: gap.symbol.clone(),
            start_ms: gap.start_ms,
            end_ms: gap.end_ms,
            reason: gap.reason.clone(),
        }
    }
}

impl From<&Minute> for MinuteUpdate {
    fn from(minute: &Minute) -> MinuteUpdate {
        MinuteUpdate {
            start_ms: minute.start_ms.to_string(),
            open: real(minute.open),
            high: real(minute.high),
            low: real(minute.low),
            close: real(minute.close),
            volume: real(minute.volume),
            trade_count: minute.trade_count.to_string(),
            vwap: real(minute.vwap),
            avg_price: real(minute.avg_price),
            coverage: real(minute.coverage),
            revision: minute.revision.to_string(),
            r#final: u8::from(minute.last).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Gap, GatewayReport, MAX_GAPS, MAX_SYMBOLS, Price, SymbolReport};
    use super::*;

    fn price(symbol: &str, time_ms: i64, text: &str) -> Event {
        let price = tickberry_wire::Decimal::parse(text).expect("a number");
        let prices = vec![Price { symbol: symbol.into(), time_ms, price, update: false }];
        Event::Prices { source: "s".into(), received_ms: None, prices }
    }

    fn gateway(symbols: &[&str]) -> Event {
        let report = |symbol: &&str| SymbolReport {
            symbol: (*symbol).into(),
            state: "trading".into(),
            last_trade_ms: None,
        };
        let symbols = symbols.iter().map(report).collect();
        Event::Gateway(GatewayReport { source: "s".into(), symbols, ..GatewayReport::default() })
    }

    fn gap(start_ms: i64) -> Event {
        let (source, symbol, reason) = ("s".into(), "*".into(), "stall".into());
        Event::Gap(Gap { source, symbol, start_ms, end_ms: start_ms + 1, reason })
    }

    fn wanted(symbol: &str) -> Selection {
        Selection { source: None, symbol: Some(symbol.into()) }
    }

    /// What each event makes a viewer of A, who has all of before, be sent.
    #[test]
    fn a_viewer_is_sent_what_concerns_them_and_nothing_else() {
        let mut view = View::new(7, 0);
        view.apply(Event::BusDown, 0);
        for (name, event, system, symbols, gaps, selected) in [
            ("bus", Event::BusUp, true, 0, false, false),
            ("bus again", Event::BusUp, false, 0, false, false),
            ("gateway", gateway(&["B", "A"]), true, 2, false, false),
            ("gateway again", gateway(&["B", "A"]), true, 0, false, false),
            ("own price", price("A", 1000, "1.0"), false, 1, false, true),
            ("other price", price("B", 1000, "1.0"), false, 1, false, false),
            ("older price", price("A", 10, "9"), false, 0, false, false),
            ("gap", gap(5), false, 0, true, false),
            ("one symbol less", gateway(&["A"]), true, 2, false, false),
        ] {
            let since = view.version();
            view.apply(event, 0);
            let update = view.update(&wanted("A"), since, 0);
            assert_eq!(update.feeds.is_some(), system, "{name}");
            assert_eq!(update.symbols.len(), symbols, "{name}");
            assert_eq!(update.gaps.is_some(), gaps, "{name}");
            assert_eq!(update.selected.is_some(), selected, "{name}");
            assert!(view.update(&wanted("A"), view.version(), 0).is_empty(), "{name}: nothing twice");
        }
        let states: Vec<_> =
            view.update(&wanted("A"), 0, 0).symbols.into_iter().map(|one| one.state).collect();
        assert_eq!(states, ["trading", "not_subscribed"]);
    }

    #[test]
    fn whoever_asks_for_nothing_gets_the_first_of_the_gateways_list() {
        let mut view = View::new(7, 0);
        assert_eq!(view.update(&Selection::default(), 0, 0).selected_key(), None);
        view.apply(price("A", 1000, "1"), 0);
        assert_eq!(view.update(&Selection::default(), 0, 0).selected_key(), Some(("s", "A")));
        view.apply(gateway(&["C", "B", "A"]), 0);
        assert_eq!(view.update(&Selection::default(), 0, 0).selected_key(), Some(("s", "C")));
        assert_eq!(view.update(&wanted("B"), 0, 0).selected_key(), Some(("s", "B")));
        assert_eq!(view.update(&wanted("nobody's"), 0, 0).selected_key(), None);
    }

    #[test]
    fn only_own_and_known_ids_are_gone_on_from() {
        let mut view = View::new(0xabc, 0);
        view.apply(Event::BusUp, 0);
        view.apply(Event::BusDown, 0);
        assert_eq!(view.event_id(view.version()), "abc-2");
        for (id, version) in [("abc-2", 2), ("abc-1", 1), ("abc-3", 0), ("abd-1", 0), ("", 0), ("abc-x", 0)] {
            assert_eq!(view.resume(id), version, "{id}");
        }
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let mut view = View::new(7, 0);
        view.apply(price("old", 1000, "1"), 0);
        let names: Vec<_> = (0..MAX_SYMBOLS).map(|at| format!("S{at}")).collect();
        view.apply(gateway(&names.iter().map(String::as_str).collect::<Vec<_>>()), 0);
        assert_eq!(view.refused(), 0, "what nobody subscribes to gives way");
        for at in 0..3 {
            view.apply(price(&format!("T{at}"), 1000, "1"), 0);
        }
        for at in 0..400 {
            view.apply(gap(at), 0);
        }
        let update = view.update(&Selection::default(), 0, 0);
        assert_eq!((update.symbols.len(), view.refused()), (MAX_SYMBOLS, 3));
        assert_eq!(update.gaps.map(|gaps| (gaps.len(), gaps[0].start_ms)), Some((MAX_GAPS, 399)));
    }
}
