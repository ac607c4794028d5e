//! A query, answered.

use super::parse::{Condition, Expression, Query, Select};
use super::point::{Point, Value};
use super::select::{grouped, plain};
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// The dashboard's time, both ends inclusive, and its step.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// From, ms since 1970 UTC.
    pub from_ms: i64,
    /// To.
    pub to_ms: i64,
    /// `$__interval`.
    pub interval_ms: i64,
    /// `now()`.
    pub now_ms: i64,
}

impl Range {
    pub(super) fn interval_ns(&self) -> i64 {
        self.interval_ms * 1_000_000
    }
}

/// A row: its time in ms, and a value a column.
pub type Row = (i64, Vec<Option<Value>>);

/// Rows of the same tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The tags it is grouped by.
    pub tags: BTreeMap<String, String>,
    /// The names of its columns; a single "value" of tag values.
    pub columns: Vec<String>,
    /// In the order asked for.
    pub rows: Vec<Row>,
}

/// What `query` says of `points`, which are those of its database.
pub fn answer(query: &Query, points: &[Point], range: &Range) -> Result<Vec<Series>> {
    match query {
        Query::Select(select) => selected(select, points, range),
        Query::TagValues { measurement, key, condition } => {
            let of_it = points.iter().filter(|p| p.measurement == *measurement && holds(condition, p, None));
            let values: BTreeSet<&String> = of_it.filter_map(|point| point.tags.get(key)).collect();
            let rows = values.into_iter().map(|value| (0, vec![Some(Value::Text(value.clone()))])).collect();
            Ok(vec![Series { tags: BTreeMap::new(), columns: vec!["value".into()], rows }])
        }
    }
}

fn selected(select: &Select, points: &[Point], range: &Range) -> Result<Vec<Series>> {
    let calls = select.items.iter().filter(|(item, _)| !matches!(item, Expression::Name(_))).count();
    ensure!(calls == 0 || calls == select.items.len(), "functions and single values do not mix");
    // A difference in the first step needs the step before.
    let extra = if select.by_time && select.items.iter().any(|(item, _)| differs(item)) {
        range.interval_ns()
    } else {
        0
    };
    let first = if extra > 0 {
        (range.from_ms * 1_000_000).div_euclid(extra) * extra - extra
    } else {
        range.from_ms * 1_000_000
    };
    let span = (first, range.to_ms * 1_000_000, range.now_ms * 1_000_000);
    let mut members: BTreeMap<BTreeMap<String, String>, Vec<&Point>> = BTreeMap::new();
    for point in points {
        if point.measurement == select.measurement && holds(&select.condition, point, Some(span)) {
            let tag = |key: &String| (key.clone(), point.tags.get(key).cloned().unwrap_or_default());
            members.entry(select.by_tags.iter().map(tag).collect()).or_default().push(point);
        }
    }
    let mut all = Vec::new();
    for (tags, mut points) in members {
        points.sort_by_key(|point| point.time_ns);
        let mut rows = if calls == 0 { plain(select, &points) } else { grouped(select, &points, range)? };
        if select.newest_first {
            rows.reverse();
        }
        rows.truncate(select.limit.unwrap_or(usize::MAX));
        let rows: Vec<Row> =
            rows.into_iter().map(|(time, values)| (time.div_euclid(1_000_000), values)).collect();
        if !rows.is_empty() {
            let columns = select.items.iter().map(|(_, alias)| alias.clone()).collect();
            all.push(Series { tags, columns, rows });
        }
    }
    Ok(all)
}

/// Whether it looks back at the row before.
fn differs(expression: &Expression) -> bool {
    match expression {
        Expression::Call(function, arguments) => {
            function.starts_with("non_negative_") || arguments.iter().any(differs)
        }
        Expression::Binary(left, _, right) => differs(left) || differs(right),
        _ => false,
    }
}

fn holds(condition: &Option<Condition>, point: &Point, span: Option<(i64, i64, i64)>) -> bool {
    condition.as_ref().is_none_or(|condition| meets(condition, point, span))
}

fn meets(condition: &Condition, point: &Point, span: Option<(i64, i64, i64)>) -> bool {
    match condition {
        Condition::TimeFilter => span.is_none_or(|(from, to, _)| (from..=to).contains(&point.time_ns)),
        // Of tag values no time is asked.
        Condition::Since(ns) => span.is_none_or(|(.., now)| point.time_ns > now - ns),
        Condition::Is(name, text) => match (point.tags.get(name), point.fields.get(name)) {
            (Some(tag), _) => tag == text,
            (None, Some(Value::Text(value))) => value == text,
            _ => false,
        },
        Condition::Compare(name, sign, number) => {
            let Some(value) = point.fields.get(name).and_then(Value::number) else { return false };
            match sign.as_str() {
                "=" => value == *number,
                "<" => value < *number,
                ">" => value > *number,
                "<=" => value <= *number,
                _ => value >= *number,
            }
        }
        Condition::And(left, right) => meets(left, point, span) && meets(right, point, span),
        Condition::Or(left, right) => meets(left, point, span) || meets(right, point, span),
    }
}
