//! What is journaled and published, on a disk in memory that can fail.

use std::sync::Arc;

use tickberry_wire::{
    Batch, Body, Control, Decimal, Gap, GapReason, Symbol, Trade, decode, is_plausible_time,
};

use super::{Moment, Recorder, RecorderSettings};
use crate::journal::model::{Fault, ModelDisk};
use crate::journal::{Disk, Item, Reader};

const WALL: i64 = 1_790_000_000_000;

fn at(mono_ms: u64) -> Moment {
    Moment { mono_ms, wall_ms: WALL + mono_ms as i64 }
}

fn settings() -> RecorderSettings {
    RecorderSettings {
        journal: crate::Config::default().journal(),
        simulated: false,
        lateness_ms: 2_000,
        retry_disk_ms: 60_000,
    }
}

fn open(disk: &Arc<ModelDisk>, mono_ms: u64) -> Recorder {
    Recorder::open(disk.clone() as Arc<dyn Disk>, settings(), at(mono_ms), mono_ms).unwrap().0
}

fn trade(time_ms: i64) -> Trade {
    Trade {
        symbol: Symbol::new("BINANCE:BTCUSDT").unwrap(),
        time_ms,
        price: Decimal::parse("61837.63").unwrap(),
        volume: Decimal::parse("0.00012").unwrap(),
        conditions: None,
    }
}

/// Everything in the journal.
fn journal(reader: &Reader) -> Vec<Batch> {
    let mut batches = reader.read_uncommitted(reader.state().first, None).unwrap();
    let mut found = Vec::new();
    while let Some(item) = batches.next_item().unwrap() {
        let Item::Batch { payload, .. } = item else { panic!("{item:?}") };
        found.push(decode(payload).unwrap());
    }
    found
}

fn gaps(reader: &Reader) -> Vec<(GapReason, i64, i64)> {
    let gap = |batch: Batch| match batch.body {
        Body::Control(Control::Gap(Gap { from_ms, to_ms, reason, .. })) => Some((reason, from_ms, to_ms)),
        _ => None,
    };
    journal(reader).into_iter().filter_map(gap).collect()
}

fn ticks(reader: &Reader) -> usize {
    journal(reader).iter().filter(|batch| batch.body == Body::Control(Control::Tick)).count()
}

fn flush(recorder: &mut Recorder, now: u64) {
    if let Some(flush) = recorder.begin_flush(at(now)) {
        let outcome = flush.run();
        recorder.end_flush(flush, outcome, at(now));
    }
}

#[test]
fn outputs_are_the_journal_in_order_and_commits_follow_flushes() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 250);
    recorder.trades(vec![trade(WALL), trade(WALL + 1)], at(1_000));
    flush(&mut recorder, 1_001);
    recorder.trades(vec![trade(WALL + 2)], at(1_500));
    let outputs: Vec<Batch> = recorder.take_outputs().iter().map(|o| decode(&o.payload).unwrap()).collect();
    let kinds: Vec<&str> = outputs
        .iter()
        .map(|batch| match &batch.body {
            Body::Control(Control::EpochStart(_)) => "start",
            Body::Control(Control::Gap(_)) => "gap",
            Body::Trades(_) => "trades",
            Body::Commit => "commit",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["start", "gap", "trades", "commit", "trades"]);
    assert_eq!((outputs[3].first_offset, outputs[3].committed), (4, 4));
    assert_eq!(outputs[4].committed, 4);
    let journaled = journal(&recorder.reader());
    assert!(outputs.iter().filter(|batch| !batch.is_empty()).eq(&journaled));
    // The anchor is the epoch's second, so elapsed time counts from there.
    assert!(journaled.iter().all(|batch| batch.anchor_ms == Some(batch.epoch.origin_ms())));
    assert_eq!(journaled[2].received_ms(), Some(WALL + 1_000));
    assert_eq!(recorder.take_outputs().len(), 0);
}

#[test]
fn trades_that_look_alike_are_all_journaled() {
    let mut recorder = open(&Arc::new(ModelDisk::new(1)), 0);
    let frame = vec![trade(WALL); 3];
    recorder.trades(frame.clone(), at(500));
    recorder.trades(frame.clone(), at(500));
    let trades = |batch: Batch| if let Body::Trades(trades) = batch.body { trades } else { Vec::new() };
    let journaled: Vec<Trade> = journal(&recorder.reader()).into_iter().flat_map(trades).collect();
    assert_eq!(journaled, vec![trade(WALL); 6]);
}

#[test]
fn the_start_gap_runs_from_the_last_journaled_trade_to_the_first_new_one() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut first = open(&disk, 0);
    first.alive(at(10));
    first.trades(vec![trade(WALL + 500), trade(WALL + 100)], at(500));
    flush(&mut first, 600);
    assert_eq!(gaps(&first.reader()), [(GapReason::Start, 0, WALL + 500)]);
    drop(first);
    let mut second = open(&disk, 5_000);
    // A ping says nothing about event time.
    second.alive(at(6_000));
    second.lost(Some(6_000), GapReason::Disconnect);
    second.trades(vec![trade(WALL + 7_000)], at(7_100));
    assert_eq!(
        gaps(&second.reader()),
        [(GapReason::Start, 0, WALL + 500), (GapReason::Start, WALL + 500, WALL + 7_100)],
        "a frame that comes at 7,100 does not say that the feed was heard at 7,000"
    );
}

#[test]
fn a_start_into_silence_tells_the_gap_before_silence_closes_the_minute() {
    let disk = Arc::new(ModelDisk::new(1));
    let minute = (WALL / 60_000 + 1) * 60_000;
    let mut first = open(&disk, 0);
    first.trades(vec![trade(minute + 50_000)], at(500));
    flush(&mut first, 600);
    drop(first);
    let mut second = open(&disk, 5_000);
    for second_of in 6..=80 {
        second.tick(at(second_of * 1_000));
    }
    // Ten seconds to the minute's end: told then, at a time that is not ahead of the real one.
    assert_eq!(gaps(&second.reader())[1..], [(GapReason::Start, minute + 50_000, minute + 60_000)]);
    // The gap's end closes the minute; then there is one tick to be sure.
    assert_eq!(ticks(&second.reader()), 4, "three at the minute's end, one at the last");
    second.trades(vec![trade(minute + 400_000)], at(90_000));
    assert_eq!(gaps(&second.reader())[2..], [(GapReason::Start, minute + 60_000, minute + 400_000)]);
}

#[test]
fn a_gap_runs_from_the_last_frame_to_the_first_in_event_time() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    let start = WALL / 60_000 * 60_000 + 60_000;
    recorder.trades(vec![trade(start)], at(1_000));
    // The last frame was a ping 30 s later; it was noticed at 180 s.
    recorder.lost(Some(31_000), GapReason::Stall);
    recorder.lost(Some(31_000), GapReason::Refused);
    recorder.alive(at(41_000));
    assert_eq!(gaps(&recorder.reader())[1..], [(GapReason::Refused, start + 30_000, start + 40_000)]);
    // A trade says more than the clock.
    recorder.lost(Some(41_000), GapReason::Disconnect);
    recorder.trades(vec![trade(start + 45_000)], at(42_000));
    assert_eq!(gaps(&recorder.reader())[2..], [(GapReason::Disconnect, start + 40_000, start + 45_000)]);
    // An absurd one says nothing.
    recorder.lost(Some(42_000), GapReason::Disconnect);
    let absurd = 7_000_000_000_000;
    assert!(is_plausible_time(absurd));
    recorder.trades(vec![trade(absurd)], at(43_000));
    assert_eq!(gaps(&recorder.reader()).len(), 3);
    recorder.trades(vec![trade(start + 46_500)], at(44_000));
    assert_eq!(gaps(&recorder.reader())[3..], [(GapReason::Disconnect, start + 45_000, start + 47_000)]);
}

#[test]
fn ticks_come_when_silence_passes_a_minute_while_windows_wait() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    for second in 1..=10 {
        recorder.tick(at(second * 1_000));
    }
    assert_eq!(ticks(&recorder.reader()), 0, "nothing waits in an empty journal");
    let minute = (WALL / 60_000 + 1) * 60_000;
    recorder.trades(vec![trade(minute + 50_000)], at(10_500));
    let mut told = Vec::new();
    for second in 11..=200 {
        let before = ticks(&recorder.reader());
        recorder.tick(at(second * 1_000));
        if ticks(&recorder.reader()) > before {
            told.push(second);
        }
    }
    // The minute ends 10 s after the trade and the watermark is 2 s behind: 22.5 s. The last one is 65 s after the trade.
    assert_eq!(told, [23, 24, 25, 76]);
}

#[test]
fn a_large_frame_becomes_several_batches() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    let trades: Vec<Trade> = (0..10_000).map(|n| trade(WALL + n % 7)).collect();
    recorder.trades(trades.clone(), at(1_000));
    let journaled = journal(&recorder.reader());
    let found: Vec<Trade> = journaled
        .iter()
        .filter_map(|batch| if let Body::Trades(trades) = &batch.body { Some(trades.clone()) } else { None })
        .flatten()
        .collect();
    assert_eq!(found, trades);
    assert!(journaled.windows(2).all(|pair| pair[0].end_offset() == pair[1].first_offset));
    assert_eq!(recorder.dropped(), 0);
}

#[test]
fn a_failing_disk_is_left_for_memory_and_found_again() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    recorder.trades(vec![trade(WALL)], at(1_000));
    flush(&mut recorder, 1_100);
    disk.set_fault(Fault::ReadOnly);
    recorder.trades(vec![trade(WALL + 1)], at(2_000));
    let state = recorder.state();
    assert!(!state.durable && recorder.disk_error().is_some());
    let outputs: Vec<Batch> = recorder.take_outputs().iter().map(|o| decode(&o.payload).unwrap()).collect();
    let offsets: Vec<(u64, u64)> = outputs
        .iter()
        .filter(|batch| !batch.is_empty())
        .map(|batch| (batch.first_offset, batch.end_offset()))
        .collect();
    assert_eq!(offsets, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], "no offset twice, none left out");
    assert_ne!(outputs.first().unwrap().epoch, outputs.last().unwrap().epoch);
    recorder.tick(at(30_000));
    disk.set_fault(Fault::None);
    recorder.tick(at(61_000));
    assert!(!recorder.state().durable, "it is tried once a minute");
    recorder.tick(at(62_000));
    assert!(recorder.state().durable && recorder.disk_error().is_none());
    recorder.trades(vec![trade(WALL + 2)], at(63_000));
    flush(&mut recorder, 63_100);
    let head = recorder.state().head;
    drop(recorder);
    let again = open(&disk, 64_000);
    assert_eq!(again.state().head, head + 1);
    let trades =
        journal(&again.reader()).iter().filter(|batch| matches!(batch.body, Body::Trades(_))).count();
    assert_eq!(trades, 3, "what memory held is on disk too");
}

#[test]
fn damage_found_at_a_start_is_told_as_a_gap_with_its_reason() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    for second in 0..3 {
        let now = 1_000 * second + 10;
        recorder.trades(vec![trade(WALL + now as i64)], at(now));
        flush(&mut recorder, now + 500);
    }
    flush(&mut recorder, 3_000);
    drop(recorder);
    disk.kill_process();
    // Header, the epoch's start, and a page for each second: the second one rots.
    assert!(disk.flip("segment-0000000000", 3 * 4096 + 50, 1));
    let recorder = open(&disk, 10_000);
    // Counted when it is found, and by each reading that meets it.
    assert!(recorder.stats().damaged_ranges > 0);
    let reader = recorder.reader();
    let mut batches = reader.read_uncommitted(0, None).unwrap();
    let mut told = Vec::new();
    while let Some(item) = batches.next_item().unwrap() {
        match item {
            Item::Lost { from, to, reason, .. } => {
                assert_eq!((to - from, reason), (1, GapReason::Quarantine))
            }
            Item::Batch { payload, .. } => {
                if let Body::Control(Control::Gap(gap)) = decode(payload).unwrap().body
                    && gap.reason != GapReason::Start
                {
                    told.push((gap.reason, gap.from_ms, gap.to_ms));
                }
            }
        }
    }
    assert_eq!(told, [(GapReason::Quarantine, WALL + 10, WALL + 2_010)]);
}

#[test]
fn a_pi_whose_clock_is_in_1970_at_boot_goes_on_behind_what_it_has() {
    let disk = Arc::new(ModelDisk::new(1));
    let mut recorder = open(&disk, 0);
    recorder.trades(vec![trade(WALL + 10)], at(10));
    flush(&mut recorder, 1_000);
    let before = recorder.state().epoch;
    drop(recorder);
    disk.power_on();
    let boot = Moment { mono_ms: 7_000, wall_ms: 7_000 };
    let mut recorder = Recorder::open(disk as Arc<dyn Disk>, settings(), boot, 0).unwrap().0;
    assert!(recorder.state().epoch > before);
    // Unset, receive times are unknown; set by the network, they are right, though the epoch's name is not.
    recorder.trades(vec![trade(WALL + 60_000)], Moment { mono_ms: 8_000, wall_ms: 8_000 });
    recorder.trades(vec![trade(WALL + 61_000)], Moment { mono_ms: 9_000, wall_ms: WALL + 61_050 });
    let received: Vec<_> = journal(&recorder.reader())
        .iter()
        .filter(|batch| matches!(batch.body, Body::Trades(_)))
        .map(Batch::received_ms)
        .collect();
    assert_eq!(received, [Some(WALL + 10), None, Some(WALL + 61_050)]);
}
