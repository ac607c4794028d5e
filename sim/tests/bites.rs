//! The simulation bites: each part that is broken on purpose is noticed within a few worlds.

use tickberry_sim::breaks::Sabotage;
use tickberry_sim::run::{run, shrink};

/// The first seed that notices, and what it says.
fn noticed(sabotage: Sabotage) -> String {
    let failure = (1..=60).find_map(|seed| run(seed, sabotage).err());
    failure.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed")).broken
}

#[test]
fn a_sync_that_does_nothing() {
    let broken = noticed(Sabotage::SyncDoesNothing);
    assert!(broken.contains("committed") || broken.contains("lost"), "{broken}");
}

#[test]
fn a_cursor_ahead_of_its_data() {
    let broken = noticed(Sabotage::CursorAhead);
    assert!(broken.contains("trades") || broken.contains("not in the store"), "{broken}");
}

#[test]
fn a_trade_that_is_stored_twice() {
    noticed(Sabotage::TradeTwice);
}

#[test]
fn a_fetch_that_skips_a_batch() {
    noticed(Sabotage::FetchSkips);
}

#[test]
fn an_epoch_that_is_used_again() {
    noticed(Sabotage::EpochReused);
}

#[test]
fn a_minute_that_is_counted_wrong() {
    let broken = noticed(Sabotage::MiscountedMinute);
    assert!(broken.contains("minutes") || broken.contains("counts"), "{broken}");
}

#[test]
fn an_acknowledgement_that_counts_at_once() {
    let broken = noticed(Sabotage::NothingSettles);
    assert!(broken.contains("missing") || broken.contains("not in the store"), "{broken}");
}

#[test]
fn a_failing_schedule_is_shortened_and_fails_again() {
    let failure = (1..=60).find_map(|seed| run(seed, Sabotage::CursorAhead).err()).expect("it is noticed");
    let short = shrink(&failure, Sabotage::CursorAhead);
    assert!(short.events.len() < failure.events.len() / 2, "{} events", short.events.len());
}
