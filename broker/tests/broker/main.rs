//! The broker as its clients see it: real sockets, the services' own client, raw bytes, and mosquitto where installed.

// Clippy's own exception covers test functions, and not the helpers next to them.
#![allow(clippy::unwrap_used)]

mod bricks;
mod flow;
mod harness;
mod limits;
mod memory;
mod mosquitto;
mod stream;
mod trouble;
