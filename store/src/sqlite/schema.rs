//! The tables of the store's file. Other programs read them: names, columns, order and types are a contract,
//! kept by a golden test. Names that begin with `_` are private.

/// `PRAGMA user_version` of this schema.
pub const USER_VERSION: i64 = 1;

/// `PRAGMA application_id`: "tick" in ASCII. `file(1)` and we tell our files from others by it.
pub const APPLICATION_ID: i64 = 0x7469_636b;

/// Trades in blocks of this many offsets share one row of `_trade_blocks`. A power of two: changing it needs a
/// new [`USER_VERSION`].
pub const BLOCK: u64 = 4096;

/// Creates everything, in one transaction.
///
/// `trades` has no index on (symbol, time_ms): it would double the bytes written to the card. The table is in
/// journal order, which is nearly time order, and `_trade_blocks` says of each 4096 offsets which times they
/// span, so that a range of time is a scan of the blocks that touch it. A block's row is written once, when the
/// next block begins, so it costs nothing; the newest block has none and is always looked at.
pub const TABLES: &str = "\
CREATE TABLE trades (
  source TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  journal_offset INTEGER NOT NULL,
  symbol TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  price REAL NOT NULL,
  volume REAL NOT NULL,
  conditions TEXT,
  received_ms INTEGER,
  PRIMARY KEY (source, epoch, journal_offset)
) STRICT, WITHOUT ROWID;
CREATE TABLE minute_trades (
  source TEXT NOT NULL,
  symbol TEXT NOT NULL,
  start_ms INTEGER NOT NULL,
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  trade_count INTEGER NOT NULL,
  vwap REAL NOT NULL,
  avg_price REAL NOT NULL,
  coverage REAL NOT NULL,
  revision INTEGER NOT NULL,
  final INTEGER NOT NULL,
  PRIMARY KEY (source, symbol, start_ms)
) STRICT, WITHOUT ROWID;
CREATE TABLE daily_trades (
  source TEXT NOT NULL,
  symbol TEXT NOT NULL,
  day TEXT NOT NULL,
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  trade_count INTEGER NOT NULL,
  PRIMARY KEY (source, symbol, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed_gaps (
  source TEXT NOT NULL,
  symbol TEXT NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (source, symbol, start_ms, end_ms, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE _cursor (
  source TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  rebuild_from INTEGER NOT NULL,
  floor_ms INTEGER NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (source)
) STRICT, WITHOUT ROWID;
CREATE TABLE _trade_blocks (
  source TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  block INTEGER NOT NULL,
  min_ms INTEGER NOT NULL,
  max_ms INTEGER NOT NULL,
  trade_count INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (source, epoch, block)
) STRICT, WITHOUT ROWID;
";
