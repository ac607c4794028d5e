//! tickberry from outside: the real binary, the real files, real sockets.
//!
//! Run with `--test-threads=1` after `cargo build`. A test that fails names the folder with its data and logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod bricks;
mod bus;
mod command_line;
mod commands;
mod crash;
mod damage;
mod demo;
mod disk;
mod feed;
mod feed_trouble;
mod fold;
mod frames;
mod health;
mod page;
mod shelf;
mod streams;
mod windows;
