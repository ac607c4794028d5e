//! From a status to points. Pure; the fields are looked up by their names, which are the keys of the status.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tickberry_store::influx::pipeline::{AGGREGATOR, GATEWAY, HOST, PROCESS, PipelinePoint, Value};
use tickberry_store::influx::{Kind, Measurement};

use super::behind::Behind;
use crate::service::SOURCES;

/// Services on a shelf, at most; of more, nothing is noted.
const SERVICES: usize = 256;

/// A status without which so long, three times its period, the collector speaks for the service.
const MISSED_MS: i64 = 45_000;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// By (service, node).
    seen: BTreeMap<(String, String), Seen>,
    /// By source.
    journals: BTreeMap<String, Journal>,
    /// Since when the broker's connection stands, while it does.
    up_ms: Option<i64>,
}

/// What is kept of a service's last status.
#[derive(Debug)]
struct Seen {
    at_ms: i64,
    /// When it came, by this host's clock.
    heard_ms: i64,
    last: Last,
}

#[derive(Debug)]
enum Last {
    /// A gateway's source, and since when it heard nothing, by its clock.
    Gateway(String, i64),
    /// Source, store and `stored` of an aggregator's streams.
    Aggregator(Vec<(String, String, u64)>),
    Other,
}

/// A gateway's words about its journal.
#[derive(Debug, Default)]
struct Journal {
    words: Json,
    behind: Behind,
}

impl Collector {
    /// The points of a status: none unless its host was looked at again since the last.
    pub(super) fn hear(
        &mut self,
        service: &str,
        node: &str,
        payload: &[u8],
        now_ms: i64,
    ) -> Vec<PipelinePoint> {
        let key = (service.to_owned(), node.to_owned());
        if payload.is_empty() {
            // Its retained status was cleared: whoever did it does not miss the service.
            self.seen.remove(&key);
        }
        let Ok(status) = serde_json::from_slice::<Json>(payload) else { return Vec::new() };
        if service == "gateway" {
            self.journal(&status, now_ms);
        }
        let health = &status["health"];
        let Some(at_ms) = health["at_ms"].as_i64() else { return Vec::new() };
        let is_new = self.seen.get(&key).is_none_or(|seen| seen.at_ms != at_ms);
        if !is_new || self.seen.len() >= SERVICES && !self.seen.contains_key(&key) {
            return Vec::new();
        }
        let mut points = vec![
            point(&PROCESS, &[node, service], at_ms, Vec::new(), &[&health["process"]]),
            point(&HOST, &[node], at_ms, Vec::new(), &[&health["host"]]),
        ];
        let text = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let mut last = Last::Other;
        if service == "gateway" {
            let source = text(&status, "source");
            let since_ms = silent_since(&status, at_ms);
            let places = [&status, &status["counted"]];
            points.push(point(&GATEWAY, &[node, &source], at_ms, silent(at_ms, since_ms), &places));
            last = Last::Gateway(source, since_ms);
        } else if service == "aggregator" {
            let mut streams = Vec::new();
            for stream in status["streams"].as_array().into_iter().flatten().take(SOURCES) {
                let (source, store) = (text(stream, "source"), text(stream, "store"));
                let stored = stream["stored"].as_u64().unwrap_or_default();
                if let Some(journal) = self.journals.get(&source) {
                    let places = [stream, &stream["counted"], &journal.words];
                    let behind = journal.behind(stored, now_ms);
                    points.push(point(&AGGREGATOR, &[node, &source, &store], at_ms, behind, &places));
                }
                streams.push((source, store, stored));
            }
            last = Last::Aggregator(streams);
        }
        self.seen.insert(key, Seen { at_ms, heard_ms: now_ms, last });
        points
    }

    /// The broker's connection stands, or does not.
    pub(super) fn up(&mut self, since_ms: Option<i64>) {
        self.up_ms = since_ms;
    }

    /// Points, of now, for gateways and aggregators that were heard of and say nothing any more: rules look at every
    /// series for itself, and one that ends would be forgotten.
    pub(super) fn missed(&self, now_ms: i64) -> Vec<PipelinePoint> {
        let mut points = Vec::new();
        // Without the broker nobody is heard, and that says nothing of the services.
        let Some(up_ms) = self.up_ms else { return points };
        for ((_, node), seen) in &self.seen {
            if now_ms - seen.heard_ms.max(up_ms) < MISSED_MS {
                continue;
            }
            match &seen.last {
                Last::Gateway(source, since_ms) => {
                    points.push(point(&GATEWAY, &[node, source], now_ms, silent(now_ms, *since_ms), &[]));
                }
                Last::Aggregator(streams) => {
                    for (source, store, stored) in streams {
                        let Some(journal) = self.journals.get(source) else { continue };
                        let behind = journal.behind(*stored, now_ms);
                        points.push(point(&AGGREGATOR, &[node, source, store], now_ms, behind, &[]));
                    }
                }
                Last::Other => {}
            }
        }
        points
    }

    fn journal(&mut self, status: &Json, now_ms: i64) {
        let (Some(source), Some(committed)) = (status["source"].as_str(), status["committed"].as_u64())
        else {
            return;
        };
        if self.journals.len() >= SOURCES && !self.journals.contains_key(source) {
            return;
        }
        let journal = self.journals.entry(source.to_owned()).or_default();
        journal.words = serde_json::json!({"head": status["head"], "committed": committed});
        journal.behind.committed(committed, now_ms);
    }
}

impl Journal {
    fn behind(&self, stored: u64, now_ms: i64) -> Vec<(&'static str, Value)> {
        vec![("behind_seconds", Value::Float(self.behind.seconds(stored, now_ms)))]
    }
}

fn point(
    measurement: &'static Measurement,
    tags: &[&str],
    at_ms: i64,
    more: Vec<(&'static str, Value)>,
    places: &[&Json],
) -> PipelinePoint {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    PipelinePoint { measurement, tags, fields: fields(measurement, more, places), at_ms }
}

/// The measurement's fields that are in one of the places, beside those given.
fn fields(
    measurement: &Measurement,
    more: Vec<(&'static str, Value)>,
    places: &[&Json],
) -> Vec<(&'static str, Value)> {
    let mut fields = more;
    for (name, kind) in measurement.fields {
        let found = places.iter().find_map(|place| value(*kind, place.get(*name)?));
        if let (Some(value), false) = (found, fields.iter().any(|(known, _)| known == name)) {
            fields.push((*name, value));
        }
    }
    fields
}

fn value(kind: Kind, json: &Json) -> Option<Value> {
    match kind {
        Kind::Float => json.as_f64().map(Value::Float),
        Kind::Integer => json.as_i64().or(json.as_bool().map(i64::from)).map(Value::Integer),
        Kind::Text => json.as_str().map(|text| Value::Text(text.to_owned())),
    }
}

/// The last frame, or, without one, since when the feed is in its state.
fn silent_since(status: &Json, at_ms: i64) -> i64 {
    status["last_frame_ms"].as_i64().or(status["since_ms"].as_i64()).unwrap_or(at_ms)
}

fn silent(at_ms: i64, since_ms: i64) -> Vec<(&'static str, Value)> {
    vec![("silent_seconds", Value::Float(at_ms.saturating_sub(since_ms).max(0) as f64 / 1000.0))]
}
