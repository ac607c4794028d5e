//! The gateway's numbers, in a registry of its own.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tickberry_wire::counted::GatewayCounts;
use tickberry_wire::json::FeedState;

use crate::journal::Reader;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Handles on the numbers; clones count the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    frames: Family<Kind, Counter>,
    feed_state: Family<State, Gauge>,
    pub(crate) trades: Counter,
    pub(crate) price_updates: Counter,
    pub(crate) rejected_elements: Counter,
    pub(crate) suspected_copies: Counter,
    pub(crate) connections: Counter,
    pub(crate) failed_attempts: Counter,
    pub(crate) published: Counter,
    pub(crate) publish_dropped: Counter,
    pub(crate) mirrored: Counter,
    pub(crate) mirror_dropped: Counter,
    pub(crate) dropped_records: Counter,
    pub(crate) clock_steps: Counter,
    pub(crate) disk_bytes_today: Gauge,
    pub(crate) flush_seconds: Histogram,
    pub(crate) journal_seconds: Histogram,
}

const STATES: [(FeedState, &str); 8] = [
    (FeedState::Connecting, "connecting"),
    (FeedState::Subscribing, "subscribing"),
    (FeedState::Live, "live"),
    (FeedState::Quiet, "quiet"),
    (FeedState::Stalled, "stalled"),
    (FeedState::BackingOff, "backing_off"),
    (FeedState::Refused, "refused"),
    (FeedState::Surplus, "surplus"),
];

/// Kinds of frames.
const KINDS: [&str; 5] = ["trade", "ping", "error", "unknown", "garbage"];

impl Metrics {
    /// The numbers, and the registry that shows them beside the journal's own.
    pub(crate) fn new(journal: Reader) -> (Self, Registry) {
        let metrics = Self {
            frames: Family::default(),
            feed_state: Family::default(),
            trades: Counter::default(),
            price_updates: Counter::default(),
            rejected_elements: Counter::default(),
            suspected_copies: Counter::default(),
            connections: Counter::default(),
            failed_attempts: Counter::default(),
            published: Counter::default(),
            publish_dropped: Counter::default(),
            mirrored: Counter::default(),
            mirror_dropped: Counter::default(),
            dropped_records: Counter::default(),
            clock_steps: Counter::default(),
            disk_bytes_today: Gauge::default(),
            flush_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            journal_seconds: Histogram::new(exponential_buckets(0.000_01, 2.5, 12)),
        };
        let mut registry = Registry::with_prefix("tickberry_gateway");
        metrics.register(&mut registry);
        registry.register_collector(Box::new(JournalNumbers(journal)));
        (metrics, registry)
    }

    fn register(&self, to: &mut Registry) {
        let counters = [
            ("trades", "Trades received", &self.trades),
            ("price_updates", "Trades with volume 0 received", &self.price_updates),
            ("rejected_elements", "Elements of trade frames that are no trade", &self.rejected_elements),
            (
                "suspected_copies",
                "Trades in frames that repeat a recent frame; they count as trades",
                &self.suspected_copies,
            ),
            ("connections", "Connections made to the feed", &self.connections),
            ("failed_attempts", "Connections to the feed that did not come about", &self.failed_attempts),
            ("published_batches", "Batches handed to the broker's connection", &self.published),
            (
                "unpublished_batches",
                "Batches the broker's connection did not take; consumers fetch them from the journal",
                &self.publish_dropped,
            ),
            ("mirrored_trades", "Trades published as JSON", &self.mirrored),
            (
                "unmirrored_trades",
                "Trades not published as JSON for want of room or broker",
                &self.mirror_dropped,
            ),
        ];
        for (name, help, counter) in counters {
            to.register(name, help, counter.clone());
        }
        to.register("frames", "Frames received, by kind", self.frames.clone());
        to.register("feed_state", "1 for the state the feed is in", self.feed_state.clone());
        to.register(
            "dropped_records",
            "Records that could not be journaled at all",
            self.dropped_records.clone(),
        );
        to.register("clock_steps", "Times the wall clock was found stepped", self.clock_steps.clone());
        to.register_with_unit(
            "disk_today",
            "Bytes the journal wrote to disk since midnight UTC",
            Unit::Bytes,
            self.disk_bytes_today.clone(),
        );
        to.register_with_unit(
            "flush",
            "Time a flush of the journal took",
            Unit::Seconds,
            self.flush_seconds.clone(),
        );
        to.register_with_unit(
            "frame",
            "Time from a frame's reception until it was journaled and handed to the broker's connection",
            Unit::Seconds,
            self.journal_seconds.clone(),
        );
    }

    /// What the status says of them.
    pub(crate) fn counts(&self) -> GatewayCounts {
        let frames = KINDS.iter().map(|kind| self.frames.get_or_create(&Kind { kind }).get()).sum();
        GatewayCounts {
            frames,
            trades: self.trades.get(),
            price_updates: self.price_updates.get(),
            rejected_elements: self.rejected_elements.get(),
            unpublished_batches: self.publish_dropped.get(),
            unmirrored_trades: self.mirror_dropped.get(),
            dropped_records: self.dropped_records.get(),
        }
    }

    pub(crate) fn frames(&self, kind: &'static str) {
        debug_assert!(KINDS.contains(&kind));
        self.frames.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn feed_state(&self, now: FeedState) {
        for (state, name) in STATES {
            self.feed_state.get_or_create(&State { state: name }).set(i64::from(state == now));
        }
    }
}

/// The journal counts by itself; this reads it off when asked.
struct JournalNumbers(Reader);

impl std::fmt::Debug for JournalNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JournalNumbers")
    }
}

impl Collector for JournalNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (state, stats) = (self.0.state(), self.0.stats());
        let gauges = [
            ("journal_first_records", "Oldest offset kept", state.first),
            ("journal_head_records", "Next offset to be given", state.head),
            ("journal_committed_records", "Next offset that is not durable", state.committed),
            ("journal_durable", "1 on disk, 0 in memory", u64::from(state.durable)),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value.cast_signed());
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counters = [
            ("journal_appended_records", "Records appended", stats.appended_records),
            ("journal_appended_batches", "Batches appended", stats.appended_batches),
            ("journal_appended_bytes", "Bytes appended", stats.appended_bytes),
            ("journal_flushes", "Flushes that reached the disk", stats.flushes),
            (
                "journal_flushed_bytes",
                "Bytes of pages flushed: what the journal costs the flash",
                stats.flushed_bytes,
            ),
            ("journal_disk_errors", "Writes and flushes the disk refused", stats.disk_errors),
            ("journal_disk_retries", "Attempts to leave a memory epoch", stats.disk_retries),
            ("journal_disk_epochs", "Epochs begun on disk", stats.disk_epochs),
            ("journal_memory_epochs", "Epochs begun in memory", stats.memory_epochs),
            ("journal_segments", "Segments begun", stats.segments),
            (
                "journal_recycled_segments",
                "Segments whose space was given to newer records",
                stats.segments_recycled,
            ),
            ("journal_overwritten_records", "Records overwritten in the ring", stats.overwritten_records),
            ("journal_damaged_ranges", "Ranges of offsets found damaged", stats.damaged_ranges),
            ("journal_damaged_records", "Records found damaged", stats.damaged_records),
            (
                "journal_recovered_records",
                "Intact records above committed that a start kept",
                stats.recovered_records,
            ),
            ("journal_torn_tails", "Starts that cut a torn tail", stats.torn_tails),
            ("journal_newer_segments", "Segments of a newer release, left alone", stats.newer_segments),
            (
                "journal_unreadable_segments",
                "Segment files without a readable header, left alone",
                stats.unreadable_segments,
            ),
            ("journal_read_errors", "Pages the disk would not read", stats.read_errors),
            ("journal_reads", "Readings begun", stats.reads),
            ("journal_read_batches", "Batches read", stats.read_batches),
            (
                "journal_reads_gone",
                "Readings refused because the ring had gone over their offsets",
                stats.reads_gone,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// The registry as it is shared.
pub(crate) type SharedRegistry = Arc<Registry>;
