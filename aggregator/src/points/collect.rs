//! From a status to points. Pure; the fields are looked up by their names, which are the keys of the status.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tickberry_store::influx::pipeline::{AGGREGATOR, GATEWAY, HOST, PROCESS, PipelinePoint, Value};
use tickberry_store::influx::{Kind, Measurement};

use super::behind::Behind;
use crate::service::SOURCES;

/// Services on a shelf, at most; of more, nothing is noted.
const SERVICES: usize = 256;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// The last `at_ms` of (service, node).
    seen: BTreeMap<(String, String), i64>,
    /// By source.
    journals: BTreeMap<String, Journal>,
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
        let Ok(status) = serde_json::from_slice::<Json>(payload) else { return Vec::new() };
        if service == "gateway" {
            self.journal(&status, now_ms);
        }
        let health = &status["health"];
        let Some(at_ms) = health["at_ms"].as_i64() else { return Vec::new() };
        let key = (service.to_owned(), node.to_owned());
        let is_new = self.seen.get(&key).is_none_or(|seen| *seen != at_ms);
        if !is_new || self.seen.len() >= SERVICES && !self.seen.contains_key(&key) {
            return Vec::new();
        }
        self.seen.insert(key, at_ms);
        let point =
            |measurement: &'static Measurement, tags: &[&str], more, places: &[&Json]| PipelinePoint {
                measurement,
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                fields: fields(measurement, more, places),
                at_ms,
            };
        let mut points = vec![
            point(&PROCESS, &[node, service], Vec::new(), &[&health["process"]]),
            point(&HOST, &[node], Vec::new(), &[&health["host"]]),
        ];
        let text = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        if service == "gateway" {
            let silent = ("silent_seconds", Value::Float(silent(&status, at_ms)));
            let places = [&status, &status["counted"]];
            points.push(point(&GATEWAY, &[node, &text(&status, "source")], vec![silent], &places));
        }
        for stream in status["streams"].as_array().into_iter().flatten() {
            let source = text(stream, "source");
            let Some(journal) = self.journals.get(&source) else { continue };
            let stored = stream["stored"].as_u64().unwrap_or_default();
            let behind = ("behind_seconds", Value::Float(journal.behind.seconds(stored, now_ms)));
            let places = [stream, &stream["counted"], &journal.words];
            points.push(point(&AGGREGATOR, &[node, &source, &text(stream, "store")], vec![behind], &places));
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

/// Since the last frame, or, without one, since the feed is in its state.
fn silent(status: &Json, at_ms: i64) -> f64 {
    let since = status["last_frame_ms"].as_i64().or(status["since_ms"].as_i64()).unwrap_or(at_ms);
    (at_ms - since).max(0) as f64 / 1000.0
}
