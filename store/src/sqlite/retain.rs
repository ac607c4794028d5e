//! Forgetting, a bounded step at a time: at most one block of trades and a thousand minutes a series.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::read::pairs;
use super::schema::BLOCK;
use crate::{Query, Retained, Retention, day_text};

/// Minutes (or days, or gaps) of one series removed at once.
const ROWS: i64 = 1000;
/// Free pages kept for reuse before the file is made smaller: at a steady state what retention frees the next
/// trades take, and moving pages about would only wear the card.
const SPARE_PAGES: i64 = 16_384;
/// Pages given back to the file system in one step.
const SHRINK_PAGES: i64 = 1024;

/// One step; see [`crate::StoreWriter::retain`].
pub(super) fn step(
    connection: &mut Connection,
    retention: &Retention,
    source: &str,
    watermark_ms: i64,
) -> rusqlite::Result<Retained> {
    let before = |age: std::time::Duration| {
        watermark_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let mut done = Retained::default();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    trades(&transaction, retention, source, before(retention.trades), &mut done)?;
    minutes(&transaction, source, before(retention.minutes), &mut done)?;
    transaction.commit()?;
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |r| r.get(0))?;
    if free > SPARE_PAGES {
        // The statement gives back one page a step, so it has to be run to its end.
        connection
            .prepare(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))?
            .query_map([], |_| Ok(()))?
            .collect::<rusqlite::Result<()>>()?;
        done.more = true;
    }
    Ok(done)
}

/// Removes the source's oldest block if it is wholly too old, or the oldest of all sources when their trades are too many
/// bytes: a source that is consumed no more must not crowd out those that are.
fn trades(
    c: &Connection,
    retention: &Retention,
    source: &str,
    before_ms: i64,
    done: &mut Retained,
) -> rusqlite::Result<()> {
    let bytes: i64 = c.query_row("SELECT coalesce(sum(bytes), 0) FROM _trade_blocks", [], |r| r.get(0))?;
    let too_many = u64::try_from(bytes).unwrap_or(0) > retention.trades_bytes;
    let oldest: Option<(String, i64, i64, i64)> = c
        .query_row(
            "SELECT source, epoch, block, max_ms FROM _trade_blocks WHERE source = ?1 OR ?2
             ORDER BY max_ms, epoch, block LIMIT 1",
            params![source, too_many],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
        )
        .optional()?;
    let Some((source, epoch, block, max_ms)) = oldest else { return Ok(()) };
    if !too_many && max_ms >= before_ms {
        return Ok(());
    }
    let removed = c.execute(
        "DELETE FROM trades WHERE source = ?1 AND epoch = ?2 AND journal_offset >= ?3 AND journal_offset < ?4",
        params![source, epoch, block * BLOCK as i64, (block + 1) * BLOCK as i64],
    )?;
    c.execute(
        "DELETE FROM _trade_blocks WHERE source = ?1 AND epoch = ?2 AND block = ?3",
        params![source, epoch, block],
    )?;
    done.trades += removed as u64;
    done.more = true;
    Ok(())
}

fn minutes(c: &Connection, source: &str, before_ms: i64, done: &mut Retained) -> rusqlite::Result<()> {
    let all = Query { source: Some(source.into()), symbol: None, ..Query::symbol("", 0) };
    // A range that ends at the thousandth row: bounded, and still one seek (DELETE itself has no LIMIT here).
    let mut delete = c.prepare_cached(
        "DELETE FROM minute_trades WHERE source = ?1 AND symbol = ?2 AND start_ms < min(?3, coalesce(
           (SELECT start_ms FROM minute_trades WHERE source = ?1 AND symbol = ?2
            ORDER BY start_ms LIMIT 1 OFFSET ?4), ?3))",
    )?;
    for (source, symbol) in pairs(c, "minute_trades", &all)? {
        let removed = delete.execute(params![source, symbol, before_ms, ROWS])?;
        done.minutes += removed as u64;
        done.more |= removed as i64 == ROWS;
    }
    done.minutes += c.execute(
        "DELETE FROM daily_trades WHERE source = ?1 AND day < ?2",
        params![source, day_text(before_ms)],
    )? as u64;
    done.minutes += c
        .execute("DELETE FROM feed_gaps WHERE source = ?1 AND end_ms < ?2", params![source, before_ms])?
        as u64;
    Ok(())
}
