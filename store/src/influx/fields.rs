//! Measurements, tags, fields and their types. InfluxDB fixes a field's type when it first sees it, so a change here is
//! a change of what servers already hold: fields may be added, and nothing else. `docs/data.md` has the same table; a
//! test compares them.
//!
//! Names are those of SQLite's columns. The columns of time (`time_ms`, `start_ms` of a minute, `day`) are the point's
//! own time; `source` and `symbol` are tags.

use super::line::{Lines, Value};
use super::slot::{self, Nanos};
use crate::rows::columns;
use crate::{DayRow, GapRow, MinuteRow, TradeRow};

/// A field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A double.
    Float,
    /// A signed 64-bit integer.
    Integer,
    /// A text.
    Text,
}

/// A measurement: its name, tags and fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Its name.
    pub name: &'static str,
    /// Its tags.
    pub tags: &'static [&'static str],
    /// Its fields.
    pub fields: &'static [(&'static str, Kind)],
}

use Kind::{Float, Integer, Text};

/// Trades and price updates.
pub(super) const TRADES: Measurement = Measurement {
    name: columns::TRADES_TABLE,
    tags: &["source", "symbol"],
    fields: &[
        ("epoch", Integer),
        ("journal_offset", Integer),
        ("price", Float),
        ("volume", Float),
        ("conditions", Text),
        ("received_ms", Integer),
    ],
};

/// One-minute windows, at their start.
pub(super) const MINUTES: Measurement = Measurement {
    name: columns::MINUTES_TABLE,
    tags: &["source", "symbol"],
    fields: &[
        ("open", Float),
        ("high", Float),
        ("low", Float),
        ("close", Float),
        ("volume", Float),
        ("trade_count", Integer),
        ("vwap", Float),
        ("avg_price", Float),
        ("coverage", Float),
        ("revision", Integer),
        ("final", Integer),
    ],
};

/// Days (UTC), at their start.
pub(super) const DAYS: Measurement = Measurement {
    name: columns::DAYS_TABLE,
    tags: &["source", "symbol"],
    fields: &[
        ("open", Float),
        ("high", Float),
        ("low", Float),
        ("close", Float),
        ("volume", Float),
        ("trade_count", Integer),
    ],
};

/// Times without reception, at their start (at their end where it is 0).
pub(super) const GAPS: Measurement = Measurement {
    name: columns::GAPS_TABLE,
    tags: &["source", "symbol"],
    fields: &[("start_ms", Integer), ("end_ms", Integer), ("reason", Text)],
};

/// How much of a source's journal is here; private, as SQLite's `_cursor`. (A name may not begin with `_`.)
pub(super) const CURSOR: Measurement = Measurement {
    name: "tickberry_cursor",
    tags: &["source"],
    fields: &[
        ("epoch", Integer),
        ("stored", Integer),
        ("rebuild_from", Integer),
        ("floor_ms", Integer),
        ("state", Text),
        ("writer", Text),
        ("reached_epoch", Integer),
        ("reached", Integer),
    ],
};

/// What the server's process began with; private.
pub(super) const BASE: Measurement = Measurement {
    name: "tickberry_base",
    tags: &["source"],
    fields: &[
        ("epoch", Integer),
        ("stored", Integer),
        ("rebuild_from", Integer),
        ("floor_ms", Integer),
        ("state", Text),
        ("process", Text),
        ("trade_nanos", Integer),
        ("minute_nanos", Integer),
    ],
};

/// Which process took the first rows of each bucket, beside one of them; private.
pub(super) const WITNESS: Measurement =
    Measurement { name: "tickberry_witness", tags: &["source"], fields: &[("process", Text)] };

/// All of them.
pub const MEASUREMENTS: [Measurement; 7] = [TRADES, MINUTES, DAYS, GAPS, CURSOR, BASE, WITNESS];

/// Adds a point with the fields of its measurement, in their order.
pub(super) fn point(
    measurement: &Measurement,
    tags: &[(&str, &str)],
    values: &[Option<Value<'_>>],
    time: Nanos,
    into: &mut Lines,
) {
    debug_assert_eq!(measurement.fields.len(), values.len());
    let fields: Vec<(&str, Option<Value<'_>>)> =
        measurement.fields.iter().map(|(name, _)| *name).zip(values.iter().copied()).collect();
    into.push(measurement.name, tags, &fields, time);
}

/// Signed columns; the caller has checked that they fit.
fn signed(value: u64) -> Option<Value<'static>> {
    Some(Value::Integer(value as i64))
}

fn float(value: f64) -> Option<Value<'static>> {
    Some(Value::Float(value))
}

fn integer(value: i64) -> Option<Value<'static>> {
    Some(Value::Integer(value))
}

/// A row that becomes a point.
pub(super) trait Row {
    /// Its time.
    fn time(&self) -> Nanos;
    /// Adds its line.
    fn line(&self, into: &mut Lines);
}

impl Row for TradeRow {
    fn time(&self) -> Nanos {
        slot::trade(self.time_ms, self.epoch, self.journal_offset)
    }

    fn line(&self, into: &mut Lines) {
        let values = [
            signed(self.epoch),
            signed(self.journal_offset),
            float(self.price),
            float(self.volume),
            self.conditions.as_deref().map(Value::Text),
            self.received_ms.map(Value::Integer),
        ];
        point(&TRADES, &[("source", &self.source), ("symbol", &self.symbol)], &values, self.time(), into);
    }
}

impl Row for MinuteRow {
    fn time(&self) -> Nanos {
        Nanos::of_ms(self.start_ms)
    }

    fn line(&self, into: &mut Lines) {
        let values = [
            float(self.open),
            float(self.high),
            float(self.low),
            float(self.close),
            float(self.volume),
            integer(self.trade_count),
            float(self.vwap),
            float(self.avg_price),
            float(self.coverage),
            integer(self.revision),
            integer(self.final_),
        ];
        point(&MINUTES, &[("source", &self.source), ("symbol", &self.symbol)], &values, self.time(), into);
    }
}

impl Row for DayRow {
    fn time(&self) -> Nanos {
        // The text is ours; one that is none would be a mistake that has no time InfluxDB takes.
        let day: Result<jiff::civil::Date, _> = self.day.parse();
        let start = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
        Nanos::of_ms(start.map_or(i64::MAX, |start| start.timestamp().as_millisecond()))
    }

    fn line(&self, into: &mut Lines) {
        let values = [
            float(self.open),
            float(self.high),
            float(self.low),
            float(self.close),
            float(self.volume),
            integer(self.trade_count),
        ];
        point(&DAYS, &[("source", &self.source), ("symbol", &self.symbol)], &values, self.time(), into);
    }
}

impl Row for GapRow {
    fn time(&self) -> Nanos {
        slot::gap(self.start_ms, self.end_ms, &self.reason)
    }

    fn line(&self, into: &mut Lines) {
        let values = [integer(self.start_ms), integer(self.end_ms), Some(Value::Text(&self.reason))];
        point(&GAPS, &[("source", &self.source), ("symbol", &self.symbol)], &values, self.time(), into);
    }
}

/// The cursor's point: some fields of it, the others stay as they are.
pub(super) fn cursor_point(source: &str, values: &[Option<Value<'_>>; 8], time: Nanos, into: &mut Lines) {
    point(&CURSOR, &[("source", source)], values, time, into);
}

#[cfg(test)]
mod tests {
    use influxdb_line_protocol::{FieldValue, parse_lines};

    use super::*;

    #[test]
    fn fields_are_the_columns_that_are_neither_tag_nor_time() {
        let of = |columns: &[&'static str], times: &[&str]| -> Vec<&'static str> {
            let is_field = |name: &&&str| !["source", "symbol"].contains(name) && !times.contains(name);
            columns.iter().filter(is_field).copied().collect()
        };
        let names = |m: &Measurement| -> Vec<&str> { m.fields.iter().map(|(name, _)| *name).collect() };
        assert_eq!(names(&TRADES), of(&columns::TRADES, &["time_ms"]));
        assert_eq!(names(&MINUTES), of(&columns::MINUTES, &["start_ms"]));
        assert_eq!(names(&DAYS), of(&columns::DAYS, &["day"]));
        assert_eq!(names(&GAPS), of(&columns::GAPS, &[]));
    }

    #[test]
    fn the_documents_table_is_this_one() {
        let document = include_str!("../../../docs/data.md");
        for measurement in MEASUREMENTS {
            let of = |kind: Kind| {
                let names = measurement.fields.iter().filter(|(_, k)| *k == kind).map(|(name, _)| *name);
                names.collect::<Vec<_>>().join(", ")
            };
            let (name, tags) = (measurement.name, measurement.tags.join(", "));
            let row = format!("| `{name}` | {tags} | {} | {} | {} |", of(Float), of(Integer), of(Text));
            assert!(document.contains(&row), "docs/data.md lacks\n{row}");
        }
    }

    #[test]
    fn lines_have_the_types_of_the_table() {
        let (source, symbol): (std::sync::Arc<str>, std::sync::Arc<str>) = ("finnhub".into(), "A".into());
        let mut lines = Lines::default();
        TradeRow {
            source: source.clone(),
            epoch: 1,
            journal_offset: 2,
            symbol: symbol.clone(),
            time_ms: 3,
            price: 100.0,
            volume: 0.0,
            conditions: Some("[]".into()),
            received_ms: Some(4),
        }
        .line(&mut lines);
        MinuteRow {
            source: source.clone(),
            symbol: symbol.clone(),
            start_ms: 60_000,
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            trade_count: 1,
            vwap: 1.0,
            avg_price: 1.0,
            coverage: 1.0,
            revision: 0,
            final_: 1,
        }
        .line(&mut lines);
        DayRow {
            source: source.clone(),
            symbol: symbol.clone(),
            day: "2026-11-30".into(),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            trade_count: 1,
        }
        .line(&mut lines);
        GapRow { source, symbol, start_ms: 1, end_ms: 2, reason: "stall".into() }.line(&mut lines);
        let parsed: Vec<_> = parse_lines(lines.text(0..4)).map(Result::unwrap).collect();
        for (line, measurement) in parsed.iter().zip(MEASUREMENTS) {
            assert_eq!(line.series.measurement.as_str(), measurement.name);
            let kinds = line.field_set.iter().map(|(name, value)| {
                let kind = match value {
                    FieldValue::F64(_) => Float,
                    FieldValue::I64(_) => Integer,
                    FieldValue::String(_) => Text,
                    other => panic!("{other:?}"),
                };
                (name.as_str().to_owned(), kind)
            });
            let wanted = measurement.fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
            assert_eq!(kinds.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        }
        assert_eq!(parsed[2].timestamp, Some(1_795_996_800_000_000_000));
    }
}
