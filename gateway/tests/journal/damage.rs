//! Flipped bytes and cut files: neighbours survive, what is missing is told, nothing is invented.

use std::sync::Arc;

use tickberry_gateway::journal::model::ModelDisk;
use tickberry_gateway::journal::{Disk, Journal, Opened};
use tickberry_wire::GapReason;

use crate::support::{Written, open};

/// Two epochs in three segments, all committed, with a third life's start behind them.
fn three_segments() -> (ModelDisk, Written, u64) {
    let disk = ModelDisk::new(7);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    for i in 0.. {
        written.append(&mut journal, 1 + i % 30).unwrap();
        if i % 5 == 4 {
            journal.flush().unwrap();
        }
        if journal.stats().segments == 2 && i % 10 == 9 {
            break;
        }
    }
    journal.flush().unwrap();
    journal.flush().unwrap();
    disk.kill_process();
    let (mut journal, opened) = open(Arc::new(disk.clone()), 2);
    written.opened(&opened);
    for _ in 0..20 {
        written.append(&mut journal, 5).unwrap();
    }
    journal.flush().unwrap();
    journal.flush().unwrap();
    disk.power_on();
    (disk, written, journal.state().head)
}

/// More than a sealed block of these batches holds.
const BLOCK_RECORDS: u64 = 3000;

fn reopen(disk: &ModelDisk) -> (Journal, Opened) {
    open(Arc::new(disk.clone()), 3)
}

fn segments(disk: &ModelDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.starts_with("se")).collect()
}

/// After damage: every batch that is read is true, holes are told, and at most `most` records are missing.
fn survives(disk: &ModelDisk, written: &Written, head: u64, most: u64, what: &str) -> u64 {
    let (journal, opened) = reopen(disk);
    assert_eq!(opened.state.head, head + 1, "{what}: committed offsets are not given out again");
    let mut written = written.clone();
    written.opened(&opened);
    let told = opened.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>();
    let read = written.check(&journal.reader(), 0, head + 1);
    assert_eq!(told, read.iter().map(|&(from, to, _)| (from, to)).collect::<Vec<_>>(), "{what}");
    let lost = told.iter().map(|(from, to)| to - from).sum::<u64>();
    assert!(lost <= most, "{what}: {lost} records lost");
    lost
}

#[test]
fn a_flipped_byte_anywhere_costs_one_batch_or_one_sealed_block() {
    let (disk, written, head) = three_segments();
    assert_eq!(survives(&disk.copy(), &written, head, 0, "undamaged"), 0);
    let mut damaging = 0;
    for name in segments(&disk) {
        let bytes = disk.bytes(&name);
        let len = bytes.len();
        let sealed = name.starts_with("sealed");
        let last = len
            - bytes[..len.saturating_sub(4096)].iter().rev().take_while(|&&b| b == 0).count()
            - 4096.min(len);
        let next_page = last.next_multiple_of(4096);
        // Headers and the first pages byte for byte, then samples of data, of its end, and of emptiness.
        let positions: Vec<usize> = if sealed {
            (0..100).chain((100..len).step_by(97)).chain(len - 70..len).collect()
        } else {
            (0..80)
                .chain(4096..4160)
                .chain(8192..8300)
                .chain((8300..last).step_by(397))
                .chain(last..last + 40)
                .chain(next_page..next_page + 40)
                .chain(len - 4096..len - 4000)
                .collect()
        };
        for pos in positions {
            let disk = disk.copy();
            disk.flip(&name, pos, 1 << (pos % 8));
            let most = if sealed { BLOCK_RECORDS } else { 30 };
            let lost = survives(&disk, &written, head, most, &format!("{name} at {pos}"));
            damaging += u64::from(lost > 0);
        }
    }
    assert!(damaging > 100, "only {damaging} flips met data");
}

#[test]
fn rot_while_running_is_stepped_over_too() {
    let (disk, written, head) = three_segments();
    // The newest segment is not sealed at the start.
    let name = segments(&disk).pop().unwrap();
    let mut damaging = 0;
    for pos in (8192..10_000).step_by(17) {
        let disk = disk.copy();
        let (journal, opened) = reopen(&disk);
        let mut written = written.clone();
        written.opened(&opened);
        disk.flip(&name, pos, 0xff);
        let lost = written.check(&journal.reader(), 0, head);
        assert!(
            lost.len() <= 1
                && lost.iter().all(|&(from, to, why)| to - from <= 30 && why == GapReason::Quarantine)
        );
        assert_eq!(journal.stats().damaged_ranges, lost.len() as u64);
        damaging += lost.len();
    }
    assert!(damaging > 25, "only {damaging} flips met data");
}

#[test]
fn a_file_cut_at_any_length_costs_only_what_was_behind() {
    let (disk, written, head) = three_segments();
    let names = segments(&disk);
    for name in &names {
        let len = disk.bytes(name).len();
        for cut in (0..130).chain((130..len).step_by(9001)).chain(len - 50..len) {
            let disk = disk.copy();
            disk.truncate(name, cut);
            let (journal, opened) = reopen(&disk);
            let mut written = written.clone();
            let end = opened.state.head - 1;
            written.opened(&opened);
            let first = journal.state().first;
            let read = written.check(&journal.reader(), first, end);
            let told: Vec<_> = opened.lost.iter().map(|lost| (lost.from, lost.to)).collect();
            assert_eq!(
                told,
                read.iter().map(|&(from, to, _)| (from, to)).collect::<Vec<_>>(),
                "{name} cut at {cut}"
            );
            // Cut in the last segment, the evidence goes with the data; else every offset is accounted for.
            assert!(end == head || Some(name) == names.last(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_deleted_segment_is_a_lost_range() {
    let (disk, written, head) = three_segments();
    let names = segments(&disk);
    disk.remove(&names[1]).unwrap();
    let (journal, opened) = reopen(&disk);
    let mut written = written;
    written.opened(&opened);
    assert_eq!(opened.lost.len(), 1);
    assert!(opened.lost[0].missing_segment);
    let read = written.check(&journal.reader(), 0, head);
    assert_eq!(read, [(opened.lost[0].from, opened.lost[0].to, GapReason::LostRange)]);
}

#[test]
fn garbage_for_files_never_refuses_a_start() {
    let (disk, written, head) = three_segments();
    for name in [
        "segment-",
        "segment-x",
        "segment-0000009999",
        "new-0000000003",
        "sealed-0000009998",
        "readme",
        "segment-00",
    ] {
        let file = disk.create(name, 10_000).unwrap();
        file.write_at(&[0xa7; 9_000], 500).unwrap();
        file.write_at(&[0xa7; 500], 0).unwrap();
    }
    let (journal, opened) = reopen(&disk);
    let mut written = written;
    written.opened(&opened);
    assert_eq!(opened.unreadable, 2);
    assert_eq!(written.check(&journal.reader(), 0, head), []);
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_costs_one_block() {
    let disk = ModelDisk::new(7);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    while journal.stats().segments < 3 {
        written.append(&mut journal, 3).unwrap();
    }
    for _ in 0..3 {
        written.append(&mut journal, 3).unwrap();
        journal.flush().unwrap();
    }
    assert_eq!(journal.stats().segments_sealed, 2);
    let head = journal.state().head;
    disk.kill_process();
    let name = "sealed-0000000001";
    let len = disk.bytes(name).len();
    let mut damaging = 0;
    for pos in (0..100).chain((100..len).step_by(len / 40)).chain(len - 70..len) {
        let disk = disk.copy();
        disk.flip(name, pos, 1 << (pos % 8));
        // A segment of these has some 1,600 batches in 5 blocks.
        damaging += u64::from(survives(&disk, &written, head, 1500, &format!("{pos}")) > 0);
    }
    assert!(damaging > 80, "only {damaging} flips met data");
}

#[test]
fn what_was_cut_does_not_come_back_when_the_ring_has_gone_over_its_successors() {
    let disk = ModelDisk::new(1);
    let (mut journal, _) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    // Four segments that nothing has made durable, with a hole at their beginning.
    for _ in 0..80 {
        written.append(&mut journal, 2_000).unwrap();
    }
    let uncommitted = disk.names().len();
    assert!(uncommitted >= 4, "{uncommitted} segments");
    drop(journal);
    disk.kill_process();
    assert!(disk.flip("segment-0000000000", 8192 + 100, 1) && disk.flip("segment-0000000000", 4096 + 100, 1));
    let (journal, opened) = open(Arc::new(disk.clone()), 2);
    assert!(opened.torn);
    let segments = |disk: &ModelDisk| disk.names().iter().filter(|n| n.starts_with("segment-")).count();
    assert!(segments(&disk) <= 2, "a segment that was cut keeps no name: {:?}", disk.names());
    drop(journal);
    // Many lives: each takes a segment, and the ring goes round.
    for life in 3..12 {
        disk.kill_process();
        let (_, opened) = open(Arc::new(disk.clone()), life);
        assert!(opened.lost.is_empty(), "{:?}", opened.lost);
    }
}

#[test]
fn frames_left_in_a_file_that_is_used_again_are_no_data() {
    let disk = ModelDisk::new(1);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    // Nothing of these is flushed, and the first of them is gone: so they were never there.
    while journal.stats().segments < 2 {
        written.append(&mut journal, 1).unwrap();
    }
    let second_segment = journal.state().head;
    for _ in 0..1_000 {
        written.append(&mut journal, 1).unwrap();
    }
    drop(journal);
    disk.kill_process();
    assert!(disk.flip("segment-0000000000", 8192 + 50, 1));
    let (mut journal, opened) = open(Arc::new(disk.clone()), 2);
    assert!(opened.torn && opened.state.head == 2, "{opened:?}");
    // The second segment's file is this epoch's now. What is written there ends just where a frame that lies further
    // behind would go on.
    let mut written = Written::default();
    written.opened(&opened);
    written.append(&mut journal, second_segment + 800 - 2).unwrap();
    let head = journal.state().head;
    drop(journal);
    disk.kill_process();
    let (_, opened) = open(Arc::new(disk.clone()), 3);
    assert_eq!(opened.state.head, head + 1, "records of the life before last were taken for new ones");
}
