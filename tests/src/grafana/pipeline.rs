//! Points of the pipeline, as docs/grafana.md describes them: seeded for the panels, and calm or troubled for the alerts.

use super::data::SOURCE;
use crate::influxql::Point;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Time between two points.
pub const STEP_MS: i64 = 15_000;

const GATEWAY_COUNTERS: [&str; 7] = [
    "frames",
    "trades",
    "price_updates",
    "unpublished_batches",
    "unmirrored_trades",
    "rejected_elements",
    "dropped_records",
];
const AGGREGATOR_COUNTERS: [&str; 10] = [
    "fetches",
    "fetch_failures",
    "revisions",
    "late_records",
    "implausible_records",
    "lost_records",
    "discarded_batches",
    "undecodable_batches",
    "store_writes",
    "store_failures",
];

/// What the pipeline says at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When, ms since 1970 UTC.
    pub time_ms: i64,
    /// `silent_seconds`
    pub silent: f64,
    /// `behind_seconds`
    pub behind: f64,
    /// `temperature_celsius`
    pub temperature: f64,
    /// `throttled`
    pub throttled: i64,
    /// `disk_free_bytes` of 1,000,000
    pub free: i64,
    /// `feed_state`
    pub state: &'static str,
    /// Every counter.
    pub count: i64,
    /// What the offsets lag behind each other.
    pub lag: i64,
}

/// A moment at which nothing is wrong.
pub fn calm(time_ms: i64) -> Moment {
    Moment {
        time_ms,
        silent: 0.5,
        behind: 0.0,
        temperature: 48.5,
        throttled: 0,
        free: 700_000,
        state: "live",
        count: 1_000,
        lag: 0,
    }
}

/// The points of a moment: two nodes, one of them with the gateway, one with the aggregator.
pub fn pipeline(moment: &Moment) -> Vec<Point> {
    let at = moment.time_ms * 1_000_000;
    let mut gateway = Point::new("pipeline_gateway", &[("node", "pi3"), ("source", SOURCE)], at)
        .text("feed_state", moment.state)
        .float("silent_seconds", moment.silent)
        .integer("durable", 1)
        .integer("disk_bytes_today", moment.count * 120);
    for (i, name) in (1..).zip(GATEWAY_COUNTERS) {
        gateway = gateway.integer(name, moment.count * i);
    }
    let head = moment.count * 40;
    let tags = [("node", "pi4"), ("source", SOURCE), ("store", "influxdb")];
    let mut aggregator = Point::new("pipeline_aggregator", &tags, at)
        .integer("head", head)
        .integer("committed", head - moment.lag)
        .integer("consumed", head - 2 * moment.lag)
        .integer("stored", head - 3 * moment.lag)
        .float("behind_seconds", moment.behind)
        .float("store_seconds", moment.count as f64 * 0.375);
    for (i, name) in (2..).zip(AGGREGATOR_COUNTERS) {
        aggregator = aggregator.integer(name, moment.count * i);
    }
    let mut points = vec![gateway, aggregator];
    for (i, (node, service)) in (1..).zip([("pi3", "gateway"), ("pi4", "aggregator"), ("pi4", "console")]) {
        let point = Point::new("pipeline_process", &[("node", node), ("service", service)], at);
        points.push(
            point
                .integer("resident_bytes", 6_000_000 * i + moment.count)
                .float("cpu_seconds", moment.count as f64 / 8.0),
        );
    }
    for (i, node) in (0..).zip(["pi3", "pi4"]) {
        let point = Point::new("pipeline_host", &[("node", node)], at)
            .float("temperature_celsius", moment.temperature + f64::from(i))
            .integer("throttled", moment.throttled)
            .integer("disk_free_bytes", moment.free)
            .integer("disk_total_bytes", 1_000_000)
            .integer("written_bytes", moment.count * 4_096)
            .integer("memory_available_bytes", 900_000_000 - moment.count);
        points.push(point);
    }
    points
}

/// Points from `from_ms` to `to_ms`: counters that grow, one restart in the middle, and every state of the feed.
pub fn series(seed: u64, from_ms: i64, to_ms: i64) -> Vec<Point> {
    const STATES: [&str; 8] =
        ["connecting", "subscribing", "live", "quiet", "stalled", "backing_off", "refused", "surplus"];
    let mut rng = StdRng::seed_from_u64(seed);
    let mut count = 1_000;
    let times: Vec<i64> = (from_ms..to_ms).step_by(STEP_MS as usize).collect();
    let middle = times.len() / 2;
    let moments = times.iter().enumerate().map(|(i, time_ms)| {
        count = if i == middle { 5 } else { count + rng.random_range(1..900) };
        Moment {
            silent: f64::from(rng.random_range(0..4_000)) / 8.0,
            behind: f64::from(rng.random_range(0..800)) / 8.0,
            temperature: f64::from(rng.random_range(320..680)) / 8.0,
            throttled: i64::from(rng.random_bool(0.2)),
            free: rng.random_range(1..1_000_000),
            state: STATES[i % STATES.len()],
            count,
            lag: rng.random_range(0..500),
            ..calm(*time_ms)
        }
    });
    moments.flat_map(|moment| pipeline(&moment)).collect()
}
