//! What the page shows, as a plain struct: told what happened and when, asked for what has changed.
//!
//! Every change gets a version. A viewer remembers the version it has and asks for what is newer, so
//! nothing is queued for anybody: a slow viewer gets fewer, larger steps, and one that comes back after
//! a break goes on where it was.

mod progress;
mod report;
mod status;
mod symbol;
mod update;

use std::collections::{BTreeMap, VecDeque};

use progress::Progress;
use symbol::SymbolView;

pub use report::{AggregatorReport, Event, Gap, GatewayReport, LiveReport, Minute, Price, SymbolReport};
pub use status::{FeedStatus, Status, StreamStatus};
pub use update::{Selection, Update};

/// Symbols kept; Finnhub's own limit is 50 a key. About 100 KiB each at most.
pub const MAX_SYMBOLS: usize = 128;
/// Sources, and aggregators, kept.
pub const MAX_SOURCES: usize = 16;
/// Gaps kept a source; older ones are the store's to tell.
pub const MAX_GAPS: usize = 128;

/// All that is known of the running system.
#[derive(Debug, Default)]
pub struct View {
    /// Tells versions of this process from those of an earlier one.
    instance: u64,
    /// Counts changes.
    version: u64,
    bus: Bus,
    feeds: BTreeMap<String, Feed>,
    /// By source and node.
    aggregators: BTreeMap<(String, String), Aggregator>,
    /// By source and symbol.
    symbols: BTreeMap<(String, String), SymbolView>,
    /// Version of the last change of `feeds`, `aggregators` or `bus`.
    system_changed: u64,
    /// What had no room.
    refused: u64,
}

#[derive(Debug, Default)]
struct Bus {
    up: bool,
    since_ms: i64,
}

#[derive(Debug, Default)]
struct Aggregator {
    report: AggregatorReport,
    is_gone: bool,
}

#[derive(Debug, Default)]
struct Feed {
    report: Option<GatewayReport>,
    /// Since when its gateway is gone.
    gone_ms: Option<i64>,
    progress: Progress,
    gaps: VecDeque<Gap>,
    gaps_changed: u64,
}

impl View {
    /// An empty view. `instance` should differ from process to process.
    pub fn new(instance: u64, now_ms: i64) -> View {
        View { instance, bus: Bus { up: false, since_ms: now_ms }, ..View::default() }
    }

    /// Counts changes.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Symbols, sources and aggregators that had no room here.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether the bus can be heard.
    pub fn bus_is_up(&self) -> bool {
        self.bus.up
    }

    /// Takes what happened at `now_ms`.
    pub fn apply(&mut self, event: Event, now_ms: i64) {
        self.version += 1;
        let version = self.version;
        match event {
            Event::BusUp => self.set_bus(true, now_ms),
            Event::BusDown => self.set_bus(false, now_ms),
            Event::Gateway(report) => self.gateway(report),
            Event::GatewayGone { node } => {
                for feed in self.feeds.values_mut() {
                    if feed.report.as_ref().is_some_and(|report| report.node == node) {
                        feed.gone_ms.get_or_insert(now_ms);
                        self.system_changed = version;
                    }
                }
            }
            Event::Aggregator(report) => {
                let key = (report.source.clone(), report.node.clone());
                if self.aggregators.contains_key(&key) || self.aggregators.len() < MAX_SOURCES {
                    self.aggregators.insert(key, Aggregator { report, is_gone: false });
                    self.system_changed = version;
                } else {
                    self.refused += 1;
                }
            }
            Event::AggregatorGone { node } => {
                for ((_, owner), aggregator) in &mut self.aggregators {
                    if *owner == node && !aggregator.is_gone {
                        aggregator.is_gone = true;
                        self.system_changed = version;
                    }
                }
            }
            Event::Live(live) => {
                if let Some(symbol) = self.symbol(&live.source, &live.symbol) {
                    symbol.live(version, &live);
                }
            }
            Event::Minute { source, symbol, minute } => {
                if let Some(symbol) = self.symbol(&source, &symbol) {
                    symbol.minute(version, minute);
                }
            }
            Event::Progress { source, epoch, head, committed } => {
                if self.feed(&source).is_some_and(|feed| feed.progress.heard(epoch, head, committed)) {
                    self.system_changed = version;
                }
            }
            Event::EpochStart { source } => {
                let of_source = self.symbols.iter_mut().filter(|((owner, _), _)| *owner == source);
                of_source.for_each(|(_, symbol)| symbol.epoch_began());
            }
            Event::Prices { source, received_ms, prices } => {
                for price in &prices {
                    if let Some(symbol) = self.symbol(&source, &price.symbol) {
                        symbol.price(version, price, received_ms);
                    }
                }
            }
            Event::Gap(gap) => {
                if let Some(feed) = self.feed(&gap.source) {
                    feed.gaps.truncate(MAX_GAPS - 1);
                    feed.gaps.push_front(gap);
                    feed.gaps_changed = version;
                }
            }
            Event::Known { source, symbol, prices } => {
                if let Some(symbol) = self.symbol(&source, &symbol) {
                    symbol.past(version, &prices);
                }
            }
        }
    }

    fn set_bus(&mut self, up: bool, now_ms: i64) {
        if self.bus.up != up {
            self.bus = Bus { up, since_ms: now_ms };
            self.system_changed = self.version;
        }
    }

    fn gateway(&mut self, report: GatewayReport) {
        let version = self.version;
        for (rank, said) in report.symbols.iter().enumerate() {
            if let Some(symbol) = self.symbol(&report.source, &said.symbol) {
                if (symbol.rank, &symbol.state, symbol.last_trade_ms)
                    != (Some(rank), &said.state, said.last_trade_ms)
                {
                    symbol.changed = version;
                }
                symbol.rank = Some(rank);
                symbol.state.clone_from(&said.state);
                symbol.last_trade_ms = said.last_trade_ms;
            }
        }
        for ((source, name), symbol) in &mut self.symbols {
            let gone = *source == report.source && !report.symbols.iter().any(|said| said.symbol == *name);
            if gone && symbol.state != "not_subscribed" {
                symbol.rank = None;
                symbol.state = "not_subscribed".into();
                symbol.changed = version;
            }
        }
        if let Some(feed) = self.feed(&report.source) {
            feed.progress.heard(report.epoch, report.head, report.committed);
            feed.gone_ms = None;
            feed.report = Some(report);
            self.system_changed = version;
        }
    }

    fn feed(&mut self, source: &str) -> Option<&mut Feed> {
        if !self.feeds.contains_key(source) {
            if self.feeds.len() >= MAX_SOURCES {
                self.refused += 1;
                return None;
            }
            self.feeds.insert(source.to_owned(), Feed::default());
        }
        self.feeds.get_mut(source)
    }

    fn symbol(&mut self, source: &str, symbol: &str) -> Option<&mut SymbolView> {
        let key = (source.to_owned(), symbol.to_owned());
        if !self.symbols.contains_key(&key) {
            if self.symbols.len() >= MAX_SYMBOLS {
                // One that nobody subscribes to any more gives way; the store still has it.
                let old = self.symbols.iter().find(|(_, symbol)| symbol.rank.is_none());
                let Some(old) = old.map(|(old, _)| old.clone()) else {
                    self.refused += 1;
                    return None;
                };
                self.symbols.remove(&old);
            }
            let new = SymbolView::new(self.version);
            self.symbols.insert(key.clone(), new);
        }
        self.symbols.get_mut(&key)
    }
}
