//! A restart anywhere: rebuilt from the cursor and the journal, the fold is what it was.

use super::support::{Journal, MINUTE, NOON, trade, windows};
use crate::window::{Changes, CursorState, Fold, FoldConfig, ResumeError};
use proptest::prelude::*;
use tickberry_wire::{Batch, Body, GapReason, Trade};

/// A short kept time, so that windows leave within a test.
const CONFIG: FoldConfig = FoldConfig { lateness_ms: 2000, kept_ms: 300_000 };

/// One step of a random session, which makes one batch.
#[derive(Clone, Debug)]
enum Step {
    Trades { pass_ms: u32, trades: Vec<(u8, i32, u16, bool)> },
    Jump(i64),
    Tick(u32),
    Gap { back_ms: u32, length_ms: u32, symbol: Option<u8> },
    Lost(u8),
    Gone(u8),
    Epoch,
}

fn step() -> impl Strategy<Value = Step> {
    let spread = prop_oneof![8 => -1500..1500_i32, 2 => -400_000..0_i32, 1 => 3_000_000..9_000_000_i32];
    let trade = (0_u8..4, spread, 0_u16..500, any::<bool>());
    prop_oneof![
        12 => (0_u32..20_000, prop::collection::vec(trade, 1..8))
            .prop_map(|(pass_ms, trades)| Step::Trades { pass_ms, trades }),
        1 => prop_oneof![3_000_000..20_000_000_i64, Just(90_000_000_i64), Just(3_000_000_000_000)].prop_map(Step::Jump),
        3 => (0_u32..90_000).prop_map(Step::Tick),
        2 => (0_u32..200_000, 0_u32..100_000, prop::option::of(0_u8..4))
            .prop_map(|(back_ms, length_ms, symbol)| Step::Gap { back_ms, length_ms, symbol }),
        1 => (1_u8..9).prop_map(Step::Lost),
        1 => (1_u8..9).prop_map(Step::Gone),
        1 => Just(Step::Epoch),
    ]
}

fn session(steps: &[Step]) -> Journal {
    let mut journal = Journal::new();
    journal.epoch(1);
    let (mut now, mut elapsed, mut epochs) = (NOON, 0_u64, 1);
    for step in steps {
        match step {
            Step::Trades { pass_ms, trades } => {
                now += i64::from(*pass_ms);
                elapsed += u64::from(*pass_ms);
                let of = |(name, off, price, update): &(u8, i32, u16, bool)| {
                    let volume = if *update && price % 3 == 0 { "0" } else { "0.25" };
                    trade(
                        ["A", "B", "C", "D"][usize::from(*name)],
                        now + i64::from(*off),
                        &price.to_string(),
                        volume,
                    )
                };
                journal.trades(elapsed, &trades.iter().map(of).collect::<Vec<Trade>>());
            }
            Step::Jump(by) => {
                journal.at(elapsed, now + by);
                // Some stay.
                if by % 2 == 0 && *by < 100_000_000 {
                    now += by;
                }
            }
            Step::Tick(ms) => {
                now += i64::from(*ms);
                elapsed += u64::from(*ms);
                journal.tick(elapsed);
            }
            Step::Gap { back_ms, length_ms, symbol } => {
                let from = now - i64::from(*back_ms);
                let names: Vec<&str> =
                    symbol.iter().map(|name| ["A", "B", "C", "D"][usize::from(*name)]).collect();
                journal.gap(elapsed, from, from + i64::from(*length_ms), &names);
            }
            Step::Lost(count) => {
                journal.lost(u64::from(*count));
            }
            Step::Gone(count) => {
                journal.push(0, Body::Lost { count: u64::from(*count), reason: GapReason::LostRange });
            }
            Step::Epoch => {
                epochs += 1;
                elapsed = 0;
                journal.epoch(epochs);
            }
        }
    }
    journal
}

fn from(batches: &[Batch], offset: u64) -> impl Iterator<Item = &Batch> {
    batches.iter().filter(move |batch| batch.first_offset >= offset)
}

/// A fold restarted from the cursor, and given the journal up to it.
fn restarted(cursor: &CursorState, batches: &[Batch]) -> Fold {
    let mut fold = Fold::resume(CONFIG, cursor).unwrap();
    for batch in from(batches, cursor.rebuild_from).take_while(|batch| batch.end_offset() <= cursor.stored) {
        assert_eq!(fold.cursor(), *cursor, "a restart during a restart begins where it did");
        fold.apply_batch(batch);
        assert!(fold.take_changes().is_empty(), "the store has it all");
    }
    assert!(!fold.is_rebuilding());
    fold
}

fn sorted(mut changes: Changes) -> Changes {
    changes.minutes.sort_by(|a, b| (&a.symbol, a.start_ms).cmp(&(&b.symbol, b.start_ms)));
    changes.days.sort_by(|a, b| (&a.symbol, a.start_ms).cmp(&(&b.symbol, b.start_ms)));
    changes.symbols.sort();
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_restart_anywhere_gives_the_same_fold(
        steps in prop::collection::vec(step(), 1..120),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let journal = session(&steps);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(journal.batches.len())).collect();
        cuts.sort_unstable();
        let mut undisturbed = Fold::new(CONFIG);
        let mut other = Fold::new(CONFIG);
        for (index, batch) in journal.batches.iter().enumerate() {
            undisturbed.apply_batch(batch);
            other.apply_batch(batch);
            prop_assert_eq!(sorted(undisturbed.take_changes()), sorted(other.take_changes()));
            if cuts.contains(&index) {
                let cursor = other.cursor();
                prop_assert_eq!(&cursor, &undisturbed.cursor());
                other = restarted(&cursor, &journal.batches);
                prop_assert_eq!(other.fingerprint(), undisturbed.fingerprint());
            }
        }
        prop_assert_eq!(other.fingerprint(), undisturbed.fingerprint());
    }

    /// What the journal no longer holds is not rebuilt, and what was told is never told with less.
    #[test]
    fn a_restart_without_the_journal_tells_no_window_with_less(
        steps in prop::collection::vec(step(), 1..80),
        cut in any::<prop::sample::Index>(),
        gone in any::<prop::sample::Index>(),
    ) {
        let journal = session(&steps);
        let cut = cut.index(journal.batches.len());
        let mut fold = Fold::new(CONFIG);
        let mut store = std::collections::BTreeMap::new();
        let mut day_store = std::collections::BTreeMap::new();
        for batch in &journal.batches[..=cut] {
            fold.apply_batch(batch);
            let changes = fold.take_changes();
            store.extend(changes.minutes.into_iter().map(|m| ((m.symbol.clone(), m.start_ms), m.trade_count)));
            day_store.extend(changes.days.into_iter().map(|d| ((d.symbol.clone(), d.start_ms), d.trade_count)));
        }
        let cursor = fold.cursor();
        let first = journal.batches[gone.index(journal.batches.len())].first_offset;
        let mut fold = Fold::resume(CONFIG, &cursor).unwrap();
        if first > cursor.rebuild_from {
            fold.apply_lost(first, GapReason::LostRange);
        }
        for batch in from(&journal.batches, first.max(cursor.rebuild_from)) {
            fold.apply_batch(batch);
            let changes = fold.take_changes();
            for minute in changes.minutes {
                let key = (minute.symbol.clone(), minute.start_ms);
                let before = store.insert(key, minute.trade_count);
                prop_assert!(before <= Some(minute.trade_count), "{minute:?} had {before:?}");
            }
            for day in changes.days {
                let key = (day.symbol.clone(), day.start_ms);
                let before = day_store.insert(key, day.trade_count);
                prop_assert!(before <= Some(day.trade_count), "{day:?} had {before:?}");
            }
        }
        prop_assert!(!fold.is_rebuilding());
    }

    #[test]
    fn damaged_states_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, flip in 1_u8..) {
        let mut cursor = session(&[Step::Tick(5)]).fold().cursor();
        let good = cursor.state.clone();
        cursor.state = bytes;
        // An error or, by chance, a state; never a panic.
        drop(Fold::resume(CONFIG, &cursor));
        cursor.state = good;
        let length = cursor.state.len();
        cursor.state[at % length] ^= flip;
        if let Ok(mut fold) = Fold::resume(CONFIG, &cursor) {
            session(&[Step::Tick(5), Step::Jump(7)]).batches.iter().for_each(|batch| fold.apply_batch(batch));
        }
    }
}

#[test]
fn a_state_of_a_newer_release_says_so() {
    let mut cursor = Journal::new().at(0, NOON).fold().cursor();
    cursor.state[0] = 2;
    assert_eq!(Fold::resume(CONFIG, &cursor).unwrap_err(), ResumeError::UnknownVersion(2));
    cursor.state.clear();
    assert!(matches!(Fold::resume(CONFIG, &cursor), Err(ResumeError::Corrupt(_))));
}

#[test]
fn a_fold_without_windows_needs_nothing_again() {
    let cursor = Fold::new(CONFIG).cursor();
    assert_eq!((cursor.stored, cursor.rebuild_from), (0, 0));
    let fold = Fold::resume(CONFIG, &cursor).unwrap();
    assert_eq!(fold.fingerprint(), Fold::new(CONFIG).fingerprint());
}

#[test]
fn a_restart_needs_at_most_the_kept_time_again() {
    let mut journal = Journal::new();
    journal.epoch(1);
    for second in 0..3600_i64 {
        journal.at(second as u64 * 1000, NOON + second * 1000);
    }
    let mut fold = Fold::new(CONFIG);
    journal.batches.iter().for_each(|batch| fold.apply_batch(batch));
    let cursor = fold.cursor();
    let again = cursor.stored - cursor.rebuild_from;
    assert!(again <= 300 + 60 + 60, "{again} records");
    assert!(cursor.state.len() < 500, "{} bytes", cursor.state.len());
}

#[test]
fn after_a_broken_history_the_windows_stay_as_they_were_told() {
    let mut journal = Journal::new();
    journal.epoch(1).at(0, NOON).at(1, NOON).at(2, NOON + 5000);
    let mut fold = journal.fold();
    fold.take_changes();
    fold.break_history(2);
    let told = fold.take_changes().minutes;
    assert_eq!(
        told.iter().map(|m| (m.trade_count, m.is_final, m.left)).collect::<Vec<_>>(),
        [(3, true, true)]
    );
    let mut other = Journal::new();
    (other.epoch, other.next) = (journal.epoch, 2);
    other.epoch(2).at(10, NOON + 30_000).at(20, NOON + MINUTE);
    other.batches.iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(windows(&fold), [(1, 1, 0, false)]);
    assert_eq!(fold.counters().not_whole, 1);
}

#[test]
fn after_a_broken_history_what_is_read_again_is_not_counted_twice() {
    const AHEAD: i64 = NOON + 120 * MINUTE;
    let mut journal = Journal::new();
    journal.epoch(1).at(0, NOON).at(1, NOON).at(2, AHEAD).at(3, NOON + 5000);
    let mut fold = journal.fold();
    fold.break_history(0);
    journal.batches.iter().for_each(|batch| fold.apply_batch(batch));
    let ahead = fold.minutes().find(|m| m.start_ms == AHEAD).unwrap();
    assert_eq!(ahead.trade_count, 1);
}

#[test]
fn a_history_that_breaks_before_its_first_trade_costs_no_minute() {
    let mut journal = Journal::new();
    journal.epoch(1);
    let mut fold = journal.fold();
    fold.break_history(0);
    let mut other = Journal::new();
    other.epoch(2).at(10, NOON).at(20, NOON).at(30, NOON);
    other.batches.iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(windows(&fold), [(0, 3, 0, false)]);
    // Behind trades nobody knows which of them the other journal still has.
    let mut fold = journal.fold();
    other.batches.iter().for_each(|batch| fold.apply_batch(batch));
    fold.break_history(0);
    other.batches.iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(windows(&fold), []);
}

#[test]
fn a_cursor_that_cannot_be_used_still_says_where_to_go_on() {
    let mut fold = Fold::starting_at(CONFIG, 100);
    let mut journal = Journal::new();
    journal.next = 100;
    journal.at(0, NOON).at(1, NOON).at(2, NOON).at(3, NOON + MINUTE);
    journal.batches.iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(windows(&fold), [(1, 1, 0, false)]);
}

/// Where the trade before went must not decide: a restart does not know it.
#[test]
fn windows_ahead_take_their_trades_behind_a_loss() {
    const AHEAD: i64 = NOON + 120 * MINUTE;
    let mut journal = Journal::new();
    journal.epoch(1).at(0, NOON).at(1, NOON).at(2, NOON);
    journal.trades(3, &[trade("A", AHEAD, "1", "1"), trade("A", AHEAD + MINUTE, "1", "1")]);
    journal.at(4, NOON + 1);
    journal.push(0, Body::Lost { count: 1, reason: GapReason::LostRange });
    journal.trades(5, &[trade("A", AHEAD + MINUTE, "1", "1"), trade("A", AHEAD, "1", "1")]);
    assert_eq!(windows(&journal.fold()), [(120, 2, 0, false), (121, 2, 0, false)]);
}

/// Before any time is confirmed all windows are ahead; a loss then must not let them be opened a second time.
#[test]
fn a_loss_before_the_first_confirmed_time_does_not_empty_windows() {
    let mut journal = Journal::new();
    journal.epoch(1).trades(0, &[trade("A", NOON, "1", "1"), trade("A", NOON, "1", "1")]);
    let mut fold = Fold::resume(CONFIG, &journal.fold().cursor()).unwrap();
    fold.apply_lost(journal.next + 1, GapReason::LostRange);
    journal.next += 1;
    let before = journal.batches.len();
    journal.at(1, NOON - MINUTE).at(2, NOON - MINUTE).at(3, NOON - MINUTE).at(4, NOON);
    journal.batches[before..].iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(windows(&fold), [(0, 3, 0, false)]);
}
