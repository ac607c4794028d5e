//! The store in an InfluxDB 2 server, behind the same traits as SQLite.
//!
//! # Durability
//!
//! A server has no transactions. Rows come first, then the cursor; and lest it matters what a server or its disk takes for
//! flushed, the cursor that goes with a batch is one whose rows were acknowledged a settle time ago
//! ([`crate::StoreWriter::settle`]). Before each batch the server is asked when its process was started:
//! another process than before fails the batch, and the caller begins again from the cursor the server holds. So a
//! cursor never covers what was lost, and what lies beyond it is written once more, which changes nothing.
//!
//! # Layout
//!
//! - `config`: address, buckets, token
//! - `fields`: measurements, tags, fields and their types: one place, for ever
//! - `line`: line protocol; `slot`: the nanosecond of a trade
//! - `link`: the way to the server; `answer`: what its answers mean
//! - `server`: version, process, clock, buckets
//! - `deliver`: requests of many lines, down to the one that is refused; `refused`: the file for that one
//! - `pipeline`: points about the pipeline itself
//! - `progress`: the cursor's point, and who is ahead; `base`: what a process began with
//! - `setup`: organisation, buckets and tokens on a server
//! - `write`, `read` with `influxql`: the traits

mod answer;
mod base;
mod config;
mod deliver;
mod fields;
mod influxql;
mod line;
mod link;
pub mod pipeline;
mod progress;
mod read;
mod refused;
mod server;
mod setup;
mod slot;
mod write;

pub use config::{InfluxConfig, TokenSource};
pub use fields::{Kind, MEASUREMENTS, Measurement};
pub use read::InfluxReader;
pub use server::{LEAST_VERSION, look};
pub use setup::{Plan, Step, run as set_up};
pub use slot::trade_time;
pub use write::InfluxWriter;
