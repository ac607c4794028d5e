//! Schema, writers and readers of the stores.
//!
//! A store keeps what other programs rely on: every committed trade, the one-minute and daily windows folded
//! from them, the feed's gaps, and, never before them, the cursor that says how much of the journal it
//! holds. That last point is the whole recovery story: whatever is lost with a store (a power cut rolls its last
//! commits back, an older backup is restored), its cursor goes back with it, and the journal fills it again.
//!
//! # Layout
//!
//! - `rows`: the rows, with the column names that SQL, CSV, JSON and other stores share
//! - `traits`: what every store does: [`StoreWriter`], [`StoreReader`]
//! - `error`: one error, sorted by what the caller can do about it
//! - `sqlite`: the store of the all-in-one and of the first shelf
//! - `influx`: the store in an InfluxDB 2 server
//!
//! # What it promises
//!
//! - A cursor is there only with all it covers. In SQLite one [`WriteBatch`] is one transaction, cursor included; in InfluxDB
//!   the cursor comes after what has settled.
//! - Writing is idempotent: a replay of any batches leaves the same content.
//! - A full disk, a locked file or a failed write is a state the caller retries, never a panic.
//!
//! It decides nothing about windows, offsets or time: the fold does.

mod error;
pub mod influx;
mod rows;
pub mod sqlite;
mod traits;

pub use error::{ErrorKind, StoreError};
pub use rows::{Cursor, DayRow, GapRow, LeftOut, MinuteRow, TradeRow, WriteBatch, columns, day_text};
pub use traits::{Query, Receipt, Retained, Retention, Series, StoreReader, StoreWriter};
