//! `/api/v1/status`: what other programs poll.

use serde::Serialize;

use super::{Aggregator, AggregatorReport, Feed, View};

/// What is said of an aggregator that has gone.
const NOT_RUNNING: &str = "the aggregator is not running; minutes stand still, and what arrives waits in the journal until it is back.";

/// The answer of `/api/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// One a source.
    pub feeds: Vec<FeedStatus>,
    /// One a source and aggregator.
    pub streams: Vec<StreamStatus>,
    /// Whether the bus can be heard; while it cannot, all else is what was last known.
    pub bus: &'static str,
    /// This machine's clock.
    pub now_ms: i64,
}

/// How a feed is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedStatus {
    /// Its name.
    pub source: String,
    /// Whether its trades are made up.
    pub simulated: bool,
    /// `connecting`, `subscribing`, `live`, `quiet`, `stalled`, `backing_off`, `refused` or `surplus`.
    /// A gateway that is gone or cannot be heard is `stalled` here, with `online` false.
    pub state: String,
    /// Since when.
    pub since_ms: i64,
    /// Whether the gateway's own word is heard.
    pub online: bool,
    /// Whether the journal is on disk.
    pub durable: bool,
    /// When the feed last sent anything.
    pub last_frame_ms: Option<i64>,
    /// Time of its newest trade.
    pub last_trade_ms: Option<i64>,
    /// Where its journal can be read, if its gateway said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// Bytes written to disk since midnight UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes_today: Option<u64>,
    /// What somebody should know or do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a source's records have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// The source.
    pub source: String,
    /// The epoch in course.
    pub epoch: u64,
    /// The next offset to be given.
    pub head: u64,
    /// The next offset not yet durable.
    pub committed: u64,
    /// The next offset the aggregator needs.
    pub consumed: u64,
    /// The offset below which the store holds all; equal to `head` only where that is known to be so.
    pub stored: u64,
    /// Which kind of store.
    pub store: String,
    /// Records below `stored` that no journal could give any more; without it, `stored == head` would look whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Trades given to the store again although it had them; it keeps each once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubled: Option<u64>,
    /// What somebody should know or do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl View {
    /// What `/api/v1/status` answers.
    pub fn status(&self, now_ms: i64) -> Status {
        Status {
            feeds: self.feeds.iter().map(|(source, feed)| self.feed_status(source, feed)).collect(),
            streams: self.feeds.iter().flat_map(|(source, feed)| self.streams(source, feed)).collect(),
            bus: if self.bus.up { "up" } else { "down" },
            now_ms,
        }
    }

    fn feed_status(&self, source: &str, feed: &Feed) -> FeedStatus {
        let report = feed.report.clone().unwrap_or_default();
        let unheard = (!self.bus.up).then_some(self.bus.since_ms).or(feed.gone_ms);
        // Heard of by its batches only, so far: its gateway has not spoken yet.
        let silent = feed.report.is_none().then_some(self.bus.since_ms);
        let (state, since_ms) = match (unheard, silent) {
            (Some(since), _) => ("stalled".to_owned(), since),
            (None, Some(since)) => ("connecting".to_owned(), since),
            (None, None) => (report.state, report.since_ms),
        };
        FeedStatus {
            source: source.to_owned(),
            simulated: report.simulated,
            state,
            since_ms,
            online: unheard.is_none() && silent.is_none(),
            durable: report.durable,
            last_frame_ms: report.last_frame_ms,
            last_trade_ms: report.last_trade_ms,
            journal: Some(report.journal).filter(|address| !address.is_empty()),
            disk_bytes_today: report.disk_bytes_today,
            message: report.message,
        }
    }

    fn streams(&self, source: &str, feed: &Feed) -> Vec<StreamStatus> {
        let certain = self.bus.up && feed.gone_ms.is_none() && feed.report.is_some();
        let progress = &feed.progress;
        let row = |Aggregator { report, is_gone }: &Aggregator| StreamStatus {
            source: source.to_owned(),
            epoch: progress.epoch.unwrap_or_default(),
            head: progress.head,
            committed: progress.committed(report.epoch, report.stored),
            consumed: report.consumed,
            stored: progress.stored(report.epoch, report.stored, certain),
            store: report.store.clone(),
            lost: report.lost,
            doubled: report.doubled,
            message: if *is_gone { Some(NOT_RUNNING.into()) } else { report.message.clone() },
        };
        let of_source = self.aggregators.iter().filter(|((owner, _), _)| owner == source);
        let rows: Vec<_> = of_source.map(|(_, report)| row(report)).collect();
        if rows.is_empty() {
            let report = AggregatorReport { store: "none".into(), ..AggregatorReport::default() };
            return vec![row(&Aggregator { report, is_gone: false })];
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AggregatorReport, Event, GatewayReport, View};

    fn gateway(state: &str, epoch: u64, head: u64) -> Event {
        Event::Gateway(GatewayReport {
            node: "pi".into(),
            source: "finnhub".into(),
            state: state.into(),
            since_ms: 5,
            epoch,
            head,
            committed: head,
            durable: true,
            ..GatewayReport::default()
        })
    }

    fn aggregator(epoch: u64, stored: u64) -> Event {
        Event::Aggregator(AggregatorReport {
            node: "pi".into(),
            source: "finnhub".into(),
            epoch,
            consumed: stored,
            stored,
            store: "sqlite".into(),
            ..AggregatorReport::default()
        })
    }

    fn view(events: impl IntoIterator<Item = Event>) -> View {
        let mut view = View::new(1, 0);
        for (at, event) in events.into_iter().enumerate() {
            view.apply(event, i64::try_from(at).expect("few events") * 10);
        }
        view
    }

    /// The keys other programs rely on, with their types.
    #[test]
    fn the_shape_of_the_contract() {
        let view = view([Event::BusUp, gateway("live", 3, 9), aggregator(3, 7)]);
        let json = serde_json::to_value(view.status(1)).expect("serializes");
        let feed = &json["feeds"][0];
        assert_eq!((&feed["source"], &feed["simulated"]), (&"finnhub".into(), &false.into()));
        assert_eq!((&feed["state"], &feed["since_ms"]), (&"live".into(), &5.into()));
        let stream = &json["streams"][0];
        for (key, value) in [("epoch", 3), ("head", 9), ("committed", 9), ("consumed", 7), ("stored", 7)] {
            assert_eq!(stream[key], value, "{key}");
        }
        assert_eq!((&stream["source"], &stream["store"]), (&"finnhub".into(), &"sqlite".into()));
    }

    #[test]
    fn stored_equals_head_only_where_it_is_known() {
        let batch = |epoch, head| Event::Progress { source: "finnhub".into(), epoch, head, committed: head };
        let gone = || Event::GatewayGone { node: "pi".into() };
        let up = || Event::BusUp;
        for (name, events, equal) in [
            ("all in", vec![up(), gateway("live", 3, 9), aggregator(3, 9)], true),
            ("a batch since", vec![up(), gateway("live", 3, 9), aggregator(3, 9), batch(3, 10)], false),
            ("an older status", vec![up(), batch(3, 10), gateway("live", 3, 9), aggregator(3, 10)], true),
            ("bus down", vec![up(), gateway("live", 3, 9), aggregator(3, 9), Event::BusDown], false),
            ("gateway gone", vec![up(), gateway("live", 3, 9), aggregator(3, 9), gone()], false),
            (
                "another's end",
                vec![up(), gateway("live", 3, 9), aggregator(3, 9), Event::GatewayGone { node: "x".into() }],
                true,
            ),
            ("next epoch", vec![up(), gateway("live", 3, 9), aggregator(3, 9), batch(4, 9)], false),
            ("no gateway heard", vec![up(), batch(3, 9), aggregator(3, 9)], false),
            ("no aggregator", vec![up(), gateway("live", 3, 9)], false),
        ] {
            let status = view(events).status(0);
            assert_eq!(status.streams[0].stored == status.streams[0].head, equal, "{name}: {status:?}");
        }
    }

    #[test]
    fn an_aggregator_that_has_gone_is_told_until_it_is_back() {
        let gone = |node: &str| Event::AggregatorGone { node: node.into() };
        for (name, events, told) in [
            ("there", vec![aggregator(3, 9)], false),
            ("gone", vec![aggregator(3, 9), gone("pi")], true),
            ("another", vec![aggregator(3, 9), gone("x")], false),
            ("back", vec![aggregator(3, 9), gone("pi"), aggregator(3, 9)], false),
            ("never there", vec![gone("pi")], false),
        ] {
            let events = [Event::BusUp, gateway("live", 3, 9)].into_iter().chain(events);
            let status = view(events).status(0);
            let message = status.streams[0].message.as_deref();
            assert_eq!(message.is_some_and(|message| message.contains("not running")), told, "{name}");
        }
    }

    #[test]
    fn a_feed_that_cannot_be_heard_is_not_live() {
        for (name, events, state, since_ms, online) in [
            ("heard", vec![Event::BusUp, gateway("quiet", 1, 1)], "quiet", 5, true),
            ("bus down", vec![Event::BusUp, gateway("live", 1, 1), Event::BusDown], "stalled", 20, false),
            (
                "gone",
                vec![Event::BusUp, gateway("live", 1, 1), Event::GatewayGone { node: "pi".into() }],
                "stalled",
                20,
                false,
            ),
            (
                "back",
                vec![Event::BusUp, Event::GatewayGone { node: "pi".into() }, gateway("live", 1, 1)],
                "live",
                5,
                true,
            ),
        ] {
            let feed = view(events).status(0).feeds.remove(0);
            assert_eq!(
                (feed.state.as_str(), feed.since_ms, feed.online),
                (state, since_ms, online),
                "{name}"
            );
        }
    }
}
