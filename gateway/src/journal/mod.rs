//! The journal: the one durable log of a source.
//!
//! ```text
//! append ──▶ page cache ──flush──▶ flash          a ring of preallocated segment files
//!               │                                 [header | frame frame … | frame … | … | header copy]
//!               └─ readers, from any offset                 ▲ after each flush a fresh page
//! ```
//!
//! * [`Journal`] is its one writer. It has no clock, no thread and no socket; the disk is behind [`Disk`], so that
//!   [`model::ModelDisk`] can cut the power anywhere.
//! * A record is *appended* (survives the process), then *committed* by a flush (survives the power). A start
//!   keeps all that was committed, and what is intact above it; below the highest recorded `committed` damage
//!   is rot and becomes [`Item::Lost`], above it damage is a torn tail and is cut.
//! * One segment belongs to one epoch of one process and is never appended to by another.
//! * A disk that refuses ends the epoch; the journal goes on in memory ([`Journal::continue_in_memory`]), and
//!   [`Journal::retry_disk`] writes what memory held to the disk when it is back.
//! * Readers ([`Reader`]) never block the writer.

mod block;
mod config;
mod disk;
mod epoch;
mod file;
mod format;
mod index;
mod memory;
pub mod model;
mod open;
mod reader;
mod recover;
mod scan;
mod seal;
mod space;
mod stats;
mod writer;

pub use config::{Config, Start};
pub use disk::{DirDisk, Disk, DiskFile};
pub use file::Flush;
pub use index::JournalState;
pub use reader::{Batches, Item, ReadError, Reader};
pub use recover::LostRange;
pub use stats::Stats;
pub use writer::{Journal, JournalError, Opened};
