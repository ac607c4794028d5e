//! Whole-system tests with real parts.
//!
//! [`oracle`] says what the store must hold, from the trades alone; [`harness`] starts the real binary and
//! talks to it as any user would: HTTP, SQLite, MQTT, signals; [`proxy`] stands between two parts and spoils
//! what goes through; [`chaos`] kills, stops and parts the real processes;
//! [`powercut`] cuts the power of a virtual machine.  The tests themselves are `tests/system/`.

pub mod chaos;
pub mod generate;
pub mod grafana;
pub mod harness;
pub mod influxql;
pub mod oracle;
pub mod powercut;
pub mod proxy;

/// Says that a test shows nothing here, and why; written past the test runner, which would swallow it.
pub fn skipped(why: &str) {
    use std::io::Write;
    let _nobody_reads = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
