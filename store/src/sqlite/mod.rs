//! The store in one SQLite file.
//!
//! # Durability
//!
//! WAL with `synchronous = NORMAL`: a commit is a write to the log without a flush, so a power cut may roll back
//! commits that were acknowledged. That is on purpose. The cursor is a row of the same transaction as the data
//! it describes, so what is rolled back is a whole suffix of commits, and the cursor found after the cut says
//! exactly which: the aggregator asks the journal from there and writes the same rows again. Only the journal
//! has to flush each second; a store that did too would double the wear for nothing. A killed process loses
//! nothing at all: the operating system still holds what was written.
//!
//! What `NORMAL` does rely on is that the log is flushed before it is copied into the file (a checkpoint), which
//! SQLite does; a device that lies about flushes can damage the file, as it can any database.

mod blocks;
mod open;
mod overtaken;
mod read;
mod retain;
pub mod schema;
mod write;

pub use open::{SqliteConfig, SqliteReader, SqliteWriter};
