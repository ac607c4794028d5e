//! Reading, over InfluxQL. Rows come sorted and cut as SQLite's do, so that who pages through them sees each once.

use std::sync::{Arc, Mutex, PoisonError};

use super::config::InfluxConfig;
use super::fields::{CURSOR, DAYS, GAPS, MINUTES, Measurement, TRADES};
use super::influxql::{self, Row, name, text};
use super::line::{tag_text, tag_value};
use super::link::{Link, PATIENCE};
use super::progress::{Reach, unhex};
use super::slot;
use crate::{
    Cursor, DayRow, GapRow, MinuteRow, Query, Series, StoreError, StoreReader, TradeRow, columns, day_text,
};

/// Gaps without a begin read at most.
const MOST_UNBEGUN: usize = 10_000;
/// Connections kept while nobody reads: each has a thread.
const IDLE: usize = 2;

/// Reads a server that need not be there yet.
pub struct InfluxReader {
    config: InfluxConfig,
    idle: Mutex<Vec<Link>>,
}

impl InfluxReader {
    /// A reader. Nothing is asked before the first read.
    pub fn new(config: InfluxConfig) -> Result<Self, StoreError> {
        config.address()?;
        Ok(Self { config, idle: Mutex::new(Vec::new()) })
    }

    /// Reads on a connection of its own; one that failed is not kept, and the next begins with the token as it is then.
    fn with<T>(&self, read: impl FnOnce(&Link) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let link = match idle {
            Some(link) => link,
            None => Link::open(&self.config)?,
        };
        let value = read(&link)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(link);
        }
        Ok(value)
    }

    /// Rows of the bucket of minutes.
    fn of_minutes<'a>(&'a self, measurement: &'static Measurement, query: &'a Query) -> Asked<'a> {
        Asked { bucket: &self.config.minutes_bucket, measurement, query, more: "" }
    }

    /// Rows of a measurement by time, sorted by `key` within it and cut to the limit. `key` begins with what
    /// `step_ms` counts: the server cuts anywhere among rows of one time, so those of the last are asked for again.
    fn ranged<R, K: Ord>(
        &self,
        asked: &Asked<'_>,
        row: fn(&Row<'_>) -> Option<R>,
        time: fn(&R) -> i64,
        key: impl Fn(&R) -> K,
    ) -> Result<Vec<R>, StoreError> {
        let query = asked.query;
        let Some(range) = slot::range(query.from_ms, query.to_ms).filter(|_| query.limit > 0) else {
            return Ok(Vec::new());
        };
        self.with(|link| {
            let mut rows = select(link, asked, range, Some(query.limit), row)?;
            if rows.len() == query.limit {
                let edge =
                    if query.newest { rows.iter().map(time).min() } else { rows.iter().map(time).max() };
                if let Some((edge, of_edge)) =
                    edge.and_then(|ms| Some((ms, slot::range(ms, ms.checked_add(1)?)?)))
                {
                    rows.retain(|row| time(row) != edge);
                    rows.extend(select(link, asked, of_edge, None, row)?);
                }
            }
            rows.sort_by_key(|row| (time(row), key(row)));
            if query.newest {
                rows.drain(..rows.len().saturating_sub(query.limit));
            }
            rows.truncate(query.limit);
            Ok(rows)
        })
    }
}

/// Which rows are asked for.
struct Asked<'a> {
    bucket: &'a str,
    measurement: &'static Measurement,
    query: &'a Query,
    /// Further conditions.
    more: &'a str,
}

/// Columns of an answer: the time, the tags, the fields.
pub(super) fn columns_of(measurement: &Measurement) -> String {
    let fields = measurement.fields.iter().map(|(field, _)| *field);
    measurement.tags.iter().copied().chain(fields).map(name).collect::<Vec<_>>().join(", ")
}

fn select<R>(
    link: &Link,
    asked: &Asked<'_>,
    (from, to): (i64, i64),
    limit: Option<usize>,
    row: fn(&Row<'_>) -> Option<R>,
) -> Result<Vec<R>, StoreError> {
    let Asked { bucket, measurement, query, more } = asked;
    let order = if query.newest { "DESC" } else { "ASC" };
    let mut question = format!(
        "SELECT {} FROM {} WHERE time >= {from} AND time <= {to}{more}",
        columns_of(measurement),
        name(measurement.name)
    );
    for (tag, value) in [("source", &query.source), ("symbol", &query.symbol)] {
        if let Some(value) = value {
            question += &format!(" AND {} = {}", name(tag), text(&tag_value(value)));
        }
    }
    question += &format!(" ORDER BY time {order}");
    if let Some(limit) = limit {
        question += &format!(" LIMIT {limit}");
    }
    let mut rows = Vec::new();
    influxql::ask(link, bucket, &question, |_, found| {
        rows.push(row(found)?);
        Some(())
    })?;
    Ok(rows)
}

impl StoreReader for InfluxReader {
    fn minutes(&self, query: &Query) -> Result<Vec<MinuteRow>, StoreError> {
        let key = |r: &MinuteRow| (r.source.clone(), r.symbol.clone());
        self.ranged(&self.of_minutes(&MINUTES, query), minute, |r| r.start_ms, key)
    }

    fn trades(&self, query: &Query) -> Result<Vec<TradeRow>, StoreError> {
        let key = |r: &TradeRow| (r.source.clone(), r.epoch, r.journal_offset);
        let asked = Asked { bucket: &self.config.bucket, ..self.of_minutes(&TRADES, query) };
        self.ranged(&asked, trade, |r| r.time_ms, key)
    }

    fn days(&self, query: &Query) -> Result<Vec<DayRow>, StoreError> {
        let key = |r: &(i64, DayRow)| (r.1.source.clone(), r.1.symbol.clone());
        let rows = self.ranged(&self.of_minutes(&DAYS, query), day, |r| r.0, key)?;
        Ok(rows.into_iter().map(|(_, day)| day).collect())
    }

    fn gaps(&self, query: &Query) -> Result<Vec<GapRow>, StoreError> {
        let mut more = format!(" AND \"end_ms\" > {}", query.from_ms.max(-MOST_MS));
        if let Some(symbol) = &query.symbol {
            let all = text(columns::ALL_SYMBOLS);
            more += &format!(" AND (\"symbol\" = {} OR \"symbol\" = {all})", text(&tag_value(symbol)));
        }
        // A gap's time is its start, and one that began long ago may reach into the range.
        let from_the_first = Query { symbol: None, from_ms: i64::MIN, ..query.clone() };
        let key = |r: &GapRow| (r.source.clone(), r.symbol.clone(), r.end_ms, r.reason.clone());
        let (begun, unbegun) =
            (format!("{more} AND \"start_ms\" != 0"), format!("{more} AND \"start_ms\" = 0"));
        let asked = Asked { more: &begun, ..self.of_minutes(&GAPS, &from_the_first) };
        let mut rows = self.ranged(&asked, gap, |r| r.start_ms, key)?;
        // But its end where it began before anything was heard: one a source.
        if query.to_ms > 0 {
            let all = Query { to_ms: i64::MAX, limit: MOST_UNBEGUN, ..from_the_first.clone() };
            let asked = Asked { more: &unbegun, ..self.of_minutes(&GAPS, &all) };
            rows.extend(self.ranged(&asked, gap, |r| r.end_ms, key)?);
        }
        rows.sort_by_key(|row| (row.start_ms, key(row)));
        if query.newest {
            rows.drain(..rows.len().saturating_sub(query.limit));
        }
        rows.truncate(query.limit);
        Ok(rows)
    }

    fn series(&self) -> Result<Vec<Series>, StoreError> {
        let of = |selector: &str| {
            format!(
                "SELECT {selector}(\"trade_count\"), \"source\", \"symbol\" FROM {} GROUP BY \"source\", \"symbol\"",
                name(MINUTES.name)
            )
        };
        let question = format!("{}; {}", of("first"), of("last"));
        let mut found: Vec<Series> = Vec::new();
        self.with(|link| {
            influxql::ask(link, &self.config.minutes_bucket, &question, |statement, row| {
                let at = slot::ms_of(row.integer(0)?);
                let (source, symbol): (Arc<str>, Arc<str>) = (tag(row, 2)?, tag(row, 3)?);
                let known = found.iter_mut().find(|one| one.source == source && one.symbol == symbol);
                match known {
                    Some(one) if statement > 0 => one.last_ms = at,
                    Some(_) => {}
                    None => found.push(Series { source, symbol, first_ms: at, last_ms: at }),
                }
                Some(())
            })
        })?;
        found.sort_by(|a, b| (&a.source, &a.symbol).cmp(&(&b.source, &b.symbol)));
        Ok(found)
    }

    fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        let points = self.with(|link| progress(link, &self.config.minutes_bucket))?;
        Ok(points.into_iter().filter_map(|point| point.cursor).collect())
    }
}

/// Beyond it a comparison of a field would not be one of integers.
const MOST_MS: i64 = 1 << 53;

/// What a source's point says.
pub(super) struct Progress {
    pub(super) source: Arc<str>,
    pub(super) reach: Reach,
    /// Nothing, unless it was written with one.
    pub(super) cursor: Option<Cursor>,
}

/// The points of all sources.
pub(super) fn progress(link: &Link, bucket: &str) -> Result<Vec<Progress>, StoreError> {
    let question = format!(
        "SELECT {} FROM {} WHERE time = {}",
        columns_of(&CURSOR),
        name(CURSOR.name),
        super::progress::AT.0
    );
    let mut found = Vec::new();
    influxql::ask(link, bucket, &question, |_, row| {
        let source: Arc<str> = tag(row, 1)?;
        let reach = Reach { writer: row.text(7)?.to_owned(), epoch: row.unsigned(8)?, end: row.unsigned(9)? };
        // The fields of a cursor come together, or not at all.
        let cursor = match row.unsigned(2) {
            None => None,
            Some(epoch) => Some(Cursor {
                source: source.clone(),
                epoch,
                stored: row.unsigned(3)?,
                rebuild_from: row.unsigned(4)?,
                floor_ms: row.integer(5)?,
                state: unhex(row.text(6)?)?,
            }),
        };
        found.push(Progress { source, reach, cursor });
        Some(())
    })?;
    Ok(found)
}

/// What the rows of a source reach. It is asked before each batch, so not for the cursor's state, and not for long.
pub(super) fn reach(link: &Link, bucket: &str, source: &str) -> Result<Option<Reach>, StoreError> {
    let question = format!(
        "SELECT \"writer\", \"reached_epoch\", \"reached\" FROM {} WHERE time = {} AND \"source\" = {}",
        name(CURSOR.name),
        super::progress::AT.0,
        text(&tag_value(source))
    );
    let mut found = None;
    influxql::ask_within(PATIENCE, link, bucket, &question, |_, row| {
        found =
            Some(Reach { writer: row.text(1)?.to_owned(), epoch: row.unsigned(2)?, end: row.unsigned(3)? });
        Some(())
    })?;
    Ok(found)
}

/// A tag's text.
pub(super) fn tag(row: &Row<'_>, column: usize) -> Option<Arc<str>> {
    Some(tag_text(row.text(column)?).into())
}

fn trade(row: &Row<'_>) -> Option<TradeRow> {
    Some(TradeRow {
        source: tag(row, 1)?,
        symbol: tag(row, 2)?,
        epoch: row.unsigned(3)?,
        journal_offset: row.unsigned(4)?,
        time_ms: slot::ms_of(row.integer(0)?),
        price: row.float(5)?,
        volume: row.float(6)?,
        conditions: row.text(7).map(Into::into),
        received_ms: row.integer(8),
    })
}

fn minute(row: &Row<'_>) -> Option<MinuteRow> {
    Some(MinuteRow {
        source: tag(row, 1)?,
        symbol: tag(row, 2)?,
        start_ms: slot::ms_of(row.integer(0)?),
        open: row.float(3)?,
        high: row.float(4)?,
        low: row.float(5)?,
        close: row.float(6)?,
        volume: row.float(7)?,
        trade_count: row.integer(8)?,
        vwap: row.float(9)?,
        avg_price: row.float(10)?,
        coverage: row.float(11)?,
        revision: row.integer(12)?,
        final_: row.integer(13)?,
    })
}

fn day(row: &Row<'_>) -> Option<(i64, DayRow)> {
    let start_ms = slot::ms_of(row.integer(0)?);
    let day = DayRow {
        source: tag(row, 1)?,
        symbol: tag(row, 2)?,
        day: day_text(start_ms),
        open: row.float(3)?,
        high: row.float(4)?,
        low: row.float(5)?,
        close: row.float(6)?,
        volume: row.float(7)?,
        trade_count: row.integer(8)?,
    };
    Some((start_ms, day))
}

fn gap(row: &Row<'_>) -> Option<GapRow> {
    Some(GapRow {
        source: tag(row, 1)?,
        symbol: tag(row, 2)?,
        start_ms: row.integer(3)?,
        end_ms: row.integer(4)?,
        reason: row.text(5)?.to_owned(),
    })
}
