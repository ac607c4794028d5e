//! `_trade_blocks`: which times each block of offsets spans, so that `trades` needs no index on time.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::BLOCK;
use crate::TradeRow;

/// Number of the block that holds an offset.
pub(super) fn block_of(offset: i64) -> i64 {
    offset / BLOCK as i64
}

/// Writes the rows owed after `trades` (in offset order, of one source) were inserted. `open` is the block whose
/// row is still owed, from before; the returned one is owed from now on.
pub(super) fn record(
    connection: &Connection,
    source: &Arc<str>,
    open: Option<(i64, i64)>,
    trades: &[TradeRow],
) -> rusqlite::Result<Option<(i64, i64)>> {
    let Some(last) = trades.last() else { return Ok(open) };
    let last = key(last);
    let mut owed: Vec<(i64, i64)> = Vec::new();
    match open {
        Some(block) => owed.push(block),
        // The first write since the file was opened: what earlier processes left without a row.
        None => owed.extend(unrecorded(connection, source)?),
    }
    owed.extend(trades.iter().map(key));
    owed.sort_unstable();
    owed.dedup();
    for (epoch, block) in owed {
        // The newest block gets its row when it is complete, unless a replay came back to one that has a row.
        if (epoch, block) != last || newest_recorded(connection, source, epoch)?.is_some_and(|b| block <= b) {
            summarize(connection, source, epoch, block)?;
        }
    }
    Ok(Some(last))
}

fn key(trade: &TradeRow) -> (i64, i64) {
    (trade.epoch as i64, block_of(trade.journal_offset as i64))
}

/// The newest block of an epoch that has a row.
pub(super) fn newest_recorded(
    connection: &Connection,
    source: &str,
    epoch: i64,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT max(block) FROM _trade_blocks WHERE source = ?1 AND epoch = ?2")?
        .query_row(params![source, epoch], |r| r.get(0))
}

/// The epochs there are trades of, found by one seek each.
pub(super) fn epochs(connection: &Connection, source: &str) -> rusqlite::Result<Vec<i64>> {
    let mut next = connection
        .prepare_cached("SELECT epoch FROM trades WHERE source = ?1 AND epoch > ?2 ORDER BY epoch LIMIT 1")?;
    let mut found = Vec::new();
    let mut after = i64::MIN;
    while let Some(epoch) = next.query_row(params![source, after], |r| r.get(0)).optional()? {
        found.push(epoch);
        after = epoch;
    }
    Ok(found)
}

/// First offset of an epoch that no block's row covers.
pub(super) fn tail_start(connection: &Connection, source: &str, epoch: i64) -> rusqlite::Result<i64> {
    let newest = newest_recorded(connection, source, epoch)?;
    Ok(newest.map_or(0, |block| (block + 1) * BLOCK as i64))
}

fn unrecorded(connection: &Connection, source: &str) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut select = connection.prepare_cached(
        "SELECT DISTINCT journal_offset / ?4 FROM trades
         WHERE source = ?1 AND epoch = ?2 AND journal_offset >= ?3",
    )?;
    let mut found = Vec::new();
    for epoch in epochs(connection, source)? {
        let start = tail_start(connection, source, epoch)?;
        let blocks = select.query_map(params![source, epoch, start, BLOCK as i64], |r| r.get(0))?;
        for block in blocks {
            found.push((epoch, block?));
        }
    }
    Ok(found)
}

/// Bytes of a row beside its texts: header, three or four integers, two doubles, cell pointer, and a share of
/// the page that stays empty. A test compares the estimate with the pages really used.
const ROW_BYTES: i64 = 62;

fn summarize(connection: &Connection, source: &str, epoch: i64, block: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO _trade_blocks
             SELECT source, epoch, ?3, min(time_ms), max(time_ms), count(*),
                    sum(?6 + length(source) + length(symbol) + coalesce(length(conditions), 0))
             FROM trades
             WHERE source = ?1 AND epoch = ?2 AND journal_offset >= ?4 AND journal_offset < ?5
             GROUP BY source, epoch
             ON CONFLICT DO UPDATE SET min_ms = excluded.min_ms, max_ms = excluded.max_ms,
                    trade_count = excluded.trade_count, bytes = excluded.bytes",
        )?
        .execute(params![
            source,
            epoch,
            block,
            block * BLOCK as i64,
            (block + 1) * BLOCK as i64,
            ROW_BYTES
        ])?;
    Ok(())
}
