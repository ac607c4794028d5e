//! One batch, one transaction.

use rusqlite::{Connection, TransactionBehavior, params};

use super::open::{SqliteWriter, sqlite_error};
use super::overtaken::{Done, Place, key, place};
use super::{blocks, read, retain};
use crate::{
    Cursor, DayRow, GapRow, MinuteRow, Receipt, Retained, StoreError, StoreWriter, TradeRow, WriteBatch,
};

impl StoreWriter for SqliteWriter {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn cursors(&mut self) -> Result<Vec<Cursor>, StoreError> {
        let cursors = read::cursors(&self.connection).map_err(|e| sqlite_error(&self.config.path, &e))?;
        self.known = cursors.iter().map(|cursor| (cursor.source.clone(), key(cursor))).collect();
        Ok(cursors)
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<Receipt, StoreError> {
        // Checked once here, so that the casts below lose nothing.
        batch.check_range()?;
        self.bound_log()?;
        let source = &batch.cursor.source;
        match self.transact(batch) {
            Ok(Done::Written(open, receipt)) => {
                if let Some(open) = open {
                    self.open_block.insert(source.clone(), open);
                }
                self.known.insert(source.clone(), key(&batch.cursor));
                Ok(receipt)
            }
            Ok(Done::There) => {
                // Whose row in `_trade_blocks` is owed now, the file knows.
                self.open_block.remove(source);
                Ok(Receipt::default())
            }
            Ok(Done::Overtaken) => Err(StoreError::Busy {
                path: self.config.path.clone(),
                detail: "another aggregator writes it and is ahead, in an epoch that is not known here yet"
                    .into(),
            }),
            Err(error) => {
                // Whether the commit happened may be unknown: ask the file again next time.
                self.open_block.remove(source);
                self.known.remove(source);
                Err(sqlite_error(&self.config.path, &error))
            }
        }
    }

    fn retain(&mut self, source: &str, watermark_ms: i64) -> Result<Retained, StoreError> {
        retain::step(&mut self.connection, &self.config.retention, source, watermark_ms)
            .map_err(|e| sqlite_error(&self.config.path, &e))
    }
}

impl SqliteWriter {
    fn transact(&mut self, batch: &WriteBatch) -> rusqlite::Result<Done> {
        let source = &batch.cursor.source;
        let open = self.open_block.get(source).copied();
        let known = self.known.get(source).copied();
        // Immediate: a lock held elsewhere is met here, before any work.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_alone = match place(&transaction, known, batch)? {
            Place::Alone => true,
            Place::Beside => false,
            Place::Behind(done) => {
                // The one ahead may have met a loss where this one had read before the bytes went bad.
                let trades = &batch.trades;
                if matches!(done, Done::There) && insert_trades(&transaction, trades)? < trades.len() as u64 {
                    blocks::record(&transaction, source, None, trades)?;
                    transaction.commit()?;
                }
                return Ok(done);
            }
        };
        let there = insert_trades(&transaction, &batch.trades)?;
        let open = blocks::record(&transaction, source, open, &batch.trades)?;
        upsert_minutes(&transaction, &batch.minutes)?;
        upsert_days(&transaction, &batch.days)?;
        insert_gaps(&transaction, &batch.gaps)?;
        upsert_cursor(&transaction, &batch.cursor)?;
        transaction.commit()?;
        // What another writer has written comes again from this one, and was counted once by each.
        Ok(Done::Written(open, Receipt { doubled: if is_alone { there } else { 0 }, ..Receipt::default() }))
    }

    /// Keeps the write-ahead log below its bound.
    fn bound_log(&self) -> Result<(), StoreError> {
        let path = &self.config.path;
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        let length = || std::fs::metadata(&log).map_or(0, |m| m.len());
        if length() <= self.config.wal_bytes {
            return Ok(());
        }
        let emptied: rusqlite::Result<i64> =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0));
        match emptied {
            Ok(0) => Ok(()),
            Ok(_) => Err(StoreError::Busy {
                path: path.clone(),
                detail: format!("its write-ahead log has grown to {} bytes", length()),
            }),
            Err(error) => Err(sqlite_error(path, &error)),
        }
    }
}

/// A trade's identity decides its content, so one that is there stays untouched: a replay writes no page. Gives how
/// many were there.
fn insert_trades(connection: &Connection, trades: &[TradeRow]) -> rusqlite::Result<u64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO trades VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (source, epoch, journal_offset) DO NOTHING",
    )?;
    let mut there = 0;
    for t in trades {
        let inserted = insert.execute(params![
            t.source,
            t.epoch as i64,
            t.journal_offset as i64,
            t.symbol,
            t.time_ms,
            t.price,
            t.volume,
            t.conditions,
            t.received_ms,
        ])?;
        there += u64::from(inserted == 0);
    }
    Ok(there)
}

/// Whole rows; an equal one is not written again (after a start the kept hour is folded anew).
fn upsert_minutes(connection: &Connection, minutes: &[MinuteRow]) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO minute_trades VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (source, symbol, start_ms) DO UPDATE SET
           open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
           volume = excluded.volume, trade_count = excluded.trade_count, vwap = excluded.vwap,
           avg_price = excluded.avg_price, coverage = excluded.coverage, revision = excluded.revision,
           final = excluded.final
         WHERE (open, high, low, close, volume, trade_count, vwap, avg_price, coverage, revision, final)
           IS NOT (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
                   excluded.trade_count, excluded.vwap, excluded.avg_price, excluded.coverage,
                   excluded.revision, excluded.final)",
    )?;
    for m in minutes {
        upsert.execute(params![
            m.source,
            m.symbol,
            m.start_ms,
            m.open,
            m.high,
            m.low,
            m.close,
            m.volume,
            m.trade_count,
            m.vwap,
            m.avg_price,
            m.coverage,
            m.revision,
            m.final_,
        ])?;
    }
    Ok(())
}

fn upsert_days(connection: &Connection, days: &[DayRow]) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO daily_trades VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (source, symbol, day) DO UPDATE SET
           open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
           volume = excluded.volume, trade_count = excluded.trade_count
         WHERE (open, high, low, close, volume, trade_count)
           IS NOT (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
                   excluded.trade_count)",
    )?;
    for d in days {
        upsert.execute(params![
            d.source,
            d.symbol,
            d.day,
            d.open,
            d.high,
            d.low,
            d.close,
            d.volume,
            d.trade_count
        ])?;
    }
    Ok(())
}

fn insert_gaps(connection: &Connection, gaps: &[GapRow]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO feed_gaps VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (source, symbol, start_ms, end_ms, reason) DO NOTHING",
    )?;
    for g in gaps {
        insert.execute(params![g.source, g.symbol, g.start_ms, g.end_ms, g.reason])?;
    }
    Ok(())
}

fn upsert_cursor(connection: &Connection, cursor: &Cursor) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO _cursor VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source) DO UPDATE SET
               epoch = excluded.epoch, stored = excluded.stored, rebuild_from = excluded.rebuild_from,
               floor_ms = excluded.floor_ms, state = excluded.state",
        )?
        .execute(params![
            cursor.source,
            cursor.epoch as i64,
            cursor.stored as i64,
            cursor.rebuild_from as i64,
            cursor.floor_ms,
            cursor.state,
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::sqlite::SqliteConfig;

    fn batch(first: u64, end: u64) -> WriteBatch {
        let trade = |journal_offset| TradeRow {
            source: "finnhub".into(),
            epoch: 1,
            journal_offset,
            symbol: "BINANCE:BTCUSDT".into(),
            time_ms: 1_795_000_000_000,
            price: 1.0,
            volume: 1.0,
            conditions: None,
            received_ms: None,
        };
        let cursor = Cursor {
            source: "finnhub".into(),
            epoch: 1,
            stored: end,
            rebuild_from: 0,
            floor_ms: 0,
            state: vec![1; 10],
        };
        WriteBatch { trades: (first..end).map(trade).collect(), ..WriteBatch::new(cursor) }
    }

    #[test]
    fn a_full_disk_rolls_the_whole_batch_back_and_passes() {
        let directory = tempfile::tempdir().unwrap();
        let mut w = SqliteWriter::open(SqliteConfig::new(directory.path().join("s"))).unwrap();
        w.write(&batch(0, 100)).unwrap();
        let limit = |w: &SqliteWriter, pages: i64| {
            w.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&w, 20);
        let error = w.write(&batch(100, 10_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.is_transient());
        assert_eq!(w.cursors().unwrap()[0].stored, 100);
        let count = |w: &SqliteWriter| {
            w.connection.query_row("SELECT count(*) FROM trades", [], |r| r.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(&w), 100);
        limit(&w, 100_000);
        w.write(&batch(100, 10_000)).unwrap();
        assert_eq!(count(&w), 10_000);
    }
}
