//! What is kept of one symbol: its last price, the points of its price line, its newest minutes.

use std::collections::{BTreeMap, VecDeque};

use tickberry_wire::Decimal;

use super::report::{LiveReport, Minute, Price};

/// Points of the price line kept: a quarter of an hour at one a second.
pub(crate) const MAX_POINTS: usize = 900;
/// Minutes kept; older ones are the store's to tell.
pub(crate) const MAX_MINUTES: usize = 180;
/// A time further than this ahead of its own arrival is a broken clock's, and would pin the last price.
const AHEAD_MS: i64 = 3_600_000;

/// The newest of one symbol.
#[derive(Debug, Clone, Default)]
pub(crate) struct SymbolView {
    /// Version of the last change of price or state.
    pub(crate) changed: u64,
    /// Position in the gateway's list; symbols it does not have come last.
    pub(crate) rank: Option<usize>,
    /// The gateway's word for it.
    pub(crate) state: String,
    /// Time of the newest trade, as the gateway says.
    pub(crate) last_trade_ms: Option<i64>,
    /// The newest price.
    pub(crate) last: Option<Last>,
    points: VecDeque<Point>,
    minutes: BTreeMap<i64, (u64, Minute)>,
    /// Set when an epoch begins: the next price is taken even if its time is earlier.
    fresh: bool,
}

/// The newest price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) time_ms: i64,
    pub(crate) price: Decimal,
    pub(crate) update: bool,
}

/// The last price of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    version: u64,
    /// The second's start.
    pub(crate) time_ms: i64,
    pub(crate) price: Decimal,
}

impl SymbolView {
    pub(crate) fn new(version: u64) -> SymbolView {
        SymbolView { changed: version, state: "unknown".into(), ..SymbolView::default() }
    }

    pub(crate) fn epoch_began(&mut self) {
        self.fresh = true;
    }

    /// Takes a price off a batch.
    pub(crate) fn price(&mut self, version: u64, price: &Price, received_ms: Option<i64>) {
        if received_ms.is_some_and(|received| price.time_ms > received.saturating_add(AHEAD_MS)) {
            return;
        }
        self.newest(version, Last { time_ms: price.time_ms, price: price.price, update: price.update });
    }

    /// Takes what the store has, if nothing newer was heard. A store's doubles have lost the digits behind
    /// the last that matters, so the bus may say the last price again.
    pub(crate) fn past(&mut self, version: u64, prices: &[Price]) {
        if self.last.is_none() {
            prices.iter().for_each(|price| self.price(version, price, None));
            self.fresh = true;
        }
    }

    /// Takes an aggregator's word.
    pub(crate) fn live(&mut self, version: u64, live: &LiveReport) {
        if let Some((time_ms, price, update)) = live.last {
            // Batches are heard first; this matters at the start, when only the retained word is there.
            if self.fresh || self.last.is_none_or(|last| last.time_ms < time_ms) {
                self.newest(version, Last { time_ms, price, update });
            }
        }
        if let Some(minute) = live.minute {
            self.minute(version, Minute { last: false, ..minute });
        }
    }

    fn newest(&mut self, version: u64, last: Last) {
        if !self.fresh && self.last.is_some_and(|before| before.time_ms > last.time_ms) {
            return;
        }
        self.fresh = false;
        self.last = Some(last);
        self.changed = version;
        let point =
            Point { version, time_ms: last.time_ms - last.time_ms.rem_euclid(1000), price: last.price };
        while self.points.back().is_some_and(|back| back.time_ms >= point.time_ms) {
            self.points.pop_back();
        }
        if self.points.len() == MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Takes a minute. One that is final is never replaced by what an open window said of it, nor by an
    /// earlier revision.
    pub(crate) fn minute(&mut self, version: u64, minute: Minute) {
        if let Some((_, known)) = self.minutes.get(&minute.start_ms) {
            let older = (minute.last, minute.revision) < (known.last, known.revision);
            if older || *known == minute {
                return;
            }
        }
        self.minutes.insert(minute.start_ms, (version, minute));
        if self.minutes.len() > MAX_MINUTES {
            self.minutes.pop_first();
        }
    }

    /// Points newer than a version, oldest first.
    pub(crate) fn points(&self, since: u64) -> impl Iterator<Item = &Point> {
        // Versions grow along the ring, so a caller that is up to date costs nothing.
        let start = self.points.partition_point(|point| point.version <= since);
        self.points.range(start..)
    }

    /// Minutes newer than a version, oldest first.
    pub(crate) fn minutes(&self, since: u64) -> impl Iterator<Item = &Minute> {
        self.minutes.values().filter(move |(version, _)| *version > since).map(|(_, minute)| minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    fn price(time_ms: i64, text: &str) -> Price {
        Price { symbol: "A".into(), time_ms, price: decimal(text), update: false }
    }

    fn points(view: &SymbolView, since: u64) -> Vec<(i64, String)> {
        view.points(since).map(|point| (point.time_ms, point.price.to_string())).collect()
    }

    #[test]
    fn one_point_a_second_digit_for_digit() {
        let mut view = SymbolView::default();
        for (version, time_ms, text) in
            [(1, 1000, "1.50"), (2, 1400, "1.60"), (3, 1300, "9"), (4, 2001, "1.7"), (5, 1999, "9")]
        {
            view.price(version, &price(time_ms, text), Some(3000));
        }
        assert_eq!(points(&view, 0), [(1000, "1.60".into()), (2000, "1.7".into())]);
        assert_eq!(points(&view, 2), [(2000, "1.7".into())]);
        assert_eq!(points(&view, 4), []);
        assert_eq!(view.last.map(|last| last.price.to_string()), Some("1.7".into()));
    }

    #[test]
    fn the_store_tells_the_past_and_the_bus_the_digits() {
        let mut view = SymbolView::default();
        view.past(1, &[price(1000, "1.1"), price(2500, "1.5")]);
        let live =
            |last| LiveReport { source: "s".into(), symbol: "A".into(), last: Some(last), minute: None };
        view.live(2, &live((2500, decimal("1.50"), false)));
        assert_eq!(points(&view, 0), [(1000, "1.1".into()), (2000, "1.50".into())]);
        view.past(3, &[price(9000, "9")]);
        view.live(4, &live((2400, decimal("7"), false)));
        assert_eq!(points(&view, 0).len(), 2);
    }

    #[test]
    fn an_absurd_time_does_not_pin_the_price() {
        let mut view = SymbolView::default();
        view.price(1, &price(10_000_000, "9"), Some(1000));
        view.price(2, &price(1000, "2"), Some(1000));
        assert_eq!(points(&view, 0), [(1000, "2".into())]);
    }

    #[test]
    fn a_recording_that_starts_over_is_followed() {
        let mut view = SymbolView::default();
        view.price(1, &price(5000, "5"), None);
        view.price(2, &price(9000, "9"), None);
        view.epoch_began();
        view.price(3, &price(6000, "6"), None);
        view.price(4, &price(5500, "4"), None);
        assert_eq!(points(&view, 0), [(5000, "5".into()), (6000, "6".into())]);
    }

    #[test]
    fn everything_is_bounded() {
        let mut view = SymbolView::default();
        for second in 0..2_000 {
            view.price(1, &price(second * 1000, "1"), None);
            view.minute(1, Minute { start_ms: second * 60_000, ..Minute::default() });
        }
        assert_eq!((view.points.len(), view.minutes.len()), (MAX_POINTS, MAX_MINUTES));
    }

    #[test]
    fn a_final_minute_stays_final_and_only_gets_newer() {
        let minute = |last, revision, close| Minute { last, revision, close, ..Minute::default() };
        let mut view = SymbolView::default();
        for (version, given, kept) in [
            (1, minute(false, 0, 1.0), 1.0),
            (2, minute(false, 0, 2.0), 2.0),
            (3, minute(true, 0, 3.0), 3.0),
            (4, minute(false, 0, 4.0), 3.0),
            (5, minute(true, 2, 5.0), 5.0),
            (6, minute(true, 1, 6.0), 5.0),
        ] {
            view.minute(version, given);
            assert_eq!(view.minutes(0).next().map(|minute| minute.close), Some(kept), "after {version}");
        }
        assert_eq!(view.minutes(5).count(), 0);
        assert_eq!(view.minutes(4).count(), 1);
    }
}
