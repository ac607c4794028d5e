//! The store in InfluxDB against a server that answers as told: what the real one cannot be made to say. (The real one
//! is in `tests/tests/influx`.)

#![expect(clippy::unwrap_used, reason = "clippy exempts test functions only, not the helpers they share")]

mod fake;
mod kit;
mod opening;
mod reading;
mod writing;
