//! The store through its public face only.
#![expect(clippy::unwrap_used, reason = "clippy exempts test functions only, not the helpers they share")]

mod crash;
mod golden;
mod idempotent;
mod kit;
mod reading;
mod refusals;
mod retention;
mod two_writers;
