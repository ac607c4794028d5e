//! The whole service between a real broker, a journal over HTTP and a store.

#![expect(clippy::unwrap_used, reason = "clippy exempts test functions only, not the helpers they share")]

mod flaky;
mod following;
mod kit;
mod trouble;
