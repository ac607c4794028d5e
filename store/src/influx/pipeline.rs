//! Points about the pipeline itself, for dashboards and alerts. They are no part of what is promised: nobody reads them
//! back, and one that is lost is lost. Fields are fixed like those of `fields`; `docs/grafana.md` has the same table.

use super::config::InfluxConfig;
use super::deliver::{Budget, deliver};
use super::fields::{Kind, Measurement};
use super::line::{self, Lines};
use super::link::Link;
use super::slot::Nanos;
use crate::{LeftOut, StoreError};

use Kind::{Float, Integer, Text};

/// What a gateway says.
pub const GATEWAY: Measurement = Measurement {
    name: "pipeline_gateway",
    tags: &["node", "source"],
    fields: &[
        ("feed_state", Text),
        ("silent_seconds", Float),
        ("durable", Integer),
        ("disk_bytes_today", Integer),
        ("frames", Integer),
        ("trades", Integer),
        ("price_updates", Integer),
        ("unpublished_batches", Integer),
        ("unmirrored_trades", Integer),
        ("rejected_elements", Integer),
        ("dropped_records", Integer),
    ],
};

/// What an aggregator says of one source, beside what its gateway said last.
pub const AGGREGATOR: Measurement = Measurement {
    name: "pipeline_aggregator",
    tags: &["node", "source", "store"],
    fields: &[
        ("behind_seconds", Float),
        ("store_seconds", Float),
        ("head", Integer),
        ("committed", Integer),
        ("consumed", Integer),
        ("stored", Integer),
        ("fetches", Integer),
        ("fetch_failures", Integer),
        ("revisions", Integer),
        ("late_records", Integer),
        ("implausible_records", Integer),
        ("lost_records", Integer),
        ("discarded_batches", Integer),
        ("undecodable_batches", Integer),
        ("store_writes", Integer),
        ("store_failures", Integer),
    ],
};

/// A service's process.
pub const PROCESS: Measurement = Measurement {
    name: "pipeline_process",
    tags: &["node", "service"],
    fields: &[("cpu_seconds", Float), ("resident_bytes", Integer)],
};

/// A host.
pub const HOST: Measurement = Measurement {
    name: "pipeline_host",
    tags: &["node"],
    fields: &[
        ("temperature_celsius", Float),
        ("throttled", Integer),
        ("disk_free_bytes", Integer),
        ("disk_total_bytes", Integer),
        ("written_bytes", Integer),
        ("memory_available_bytes", Integer),
    ],
};

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double.
    Float(f64),
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A point of one of the measurements here.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelinePoint {
    /// Which.
    pub measurement: &'static Measurement,
    /// A text a tag, in the measurement's order.
    pub tags: Vec<String>,
    /// Its fields, of the measurement's types; those that nobody told are left out.
    pub fields: Vec<(&'static str, Value)>,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
}

/// Writes such points to the bucket of minutes.
pub struct PipelineWriter {
    link: Link,
    bucket: String,
    budget: Budget,
}

impl PipelineWriter {
    /// Makes ready; the server is asked for nothing yet.
    pub fn open(config: &InfluxConfig) -> Result<Self, StoreError> {
        let link = Link::open(config)?;
        Ok(Self { link, bucket: config.minutes_bucket.clone(), budget: Budget::default() })
    }

    /// Writes all of them, or says what is in the way. Those that the server will never take are counted.
    pub fn write(&mut self, points: &[PipelinePoint]) -> Result<LeftOut, StoreError> {
        let mut lines = Lines::default();
        points.iter().for_each(|point| push(point, &mut lines));
        let send = |text: &str| self.link.write(&self.bucket, text);
        deliver(&lines, &mut self.budget, std::time::Instant::now(), send, |text, why| {
            tracing::warn!(why, line = text.lines().next(), "points of the pipeline are refused");
        })
    }
}

fn push(point: &PipelinePoint, into: &mut Lines) {
    let time = Nanos::of_ms(point.at_ms);
    if !time.fits() {
        return;
    }
    let keys = point.measurement.tags.iter().copied();
    let tags: Vec<(&str, &str)> = keys.zip(point.tags.iter().map(String::as_str)).collect();
    let fields: Vec<(&str, Option<line::Value<'_>>)> = point
        .fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Float(number) => line::Value::Float(*number),
                Value::Integer(number) => line::Value::Integer(*number),
                Value::Text(text) => line::Value::Text(text),
            };
            (*name, Some(value))
        })
        .collect();
    into.push(point.measurement.name, &tags, &fields, time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_table_is_this_one() {
        let document = include_str!("../../../docs/grafana.md");
        for measurement in [GATEWAY, AGGREGATOR, PROCESS, HOST] {
            let of = |kind: Kind| {
                let names = measurement.fields.iter().filter(|(_, k)| *k == kind).map(|(name, _)| *name);
                names.collect::<Vec<_>>().join(", ")
            };
            let texts = of(Text);
            let texts = if texts.is_empty() { String::new() } else { format!("{texts} ") };
            let floats = of(Float);
            let floats = if floats.is_empty() { String::new() } else { format!("{floats} ") };
            let (name, tags) = (measurement.name, measurement.tags.join(", "));
            let row = format!("| `{name}` | {tags} | {texts}| {floats}| {} |", of(Integer));
            assert!(document.contains(&row), "docs/grafana.md lacks\n{row}");
        }
    }

    #[test]
    fn a_point_is_a_line() {
        let point = PipelinePoint {
            measurement: &PROCESS,
            tags: vec!["pi 3".into(), "gateway".into()],
            fields: vec![("resident_bytes", Value::Integer(5)), ("cpu_seconds", Value::Float(0.5))],
            at_ms: 7,
        };
        let mut lines = Lines::default();
        push(&point, &mut lines);
        push(&PipelinePoint { at_ms: i64::MAX, ..point }, &mut lines);
        let text = lines.text(0..lines.len());
        assert_eq!(
            text,
            "pipeline_process,node=pi\\ 3,service=gateway resident_bytes=5i,cpu_seconds=0.5 7000000\n"
        );
    }
}
