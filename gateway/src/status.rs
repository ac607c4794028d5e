//! What the gateway says about itself, retained on its status topic.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use tickberry_service::health::{Health, Sampler};
use tickberry_service::mqtt::Will;
use tickberry_wire::Source;
use tickberry_wire::counted::GatewayCounts;
use tickberry_wire::json::{GatewayStatus, Presence, StatusJson};
use tickberry_wire::topic::Topic;

use crate::core::Core;
use crate::recorder::Moment;

const DAY_MS: i64 = 86_400_000;

/// The status, and what it costs to have it.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    status: GatewayStatus,
    counted: GatewayCounts,
    health: Health,
}

/// What does not change, and the day's counter.
#[derive(Debug)]
pub(crate) struct StatusBoard {
    node: String,
    source: Source,
    simulated: bool,
    journal: String,
    /// The UTC day, and the journal's flushed bytes when it began.
    day: (i64, u64),
    sampler: Sampler,
}

impl StatusBoard {
    pub(crate) fn new(
        node: String,
        source: Source,
        simulated: bool,
        journal: String,
        sampler: Sampler,
        now: Moment,
    ) -> Self {
        Self { node, source, simulated, journal, day: (now.wall_ms.div_euclid(DAY_MS), 0), sampler }
    }

    pub(crate) fn topic(&self) -> String {
        Topic::Status("gateway".to_owned(), self.node.clone()).path()
    }

    /// What the broker says when we vanish, and what we say when we leave.
    pub(crate) fn will(&self) -> Will {
        Will { topic: self.topic(), payload: self.json(Presence::Offline, None) }
    }

    /// The present state.
    pub(crate) fn online(&mut self, core: &mut Core, counted: GatewayCounts, now: Moment) -> Bytes {
        let status = self.status(core, now);
        let health = self.sampler.look(now.wall_ms);
        self.json(Presence::Online, Some(Report { status, counted, health }))
    }

    /// The bytes the journal wrote to disk since midnight UTC.
    pub(crate) fn disk_bytes_today(&mut self, flushed_bytes: u64, now: Moment) -> u64 {
        let today = now.wall_ms.div_euclid(DAY_MS);
        if today != self.day.0 {
            self.day = (today, flushed_bytes);
        }
        flushed_bytes.saturating_sub(self.day.1)
    }

    fn status(&mut self, core: &mut Core, now: Moment) -> GatewayStatus {
        let state = core.recorder().state();
        let flushed_bytes = core.recorder().stats().flushed_bytes;
        let disk = core.recorder().disk_error().map(|error| {
            format!("{error} (what is in memory is lost if the process ends; free or mend the disk)")
        });
        let session = core.session();
        let message = match (session.message(), disk) {
            (Some(feed), Some(disk)) => Some(format!("{feed}; {disk}")),
            (Some(feed), None) => Some(feed.to_owned()),
            (None, disk) => disk,
        };
        GatewayStatus {
            source: self.source.clone(),
            simulated: self.simulated,
            feed_state: session.state(),
            since_ms: now.wall_at(session.since()),
            message,
            last_frame_ms: session.last_frame().map(|heard| now.wall_at(heard)),
            last_trade_ms: core.symbols().last_trade_ms(),
            epoch: state.epoch.get(),
            head: state.head,
            committed: state.committed,
            durable: state.durable,
            disk_bytes_today: self.disk_bytes_today(flushed_bytes, now),
            journal: self.journal.clone(),
            symbols: core.symbols().status(now.mono_ms),
        }
    }

    fn json(&self, state: Presence, detail: Option<Report>) -> Bytes {
        let status = StatusJson {
            service: Cow::Borrowed("gateway"),
            node: Cow::Borrowed(self.node.as_str()),
            state,
            detail,
        };
        serde_json::to_vec(&status).expect("a status is plain data").into()
    }
}
