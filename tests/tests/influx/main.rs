//! tickberry with a real InfluxDB as its store: the real binary, the real server, the oracle.
//!
//! Run with `--test-threads=1` after `cargo build`. A test that fails names the folder with its data and logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../system/feed.rs"]
#[allow(dead_code, reason = "the system tests' own; not all of it is needed here")]
mod feed;

mod crash;
mod kit;
mod path;
mod points;
mod rows;
mod setup;
