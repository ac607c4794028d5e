//! Reading: read-only connections, ascending time, bounded rows.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::blocks;
use super::open::SqliteReader;
use super::schema::BLOCK;
use crate::{Cursor, DayRow, GapRow, MinuteRow, Query, Series, StoreError, StoreReader, TradeRow, day_text};

impl StoreReader for SqliteReader {
    fn minutes(&self, query: &Query) -> Result<Vec<MinuteRow>, StoreError> {
        self.with(|c| {
            let mut rows = Vec::new();
            let sql = ranged(
                "minute_trades",
                "symbol = ?2 AND start_ms >= ?3 AND start_ms < ?4",
                "start_ms",
                query,
            );
            let mut select = c.prepare_cached(&sql)?;
            for (source, symbol) in pairs(c, "minute_trades", query)? {
                let found = select.query_map(
                    params![source, symbol, query.from_ms, query.to_ms, limit(query)],
                    minute_row,
                )?;
                extend(&mut rows, found)?;
            }
            rows.sort_by(|a, b| (a.start_ms, &a.source, &a.symbol).cmp(&(b.start_ms, &b.source, &b.symbol)));
            Ok(cut(rows, query))
        })
    }

    fn trades(&self, query: &Query) -> Result<Vec<TradeRow>, StoreError> {
        self.with(|c| {
            let mut rows = Vec::new();
            for source in sources(c, "trades", query)? {
                trades_of(c, &source, query, &mut rows)?;
            }
            rows.sort_by(|a: &TradeRow, b| {
                (a.time_ms, &a.source, a.epoch, a.journal_offset).cmp(&(
                    b.time_ms,
                    &b.source,
                    b.epoch,
                    b.journal_offset,
                ))
            });
            Ok(cut(rows, query))
        })
    }

    fn days(&self, query: &Query) -> Result<Vec<DayRow>, StoreError> {
        self.with(|c| {
            let mut rows = Vec::new();
            let sql = ranged("daily_trades", "symbol = ?2 AND day >= ?3 AND day < ?4", "day", query);
            let mut select = c.prepare_cached(&sql)?;
            let (from, to) = (first_day(query.from_ms), first_day(query.to_ms));
            for (source, symbol) in pairs(c, "daily_trades", query)? {
                let found = select.query_map(params![source, symbol, from, to, limit(query)], day_row)?;
                extend(&mut rows, found)?;
            }
            rows.sort_by(|a, b| (&a.day, &a.source, &a.symbol).cmp(&(&b.day, &b.source, &b.symbol)));
            Ok(cut(rows, query))
        })
    }

    fn gaps(&self, query: &Query) -> Result<Vec<GapRow>, StoreError> {
        self.with(|c| {
            let order = if query.newest { "DESC" } else { "ASC" };
            let mut select = c.prepare_cached(&format!(
                "SELECT source, symbol, start_ms, end_ms, reason FROM feed_gaps
                 WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR symbol IN (?2, '*'))
                   AND end_ms > ?3 AND start_ms < ?4
                 ORDER BY start_ms {order}, source, symbol, end_ms, reason LIMIT ?5"
            ))?;
            let found = select.query_map(
                params![query.source, query.symbol, query.from_ms, query.to_ms, limit(query)],
                |r| {
                    Ok(GapRow {
                        source: r.get(0)?,
                        symbol: r.get(1)?,
                        start_ms: r.get(2)?,
                        end_ms: r.get(3)?,
                        reason: r.get(4)?,
                    })
                },
            )?;
            let mut rows = Vec::new();
            extend(&mut rows, found)?;
            rows.sort_by(|a, b| {
                (a.start_ms, &a.source, &a.symbol, a.end_ms)
                    .cmp(&(b.start_ms, &b.source, &b.symbol, b.end_ms))
            });
            Ok(rows)
        })
    }

    fn series(&self) -> Result<Vec<Series>, StoreError> {
        self.with(|c| {
            let mut ends = c.prepare_cached(
                "SELECT (SELECT min(start_ms) FROM minute_trades WHERE source = ?1 AND symbol = ?2),
                        (SELECT max(start_ms) FROM minute_trades WHERE source = ?1 AND symbol = ?2)",
            )?;
            let everything = Query { symbol: None, ..Query::symbol("", 0) };
            pairs(c, "minute_trades", &everything)?
                .into_iter()
                .map(|(source, symbol)| {
                    ends.query_row(params![source, symbol], |r| {
                        Ok(Series {
                            source: source.clone(),
                            symbol: symbol.clone(),
                            first_ms: r.get(0)?,
                            last_ms: r.get(1)?,
                        })
                    })
                })
                .collect()
        })
    }

    fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        self.with(cursors)
    }
}

pub(super) fn cursors(connection: &Connection) -> rusqlite::Result<Vec<Cursor>> {
    let mut select = connection.prepare_cached(
        "SELECT source, epoch, stored, rebuild_from, floor_ms, state FROM _cursor ORDER BY source",
    )?;
    select
        .query_map([], |r| {
            Ok(Cursor {
                source: r.get(0)?,
                epoch: r.get::<_, i64>(1)? as u64,
                stored: r.get::<_, i64>(2)? as u64,
                rebuild_from: r.get::<_, i64>(3)? as u64,
                floor_ms: r.get(4)?,
                state: r.get(5)?,
            })
        })?
        .collect()
}

/// The trades of one source: the blocks that touch the range, and each epoch's offsets beyond its last block.
fn trades_of(c: &Connection, source: &str, query: &Query, rows: &mut Vec<TradeRow>) -> rusqlite::Result<()> {
    let order = if query.newest { "DESC" } else { "ASC" };
    let columns = "t.source, t.epoch, t.journal_offset, t.symbol, t.time_ms, t.price, t.volume, t.conditions, t.received_ms";
    // CROSS JOIN is SQLite's way to say: in this order, blocks first.
    let mut blocks = c.prepare_cached(&format!(
        "SELECT {columns} FROM _trade_blocks b CROSS JOIN trades t
           ON t.source = b.source AND t.epoch = b.epoch
           AND t.journal_offset >= b.block * ?6 AND t.journal_offset < (b.block + 1) * ?6
         WHERE b.source = ?1 AND b.max_ms >= ?3 AND b.min_ms < ?4
           AND (?2 IS NULL OR t.symbol = ?2) AND t.time_ms >= ?3 AND t.time_ms < ?4
         ORDER BY t.time_ms {order}, t.epoch {order}, t.journal_offset {order} LIMIT ?5"
    ))?;
    let found = blocks.query_map(
        params![source, query.symbol, query.from_ms, query.to_ms, limit(query), BLOCK as i64],
        trade_row,
    )?;
    extend(rows, found)?;
    let mut tail = c.prepare_cached(&format!(
        "SELECT {columns} FROM trades t
         WHERE t.source = ?1 AND t.epoch = ?6 AND t.journal_offset >= ?7
           AND (?2 IS NULL OR t.symbol = ?2) AND t.time_ms >= ?3 AND t.time_ms < ?4
         ORDER BY t.time_ms {order}, t.epoch {order}, t.journal_offset {order} LIMIT ?5"
    ))?;
    for epoch in blocks::epochs(c, source)? {
        let start = blocks::tail_start(c, source, epoch)?;
        let found = tail.query_map(
            params![source, query.symbol, query.from_ms, query.to_ms, limit(query), epoch, start],
            trade_row,
        )?;
        extend(rows, found)?;
    }
    Ok(())
}

/// `SELECT` of one series' range in key order.
fn ranged(table: &str, range: &str, time: &str, query: &Query) -> String {
    let order = if query.newest { "DESC" } else { "ASC" };
    format!("SELECT * FROM {table} WHERE source = ?1 AND {range} ORDER BY {time} {order} LIMIT ?5")
}

fn limit(query: &Query) -> i64 {
    i64::try_from(query.limit).unwrap_or(i64::MAX)
}

/// Cuts the rows of several series, in ascending time, to the limit.
fn cut<T>(mut rows: Vec<T>, query: &Query) -> Vec<T> {
    if query.newest {
        rows.drain(..rows.len().saturating_sub(query.limit));
    }
    rows.truncate(query.limit);
    rows
}

fn extend<T>(rows: &mut Vec<T>, found: impl Iterator<Item = rusqlite::Result<T>>) -> rusqlite::Result<()> {
    for row in found {
        rows.push(row?);
    }
    Ok(())
}

/// The sources of a table, found by one seek each; only the one asked for.
fn sources(c: &Connection, table: &str, query: &Query) -> rusqlite::Result<Vec<Arc<str>>> {
    if let Some(source) = &query.source {
        return Ok(vec![source.as_str().into()]);
    }
    let mut next =
        c.prepare_cached(&format!("SELECT source FROM {table} WHERE source > ?1 ORDER BY source LIMIT 1"))?;
    let mut found: Vec<Arc<str>> = Vec::new();
    while let Some(source) = next.query_row([found.last().map_or("", |s| s)], |r| r.get(0)).optional()? {
        found.push(source);
    }
    Ok(found)
}

/// The (source, symbol) pairs of a table keyed by them, found by one seek each; only those asked for.
pub(super) fn pairs(
    c: &Connection,
    table: &str,
    query: &Query,
) -> rusqlite::Result<Vec<(Arc<str>, Arc<str>)>> {
    let mut next = c.prepare_cached(&format!(
        "SELECT symbol FROM {table} WHERE source = ?1 AND symbol > ?2 ORDER BY symbol LIMIT 1"
    ))?;
    let mut found = Vec::new();
    for source in sources(c, table, query)? {
        if let Some(symbol) = &query.symbol {
            found.push((source, symbol.as_str().into()));
            continue;
        }
        let mut after: Arc<str> = "".into();
        while let Some(symbol) = next.query_row(params![source, after], |r| r.get(0)).optional()? {
            found.push((source.clone(), Arc::clone(&symbol)));
            after = symbol;
        }
    }
    Ok(found)
}

fn trade_row(r: &Row<'_>) -> rusqlite::Result<TradeRow> {
    Ok(TradeRow {
        source: r.get(0)?,
        epoch: r.get::<_, i64>(1)? as u64,
        journal_offset: r.get::<_, i64>(2)? as u64,
        symbol: r.get(3)?,
        time_ms: r.get(4)?,
        price: r.get(5)?,
        volume: r.get(6)?,
        conditions: r.get(7)?,
        received_ms: r.get(8)?,
    })
}

fn minute_row(r: &Row<'_>) -> rusqlite::Result<MinuteRow> {
    Ok(MinuteRow {
        source: r.get(0)?,
        symbol: r.get(1)?,
        start_ms: r.get(2)?,
        open: r.get(3)?,
        high: r.get(4)?,
        low: r.get(5)?,
        close: r.get(6)?,
        volume: r.get(7)?,
        trade_count: r.get(8)?,
        vwap: r.get(9)?,
        avg_price: r.get(10)?,
        coverage: r.get(11)?,
        revision: r.get(12)?,
        final_: r.get(13)?,
    })
}

fn day_row(r: &Row<'_>) -> rusqlite::Result<DayRow> {
    Ok(DayRow {
        source: r.get(0)?,
        symbol: r.get(1)?,
        day: r.get(2)?,
        open: r.get(3)?,
        high: r.get(4)?,
        low: r.get(5)?,
        close: r.get(6)?,
        volume: r.get(7)?,
        trade_count: r.get(8)?,
    })
}

/// The first day that begins at or after a time, as text; beyond all days where the calendar ends.
fn first_day(ms: i64) -> String {
    const DAY: i64 = 86_400_000;
    match ms.checked_add(DAY - 1).map(|up| up.div_euclid(DAY).saturating_mul(DAY)) {
        Some(up) if up <= jiff::Timestamp::MAX.as_millisecond() => day_text(up),
        _ => "~".into(),
    }
}
