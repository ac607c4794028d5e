//! A query asked of the real Grafana and the real InfluxDB, and its answer beside the oracle's.

use super::asked::{Asked, Kind};
use super::data::{Buckets, TRADES_BUCKET};
use crate::harness::Grafana;
use crate::influxql::{Query, Range, Series, Value, answer, parse};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Sums and quotients of doubles may be added up in another order.
const TOLERANCE: f64 = 1e-12;

/// What must be answered; an error if that is nothing, because then the query is not tested.
pub fn expected(asked: &Asked, data: &Buckets, range: &Range) -> Result<Vec<Series>> {
    let query = parse(&asked.query)?;
    let points = match &query {
        Query::Select(select) if select.database.as_deref() == Some(TRADES_BUCKET) => &data.trades,
        Query::Select(select) if select.database.is_some() => bail!("{:?}: which bucket?", select.database),
        _ => &data.minutes,
    };
    let all = answer(&query, points, range)?;
    ensure!(!all.is_empty(), "the data has nothing for it");
    for series in &all {
        for (i, column) in series.columns.iter().enumerate() {
            let some = series.rows.iter().any(|(_, values)| values[i].is_some());
            ensure!(some, "the data has nothing for its column {column}");
        }
    }
    Ok(all)
}

/// Asks, and compares: the same series, columns, rows and values, and rows at all.
pub async fn check(
    grafana: &Grafana,
    source_uid: &str,
    asked: &Asked,
    range: &Range,
    wanted: &[Series],
) -> Result<()> {
    let frames = ask(grafana, source_uid, asked, range).await?;
    same(asked, wanted, &frames)
}

/// The frames of an answer.
pub async fn ask(grafana: &Grafana, source_uid: &str, asked: &Asked, range: &Range) -> Result<Vec<Json>> {
    let body = json!({
        "from": range.from_ms.to_string(),
        "to": range.to_ms.to_string(),
        "queries": [{
            "refId": "A",
            "datasource": {"type": "influxdb", "uid": source_uid},
            "rawQuery": true,
            "query": asked.query,
            "resultFormat": asked.format,
            "alias": asked.alias,
            "intervalMs": range.interval_ms,
            "maxDataPoints": 10_000,
        }],
    });
    let (status, said) = grafana.query(&body).await?;
    ensure!(status == 200, "{status} {said}");
    let result = &said["results"]["A"];
    ensure!(result["error"].is_null(), "{result}");
    Ok(result["frames"].as_array().cloned().unwrap_or_default())
}

/// A column of a frame: times in ms, and values.
struct Frame<'a> {
    labels: BTreeMap<String, String>,
    name: &'a str,
    times: Vec<i64>,
    values: &'a [Json],
}

fn same(asked: &Asked, wanted: &[Series], frames: &[Json]) -> Result<()> {
    let frames: Vec<Frame<'_>> = frames.iter().map(frame).collect::<Result<_>>()?;
    let columns: usize = wanted.iter().map(|series| series.columns.len()).sum();
    ensure!(frames.len() == columns, "{} columns answered, {columns} expected", frames.len());
    for series in wanted {
        for (i, column) in series.columns.iter().enumerate() {
            let name = shown(asked, series, column);
            let fits = |frame: &&Frame<'_>| {
                asked.kind == Kind::Variable || named(frame.name, &name) && frame.labels == series.tags
            };
            let frame = frames.iter().find(fits).with_context(|| {
                let names: Vec<&str> = frames.iter().map(|frame| frame.name).collect();
                format!("no column {name:?} of {:?} among {names:?}", series.tags)
            })?;
            ensure!(!frame.values.is_empty(), "{name}: no rows");
            let rows = series.rows.len();
            ensure!(frame.values.len() == rows, "{name}: {} rows, {rows} expected", frame.values.len());
            for (row, (time_ms, values)) in series.rows.iter().enumerate() {
                let timed = asked.kind == Kind::Variable || frame.times[row] == *time_ms;
                let (want, have) = (values[i].as_ref(), &frame.values[row]);
                ensure!(
                    timed && equal(want, have),
                    "{name}, row {row}: {have} at {:?}, expected {want:?} at {time_ms}",
                    frame.times.get(row)
                );
            }
        }
    }
    Ok(())
}

/// The name under which a column is shown.
fn shown(asked: &Asked, series: &Series, column: &str) -> String {
    if !asked.alias.is_empty() {
        let name = asked.alias.replace("$col", column);
        return series
            .tags
            .iter()
            .fold(name, |name, (tag, value)| name.replace(&format!("$tag_{tag}"), value));
    }
    match parse(&asked.query) {
        Ok(Query::Select(select)) => format!("{}.{column}", select.measurement),
        _ => String::new(),
    }
}

/// Without an alias the tags follow the name, in any order; they are compared by themselves.
fn named(name: &str, wanted: &str) -> bool {
    name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(" { "))
}

fn equal(want: Option<&Value>, have: &Json) -> bool {
    match want {
        None => have.is_null(),
        Some(Value::Text(text)) => have.as_str() == Some(text),
        Some(value) => match (value.number(), have.as_f64()) {
            (Some(want), Some(have)) => {
                want == have || (want - have).abs() <= TOLERANCE * want.abs().max(have.abs())
            }
            _ => false,
        },
    }
}

fn frame(json: &Json) -> Result<Frame<'_>> {
    let fields = json["schema"]["fields"].as_array().context("a frame without fields")?;
    let values = json["data"]["values"].as_array().context("a frame without values")?;
    let column = fields.len().checked_sub(1).context("a frame of no columns")?;
    let labels = fields[column]["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let times = if column == 0 { &[][..] } else { values[0].as_array().context("no times")?.as_slice() };
    Ok(Frame {
        labels: labels.collect(),
        name: json["schema"]["name"].as_str().unwrap_or_default(),
        times: times.iter().filter_map(Json::as_i64).collect(),
        values: values[column].as_array().context("no values")?,
    })
}
