//! The SQLite file, read as any other program may read it while it is written.

use crate::oracle::{TradeRow, Window, Windows};
use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags, Row, types::ValueRef};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// The columns of `minute_trades` that are no numbers of the trades.
#[derive(Debug, Clone)]
pub struct MinuteRow {
    /// Which symbol.
    pub symbol: String,
    /// Which minute.
    pub start_ms: i64,
    /// What of it was seen, 0 to 1.
    pub coverage: f64,
    /// Batches folded in after it was final.
    pub revision: i64,
    /// 1 when it is final.
    pub is_final: i64,
}

/// The tables of the design.
pub const TABLES: [(&str, &str); 4] = [
    ("trades", "source, epoch, journal_offset"),
    ("minute_trades", "source, symbol, start_ms"),
    ("daily_trades", "source, symbol, day"),
    ("feed_gaps", "source, symbol, start_ms, end_ms, reason"),
];

/// A reader of `tickberry.sqlite3`.
#[derive(Debug)]
pub struct Database(Connection);

impl Database {
    /// Opens the file of a data directory, for reading only.
    pub fn open(data_dir: &Path) -> Result<Database> {
        let path = data_dir.join("tickberry.sqlite3");
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = connection.with_context(|| format!("opening {}", path.display()))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(Database(connection))
    }

    /// Whether nobody holds the file's lock for long. Takes it for a moment.
    pub fn can_be_written(path: &Path) -> Result<bool> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_millis(300))?;
        Ok(connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok())
    }

    fn all<T>(&self, sql: &str, row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let mut statement = self.0.prepare(sql).with_context(|| sql.to_owned())?;
        let rows = statement.query_map([], row)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }

    /// A single number.
    pub fn number(&self, sql: &str) -> Result<i64> {
        self.0.query_row(sql, [], |row| row.get(0)).with_context(|| sql.to_owned())
    }

    /// The table `trades` in the order of its key.
    pub fn trades(&self) -> Result<Vec<TradeRow>> {
        self.rows("ORDER BY 1, 2, 3")
    }

    /// The table `trades` from an offset on, in the order of the offsets, whatever their epoch.
    pub fn trades_from(&self, offset: i64) -> Result<Vec<TradeRow>> {
        self.rows(&format!("WHERE journal_offset >= {offset} ORDER BY 3, 2, 1"))
    }

    fn rows(&self, which: &str) -> Result<Vec<TradeRow>> {
        let columns = "source, epoch, journal_offset, symbol, time_ms, price, volume";
        self.all(&format!("SELECT {columns} FROM trades {which}"), |row| {
            Ok(TradeRow {
                source: row.get(0)?,
                epoch: row.get(1)?,
                offset: row.get(2)?,
                symbol: row.get(3)?,
                time_ms: row.get(4)?,
                price: row.get(5)?,
                volume: row.get(6)?,
            })
        })
    }

    /// The numbers of `minute_trades`.
    pub fn minutes(&self) -> Result<Windows> {
        let sql = "SELECT symbol, start_ms, open, high, low, close, volume, trade_count, vwap, avg_price FROM minute_trades";
        let rows = self.all(sql, |row| {
            let window = Window {
                open: row.get(2)?,
                high: row.get(3)?,
                low: row.get(4)?,
                close: row.get(5)?,
                volume: row.get(6)?,
                trade_count: row.get(7)?,
                vwap: row.get(8)?,
                avg_price: row.get(9)?,
            };
            Ok(((row.get(0)?, row.get(1)?), window))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// The other columns of `minute_trades`.
    pub fn minute_rows(&self) -> Result<Vec<MinuteRow>> {
        self.all(
            "SELECT symbol, start_ms, coverage, revision, final FROM minute_trades ORDER BY 1, 2",
            |row| {
                Ok(MinuteRow {
                    symbol: row.get(0)?,
                    start_ms: row.get(1)?,
                    coverage: row.get(2)?,
                    revision: row.get(3)?,
                    is_final: row.get(4)?,
                })
            },
        )
    }

    /// The numbers of `daily_trades`, keyed by the ms of midnight. It has no vwap and no mean: those are
    /// taken over from `expected`, so that one comparison serves both tables.
    pub fn days(&self, expected: &Windows) -> Result<Windows> {
        let sql = "SELECT symbol, CAST(strftime('%s', day) AS INTEGER) * 1000, open, high, low, close, volume, trade_count FROM daily_trades";
        let rows = self.all(sql, |row| {
            let key: (String, i64) = (row.get(0)?, row.get(1)?);
            let like = expected.get(&key);
            let window = Window {
                open: row.get(2)?,
                high: row.get(3)?,
                low: row.get(4)?,
                close: row.get(5)?,
                volume: row.get(6)?,
                trade_count: row.get(7)?,
                vwap: like.map_or(0.0, |w| w.vwap),
                avg_price: like.map_or(0.0, |w| w.avg_price),
            };
            Ok((key, window))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// (symbol, start_ms, end_ms, reason) of `feed_gaps`.
    pub fn gaps(&self) -> Result<Vec<(String, i64, i64, String)>> {
        let sql = "SELECT symbol, start_ms, end_ms, reason FROM feed_gaps ORDER BY 2, 3, 1, 4";
        self.all(sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// A table as text, reals by their bits: two of them are equal exactly when the contents are. `skip` names
    /// columns that may differ between two runs (an epoch, a time of receipt).
    pub fn dump(&self, table: &str, order: &str, skip: &[&str]) -> Result<String> {
        let sql = format!("SELECT * FROM {table} ORDER BY {order}");
        let mut statement = self.0.prepare(&sql).with_context(|| sql.clone())?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        ensure!(!names.is_empty(), "{table} has no columns");
        let mut rows = statement.query([])?;
        let mut text = String::new();
        while let Some(row) = rows.next()? {
            for (i, name) in names.iter().enumerate().filter(|(_, name)| !skip.contains(&name.as_str())) {
                let value = match row.get_ref(i)? {
                    ValueRef::Real(x) => format!("{x:?}#{:016x}", x.to_bits()),
                    ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    other => format!("{other:?}"),
                };
                let _infallible = write!(text, "{name}={value} ");
            }
            text.push('\n');
        }
        Ok(text)
    }
}
