//! Each rule as a list of records and what comes of it.

use super::support::{Journal, MINUTE, NOON, symbol, trade, watermark, windows};
use crate::window::{Fold, FoldConfig, GapRow};
use tickberry_wire::json::TradeKind;
use tickberry_wire::{Body, GapReason};

const HOUR: i64 = 3_600_000;

/// A journal whose watermark stands 2 s behind noon plus `ms`: three batches make it sure of the time.
fn started(ms: i64) -> Journal {
    let mut journal = Journal::new();
    journal.epoch(1).at(0, NOON + ms).at(10, NOON + ms).at(20, NOON + ms);
    journal
}

#[test]
fn a_trade_counts_in_the_minute_of_its_time() {
    let mut journal = started(0);
    journal.at(30, NOON - 1).at(40, NOON + MINUTE - 1).at(50, NOON + MINUTE);
    assert_eq!(windows(&journal.fold()), [(-1, 1, 0, true), (0, 4, 0, false), (1, 1, 0, false)]);
}

#[test]
fn numbers_of_a_window_are_exact() {
    let mut journal = Journal::new();
    journal.epoch(1).trades(
        0,
        &[
            trade("A", NOON + 5, "61583.2", "0.001"),
            trade("A", NOON + 1, "61583.20", "0.00001"),
            trade("A", NOON + 9, "61590", "2"),
            trade("A", NOON + 9, "61580.12345678", "0.5"),
            trade("A", NOON + 3, "61600", "0"),
        ],
    );
    let minute = journal.fold().minutes().next().unwrap();
    let texts = [minute.open, minute.high, minute.low, minute.close].map(|price| price.to_string());
    assert_eq!(texts, ["61583.20", "61590", "61580.12345678", "61580.12345678"]);
    assert_eq!(minute.volume.to_string(), "2.50101");
    assert_eq!(minute.trade_count, 4);
    assert_eq!(minute.avg_price, 246336.52345678 / 4.0);
    assert_eq!(minute.coverage, 1.0);
    assert_eq!(minute.to_json(&"finnhub".parse().unwrap()).volume.0, "2.50101");
}

#[test]
fn equal_extremes_show_the_shortest_text_in_any_order() {
    for prices in [["1.5", "1.50"], ["1.50", "1.5"]] {
        let mut journal = Journal::new();
        journal
            .epoch(1)
            .trades(0, &[trade("A", NOON, prices[0], "1")])
            .trades(0, &[trade("A", NOON, prices[1], "1")]);
        let minute = journal.fold().minutes().next().unwrap();
        assert_eq!([minute.high, minute.low].map(|price| price.to_string()), ["1.5", "1.5"]);
        assert_eq!([minute.open, minute.close].map(|price| price.to_string()), prices);
    }
}

#[test]
fn sums_beyond_128_bits_stay_exact() {
    let mut journal = Journal::new();
    journal.epoch(1);
    let (huge, tiny) = ("999999999999999999", "0.000000000000000000000000000001");
    for _ in 0..300 {
        journal.trades(0, &[trade("A", NOON, huge, huge)]);
    }
    journal.trades(0, &[trade("A", NOON, tiny, tiny), trade("A", NOON, "-5", "-1")]);
    let minute = journal.fold().minutes().next().unwrap();
    assert_eq!(minute.volume.to_string(), "299999999999999999699.000000000000000000000000000001");
    assert_eq!((minute.high.to_string().as_str(), minute.low.to_string().as_str()), (huge, "-5"));
    assert_eq!(minute.trade_count, 302);
}

#[test]
fn volumes_that_cancel_out_leave_the_plain_mean() {
    let mut journal = Journal::new();
    journal.epoch(1).trades(0, &[trade("A", NOON, "10", "1"), trade("A", NOON, "20", "-1")]);
    assert_eq!(journal.fold().minutes().next().unwrap().vwap, 15.0);
}

#[test]
fn open_and_close_go_by_time_then_epoch_then_offset() {
    let mut journal = Journal::new();
    journal.epoch(50).trades(0, &[trade("A", NOON, "3", "1"), trade("A", NOON, "4", "1")]);
    // An epoch of a smaller number, as after a start with the clock unset.
    journal.epoch(40).trades(0, &[trade("A", NOON, "1", "1"), trade("A", NOON, "2", "1")]);
    let minute = journal.fold().minutes().next().unwrap();
    assert_eq!([minute.open, minute.close].map(|price| price.to_string()), ["1", "4"]);
}

#[test]
fn event_times_and_silence_move_the_watermark() {
    type Step = (&'static str, fn(&mut Journal), Option<i64>);
    let steps: [Step; 12] = [
        (
            "one time alone is not believed",
            |j| {
                j.epoch(1).at(0, NOON);
            },
            None,
        ),
        (
            "nor two",
            |j| {
                j.at(100, NOON + 100);
            },
            None,
        ),
        (
            "three are",
            |j| {
                j.at(200, NOON + 200);
            },
            Some(200),
        ),
        (
            "a later time moves it",
            |j| {
                j.at(300, NOON + 900);
            },
            Some(900),
        ),
        (
            "an earlier one does not",
            |j| {
                j.at(500, NOON + 600);
            },
            Some(900),
        ),
        (
            "silence does",
            |j| {
                j.tick(1500);
            },
            Some(1900),
        ),
        (
            "and a time behind what silence made of it does not",
            |j| {
                j.at(1600, NOON + 1700);
            },
            Some(1900),
        ),
        (
            "then it goes on from the trade",
            |j| {
                j.tick(1700);
            },
            Some(1900),
        ),
        (
            "by receive time",
            |j| {
                j.tick(2600);
            },
            Some(2700),
        ),
        (
            "old prints do not stop silence",
            |j| {
                j.at(3600, NOON - 10 * MINUTE);
            },
            Some(3700),
        ),
        (
            "a new epoch's clock begins anew",
            |j| {
                j.epoch(9);
            },
            Some(3700),
        ),
        (
            "and counts on",
            |j| {
                j.tick(1000);
            },
            Some(4700),
        ),
    ];
    let mut journal = Journal::new();
    for (what, step, expected) in steps {
        step(&mut journal);
        assert_eq!(watermark(&journal.fold()), expected.map(|ms| ms - 2000), "{what}");
    }
}

#[test]
fn one_absurd_time_does_not_move_the_watermark() {
    let ahead = NOON + 5 * HOUR;
    type Case = (&'static str, fn(&mut Journal), i64, u64);
    let cases: [Case; 8] = [
        (
            "an hour is no jump",
            |j| {
                j.at(30, NOON + HOUR);
            },
            HOUR,
            0,
        ),
        (
            "more than an hour is",
            |j| {
                j.at(30, NOON + HOUR + 11);
            },
            0,
            0,
        ),
        (
            "refuted",
            |j| {
                j.at(30, NOON + 5 * HOUR).at(40, NOON + 5);
            },
            5,
            1,
        ),
        (
            "one supports",
            |j| {
                j.at(30, NOON + 5 * HOUR).at(40, NOON + 5 * HOUR + 7);
            },
            0,
            0,
        ),
        (
            "two confirm",
            |j| {
                j.at(30, NOON + 5 * HOUR).at(40, NOON + 5 * HOUR + 7).at(50, NOON + 5 * HOUR);
            },
            5 * HOUR + 7,
            0,
        ),
        (
            "a minority of old prints refutes nothing",
            |j| {
                let late = trade("A", NOON, "1", "1");
                let new = trade("A", NOON + 5 * HOUR, "1", "1");
                let mixed = [late, new.clone(), new];
                j.trades(30, &mixed).trades(40, &mixed).trades(50, &mixed);
            },
            5 * HOUR,
            0,
        ),
        (
            "a minority that is always ahead confirms nothing",
            |j| {
                let now = trade("A", NOON, "1", "1");
                let zone = trade("B", NOON + 2 * HOUR, "1", "1");
                for elapsed in 30..50 {
                    j.trades(elapsed, &[now.clone(), zone.clone(), now.clone()]);
                }
            },
            0,
            19,
        ),
        (
            "ten seconds of silence confirm",
            |j| {
                j.at(30, NOON + 5 * HOUR).tick(10_029).tick(10_030);
            },
            5 * HOUR + 10_000,
            0,
        ),
    ];
    for (what, step, expected, refuted) in cases {
        let mut journal = started(0);
        step(&mut journal);
        let fold = journal.fold();
        assert_eq!(watermark(&fold), Some(expected - 2000), "{what}");
        assert_eq!(fold.counters().refuted_jumps, refuted, "{what}");
    }
    let mut journal = started(0);
    journal.at(30, ahead).tick(10_029);
    assert_eq!(
        watermark(&journal.fold()),
        Some(10_009 - 2000),
        "silence that is too short still counts as silence"
    );
}

#[test]
fn silence_over_a_weekend_is_no_jump() {
    let mut journal = started(0);
    let weekend = 60 * HOUR;
    journal.at(20 + weekend as u64, NOON + weekend + 500);
    assert_eq!(watermark(&journal.fold()), Some(weekend + 500 - 2000));
}

#[test]
fn a_window_is_final_when_the_watermark_reaches_its_end() {
    let mut journal = started(0);
    journal.at(30, NOON + MINUTE + 1999);
    assert_eq!(windows(&journal.fold()), [(0, 3, 0, false), (1, 1, 0, false)]);
    journal.tick(31);
    assert_eq!(windows(&journal.fold()), [(0, 3, 0, true), (1, 1, 0, false)]);
}

#[test]
fn each_late_batch_is_a_revision_within_the_kept_hour() {
    let mut journal = started(0);
    journal.at(30, NOON + MINUTE + 2000);
    let late = trade("A", NOON + 5, "1", "1");
    journal.trades(40, &[late.clone(), late.clone(), trade("A", NOON + MINUTE, "1", "1"), late]);
    assert_eq!(windows(&journal.fold()), [(0, 6, 1, true), (1, 2, 0, false)]);
    journal.at(50, NOON);
    assert_eq!(windows(&journal.fold()), [(0, 7, 2, true), (1, 2, 0, false)]);
    // A window that opens late is revised by the batch that opens it.
    journal.at(60, NOON - MINUTE);
    assert_eq!(windows(&journal.fold()), [(-1, 1, 1, true), (0, 7, 2, true), (1, 2, 0, false)]);
    assert_eq!(journal.fold().counters().revisions, 3);
}

#[test]
fn behind_the_kept_hour_trades_are_only_counted() {
    let mut journal = started(0);
    journal.at(30, NOON + HOUR);
    // The watermark is 2 s short of the hour: the minute before noon is the first that is kept.
    journal.at(40, NOON - MINUTE).at(50, NOON - MINUTE - 1);
    let fold = journal.fold();
    assert_eq!(windows(&fold), [(-1, 1, 1, true), (0, 3, 0, true), (60, 1, 0, false)]);
    assert_eq!(fold.counters().late_beyond, 1);
    journal.at(60, NOON + HOUR + MINUTE + 2000);
    let mut fold = journal.fold();
    assert_eq!(windows(&fold), [(60, 1, 0, true), (61, 1, 0, false)]);
    let left: Vec<_> = fold.take_changes().minutes.into_iter().filter(|minute| minute.left).collect();
    assert_eq!(left.iter().map(|minute| minute.trade_count).collect::<Vec<_>>(), [1, 3]);
    journal.at(70, NOON + 59_999);
    assert_eq!(journal.fold().counters().late_beyond, 2);
}

#[test]
fn changes_are_told_once() {
    let mut fold = Fold::new(FoldConfig::default());
    let mut journal = started(0);
    let mut told = |journal: &mut Journal| {
        journal.batches.drain(..).for_each(|batch| fold.apply_batch(&batch));
        let changes = fold.take_changes();
        assert!(fold.take_changes().is_empty());
        let row = |minute: crate::window::Minute| {
            (
                (minute.start_ms - NOON) / MINUTE,
                minute.trade_count,
                minute.is_final,
                minute.left,
                minute.changed,
            )
        };
        changes.minutes.into_iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut journal), [(0, 3, false, false, true)]);
    assert_eq!(told(journal.tick(50)), []);
    assert_eq!(
        told(journal.at(60, NOON + MINUTE + 2000)),
        [(1, 1, false, false, true), (0, 3, true, false, true)]
    );
    assert_eq!(told(journal.at(70, NOON)), [(0, 4, true, false, true)]);
    assert_eq!(
        told(journal.at(80, NOON + HOUR + MINUTE)),
        [(61, 1, false, false, true), (1, 1, true, false, true)]
    );
    assert_eq!(
        told(journal.at(90, NOON + HOUR + MINUTE + 2000)),
        [(0, 4, true, true, false), (61, 2, false, false, true)]
    );
}

#[test]
fn days_hold_all_their_windows_also_those_that_left() {
    let midnight = NOON + 12 * HOUR;
    let mut journal = started(0);
    for minute in 1..719 {
        journal.trades(30, &[trade("A", NOON + minute * MINUTE, &format!("{minute}.5"), "0.1")]);
    }
    journal.trades(40, &[trade("A", midnight - 1, "7", "1")]).at(50, midnight);
    let mut fold = journal.fold();
    let days = fold.take_changes().days;
    assert_eq!(days.iter().map(|day| day.start_ms).collect::<Vec<_>>(), [midnight - 24 * HOUR, midnight]);
    let day = &days[0];
    assert_eq!((day.trade_count, day.volume.to_string().as_str()), (722, "75.8"));
    let prices = [day.open, day.high, day.low, day.close].map(|price| price.to_string());
    assert_eq!(prices, ["1", "718.5", "1", "7"]);
    // A late trade within the kept hour still gets in, and the day is told for the last time an hour behind its end.
    journal.batches.clear();
    journal.at(60, midnight - 5).at(70, midnight + HOUR).at(75, midnight + HOUR + 2000);
    journal.batches.iter().for_each(|batch| fold.apply_batch(batch));
    let days = fold.take_changes().days;
    assert_eq!(days.iter().map(|day| day.trade_count).collect::<Vec<_>>(), [723, 3]);
}

#[test]
fn price_updates_move_the_last_price_and_count_in_no_window() {
    let mut journal = started(0);
    journal.trades(30, &[trade("A", NOON + 5, "9", "0"), trade("B", NOON, "8", "0.00")]);
    let mut fold = journal.fold();
    assert_eq!(windows(&fold), [(0, 3, 0, false)]);
    let live = fold.live(&symbol("A")).unwrap();
    assert_eq!((live.last_price.to_string().as_str(), live.last_kind), ("9", TradeKind::PriceUpdate));
    assert_eq!(live.minute.unwrap().trade_count, 3);
    assert_eq!(fold.live(&symbol("B")).unwrap().minute, None);
    assert_eq!(fold.live(&symbol("C")), None);
    assert_eq!(fold.counters().price_updates, 2);
    assert_eq!(fold.take_changes().symbols, [symbol("A"), symbol("B")]);
    journal.trades(40, &[trade("A", NOON + 6, "7", "1"), trade("A", NOON + 4, "6", "0")]);
    assert_eq!(journal.fold().live(&symbol("A")).unwrap().last_price.to_string(), "7");
}

#[test]
fn implausible_times_are_counted_and_open_no_window() {
    let mut journal = started(0);
    for time_ms in [0, i64::MIN, i64::MAX, 946_684_799_999, 7_258_118_400_000] {
        journal.at(30, time_ms);
    }
    let fold = journal.fold();
    assert_eq!(windows(&fold), [(0, 3, 0, false)]);
    assert_eq!((fold.counters().implausible, fold.counters().records), (5, 8));
    assert_eq!(watermark(&fold), Some(10 - 2000), "a batch without a plausible time is silence");
}

#[test]
fn windows_ahead_are_held_up_to_a_bound() {
    let mut journal = started(0);
    journal.at(25, NOON + MINUTE).at(30, NOON + 100 * 365 * 24 * HOUR).at(40, NOON + MINUTE);
    let fold = journal.fold();
    assert_eq!(fold.minutes().count(), 3, "an absurd but plausible time counts in its window");
    assert_eq!(fold.live(&symbol("A")).unwrap().last_time_ms, NOON + MINUTE);
    assert_eq!(fold.cursor().rebuild_from, 4, "and does not hold a rebuild back for ever");
    for minute in 0..10_000 {
        journal.at(50, NOON + 1000 * HOUR + minute * MINUTE * 100).at(50, NOON + MINUTE);
    }
    let mut fold = journal.fold();
    assert_eq!(fold.minutes().count(), 1 + crate::window::MAX_CARRIED);
    assert_eq!(fold.counters().too_far_ahead, 10_002 - crate::window::MAX_CARRIED as u64);
    assert!(fold.cursor().state.len() < 100_000);
    fold.take_changes();
}

#[test]
fn gaps_lower_coverage() {
    type Case = (&'static str, fn(&mut Journal), f64, u64);
    let cases: [Case; 7] = [
        (
            "before the window's first trade",
            |j| {
                j.gap(30, NOON + 59_000, NOON + 61_000, &[]).at(40, NOON + MINUTE);
            },
            59.0 / 60.0,
            0,
        ),
        (
            "after it",
            |j| {
                j.at(30, NOON + MINUTE).gap(40, NOON + 90_000, NOON + 105_000, &[]);
            },
            0.75,
            0,
        ),
        (
            "of the symbol",
            |j| {
                j.at(30, NOON + MINUTE).gap(40, NOON + 90_000, NOON + 105_000, &["B", "A"]);
            },
            0.75,
            0,
        ),
        (
            "of another symbol",
            |j| {
                j.at(30, NOON + MINUTE).gap(40, NOON + 90_000, NOON + 105_000, &["B"]);
            },
            1.0,
            0,
        ),
        (
            "told when the window was final: a revision",
            |j| {
                j.at(30, NOON + MINUTE).at(35, NOON + 122_000).gap(40, NOON + 90_000, NOON + 105_000, &[]);
            },
            0.75,
            1,
        ),
        (
            "told twice: one revision",
            |j| {
                j.at(30, NOON + MINUTE).at(35, NOON + 122_000).gap(40, NOON + 90_000, NOON + 105_000, &[]);
                j.gap(50, NOON + 91_000, NOON + 104_000, &[]);
            },
            0.75,
            1,
        ),
        (
            "of no length",
            |j| {
                j.at(30, NOON + MINUTE).gap(40, NOON + 90_000, NOON + 90_000, &[]);
            },
            1.0,
            0,
        ),
    ];
    for (what, step, coverage, revision) in cases {
        let mut journal = started(0);
        step(&mut journal);
        let minute = journal.fold().minutes().find(|minute| minute.start_ms == NOON + MINUTE).unwrap();
        assert_eq!((minute.coverage, minute.revision), (coverage, revision), "{what}");
    }
}

#[test]
fn gaps_are_told_as_rows() {
    let mut journal = started(0);
    journal.gap(30, NOON, NOON + 5, &[]).gap(40, NOON, NOON, &["B", "A"]).gap(50, NOON + 1, NOON, &[]);
    let row = |symbol, start_ms, end_ms| GapRow { symbol, start_ms, end_ms, reason: GapReason::Stall };
    assert_eq!(
        journal.fold().take_changes().gaps,
        [row(None, NOON, NOON + 5), row(Some(symbol("B")), NOON, NOON), row(Some(symbol("A")), NOON, NOON)]
    );
}

#[test]
fn lost_records_are_a_gap_from_the_last_time_known_to_the_next() {
    let mut journal = started(1000);
    journal.lost(7).tick(30).at(40, NOON - 5).at(50, NOON + 16_000);
    let mut fold = journal.fold();
    let gap =
        GapRow { symbol: None, start_ms: NOON + 1000, end_ms: NOON + 16_000, reason: GapReason::Quarantine };
    assert_eq!(fold.take_changes().gaps, [gap]);
    assert_eq!(fold.counters().lost, 7);
    assert_eq!(fold.minutes().find(|minute| minute.start_ms == NOON).unwrap().coverage, 0.75);
}

#[test]
fn a_hole_in_the_offsets_is_a_loss_and_known_records_are_not_folded_again() {
    let mut journal = started(1000);
    journal.next += 5;
    journal.at(30, NOON + 2000).at(35, NOON + 2000);
    let mut fold = journal.fold();
    assert_eq!(fold.counters().lost, 5);
    let before = fold.fingerprint();
    journal.batches.iter().for_each(|batch| fold.apply_batch(batch));
    assert_eq!(fold.fingerprint(), before);
}

#[test]
fn windows_whose_beginning_the_journal_lost_are_never_told() {
    let mut journal = Journal::new();
    journal.next = 1000;
    journal.at(0, NOON + 5000).at(10, NOON + 6000).at(20, NOON + 7000).at(30, NOON + 8000);
    journal.at(40, NOON + MINUTE);
    let fold = journal.fold();
    assert_eq!(windows(&fold), [(1, 1, 0, false)]);
    assert_eq!((fold.counters().not_whole, fold.counters().lost), (4, 0));
}

#[test]
fn a_range_that_is_gone_ends_the_windows_it_may_have_hit() {
    let mut journal = started(5000);
    journal.push(0, Body::Lost { count: 100, reason: GapReason::LostRange });
    journal.at(30, NOON + 20_000).at(40, NOON + MINUTE);
    let mut fold = journal.fold();
    assert_eq!(windows(&fold), [(1, 1, 0, false)]);
    let changes = fold.take_changes();
    let left: Vec<_> = changes.minutes.iter().filter(|minute| minute.left).collect();
    assert_eq!((left.len(), left[0].trade_count, left[0].is_final), (1, 3, true));
    let gap =
        GapRow { symbol: None, start_ms: NOON + 5000, end_ms: NOON + MINUTE, reason: GapReason::LostRange };
    assert_eq!(changes.gaps, [gap]);
}

#[test]
fn commits_leave_no_trace() {
    let journal = started(0);
    let mut fold = journal.fold();
    let before = fold.fingerprint();
    let mut commit = journal.batches[1].clone();
    commit.first_offset = journal.next;
    commit.elapsed_ms = 1_000_000;
    commit.body = Body::Commit;
    fold.apply_batch(&commit);
    assert_eq!(fold.fingerprint(), before);
}

#[test]
fn whole_frames_that_come_again_are_suspected_copies_and_count() {
    let mut journal = started(0);
    let (a, b) = (trade("A", NOON, "1.0", "1"), trade("B", NOON, "2", "3"));
    journal.trades(1000, &[a.clone(), b.clone()]).trades(1100, &[b.clone(), a.clone()]);
    journal.trades(1100, std::slice::from_ref(&a)).trades(1400, &[b, a]);
    let fold = journal.fold();
    // Of the three batches that started, two repeat the first.
    assert_eq!(fold.counters().suspected_copies, 2 + 2);
    assert_eq!(windows(&fold), [(0, 3 + 4, 0, false)]);
}
