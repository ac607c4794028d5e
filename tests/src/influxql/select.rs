//! The rows of one series.

use super::answer::Range;
use super::parse::{Expression, Select};
use super::point::{Point, Value};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// Values by the time of their row, in ns.
type Column = BTreeMap<i64, Value>;

/// Rows of single points: each that has one of the fields.
pub(super) fn plain(select: &Select, points: &[&Point]) -> Vec<(i64, Vec<Option<Value>>)> {
    let mut rows = Vec::new();
    for point in points {
        let mut some = false;
        let values = select.items.iter().map(|(expression, _)| {
            let Expression::Name(name) = expression else { return None };
            let field = point.fields.get(name).cloned();
            some |= field.is_some();
            field.or_else(|| point.tags.get(name).cloned().map(Value::Text))
        });
        let values: Vec<_> = values.collect();
        if some {
            rows.push((point.time_ns, values));
        }
    }
    rows
}

/// Rows of functions of many points.
pub(super) fn grouped(
    select: &Select,
    points: &[&Point],
    range: &Range,
) -> Result<Vec<(i64, Vec<Option<Value>>)>> {
    let mut buckets: BTreeMap<i64, Vec<&Point>> = BTreeMap::new();
    for point in points {
        let step = range.interval_ns();
        let start =
            if select.by_time { point.time_ns.div_euclid(step) * step } else { range.from_ms * 1_000_000 };
        buckets.entry(start).or_default().push(point);
    }
    let columns: Vec<Column> =
        select.items.iter().map(|(expression, _)| column(expression, &buckets)).collect::<Result<_>>()?;
    // The bucket before the range is there for differences only.
    let first = if select.by_time {
        (range.from_ms * 1_000_000).div_euclid(range.interval_ns()) * range.interval_ns()
    } else {
        i64::MIN
    };
    let mut rows = Vec::new();
    for start in buckets.keys().filter(|start| **start >= first) {
        let values: Vec<Option<Value>> = columns.iter().map(|column| column.get(start).cloned()).collect();
        if values.iter().any(Option::is_some) {
            let time = selected(select, &buckets[start])?.unwrap_or(*start);
            rows.push((time, values));
        }
    }
    Ok(rows)
}

/// A single selector of a whole range has the time of the point it selected.
fn selected(select: &Select, points: &[&Point]) -> Result<Option<i64>> {
    let [(Expression::Call(function, arguments), _)] = select.items.as_slice() else { return Ok(None) };
    let [Expression::Name(field)] = arguments.as_slice() else { return Ok(None) };
    if select.by_time || !["first", "last", "min", "max"].contains(&function.as_str()) {
        return Ok(None);
    }
    let wanted = aggregate(function, field, points)?;
    let times = points.iter().filter(|p| p.fields.get(field) == wanted.as_ref()).map(|p| p.time_ns);
    Ok(if function == "last" { times.max() } else { times.min() })
}

fn column(expression: &Expression, buckets: &BTreeMap<i64, Vec<&Point>>) -> Result<Column> {
    match expression {
        Expression::Number(number) => Ok(buckets.keys().map(|time| (*time, Value::Float(*number))).collect()),
        Expression::Call(function, arguments) => match arguments.as_slice() {
            [Expression::Name(field)] => {
                let mut column = Column::new();
                for (time, points) in buckets {
                    if let Some(value) = aggregate(function, field, points)? {
                        column.insert(*time, value);
                    }
                }
                Ok(column)
            }
            [inner] if function == "non_negative_difference" => differences(&column(inner, buckets)?, None),
            [inner, Expression::Duration(unit)] if function == "non_negative_derivative" => {
                differences(&column(inner, buckets)?, Some(*unit))
            }
            _ => bail!("{function}{arguments:?} is not understood here"),
        },
        Expression::Binary(left, sign, right) => {
            let (left, right) = (column(left, buckets)?, column(right, buckets)?);
            let both = left.iter().filter_map(|(time, l)| Some((*time, l, right.get(time)?)));
            both.map(|(time, l, r)| Ok((time, Value::Float(calculated(l, *sign, r)?)))).collect()
        }
        other => bail!("{other:?} among functions"),
    }
}

fn calculated(left: &Value, sign: char, right: &Value) -> Result<f64> {
    let number = |value: &Value| value.number().context("texts are not calculated with");
    let (left, right) = (number(left)?, number(right)?);
    match sign {
        '+' => Ok(left + right),
        '-' => Ok(left - right),
        '*' => Ok(left * right),
        _ => {
            ensure!(right != 0.0, "a division by zero shows nothing");
            Ok(left / right)
        }
    }
}

/// Differences of neighbours, by unit of time if there is one; none where it is below zero.
fn differences(column: &Column, unit: Option<i64>) -> Result<Column> {
    let numbers: Vec<(i64, f64)> = column.iter().filter_map(|(t, v)| Some((*t, v.number()?))).collect();
    ensure!(numbers.len() == column.len(), "texts have no difference");
    let pairs = numbers.windows(2).map(|pair| (pair[0], pair[1]));
    let steps = pairs.map(|((before, a), (time, b))| {
        let per = unit.map_or(1.0, |unit| (time - before) as f64 / unit as f64);
        (time, (b - a) / per)
    });
    Ok(steps.filter(|(_, step)| *step >= 0.0).map(|(time, step)| (time, Value::Float(step))).collect())
}

fn aggregate(function: &str, field: &str, points: &[&Point]) -> Result<Option<Value>> {
    // Points come in the order of time.
    let values: Vec<&Value> = points.iter().filter_map(|point| point.fields.get(field)).collect();
    if values.is_empty() {
        return Ok(None);
    }
    let extreme = |larger: bool| {
        let better =
            |a: &Value, b: &Value| if larger { a.number() > b.number() } else { a.number() < b.number() };
        values.iter().copied().reduce(|a, b| if better(b, a) { b } else { a }).cloned()
    };
    Ok(match function {
        "first" => values.first().map(|v| (*v).clone()),
        "last" => values.last().map(|v| (*v).clone()),
        "max" => extreme(true),
        "min" => extreme(false),
        "count" => Some(Value::Integer(values.len() as i64)),
        "sum" => Some(Value::Float(values.iter().filter_map(|v| v.number()).sum())),
        "mean" => {
            Some(Value::Float(values.iter().filter_map(|v| v.number()).sum::<f64>() / values.len() as f64))
        }
        other => bail!("the function {other} is not understood here"),
    })
}
