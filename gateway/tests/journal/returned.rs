//! The way back from memory to a disk that has healed: what it must not cost.

use std::sync::Arc;

use tickberry_gateway::journal::model::{Fault, ModelDisk};
use tickberry_gateway::journal::{Disk, Journal, Opened};

use crate::support::{Written, open, small, start};

const SEEDS: u64 = 40;

fn begin(disk: &ModelDisk, written: &mut Written, random: u32) -> Journal {
    let (journal, opened) = open(Arc::new(disk.clone()), random);
    written.opened(&opened);
    journal
}

/// An epoch on disk with committed records and others that only the page cache has, in so many segments.
fn with_unflushed(disk: &ModelDisk, written: &mut Written, segments: u64) -> Journal {
    let mut journal = begin(disk, written, 1);
    written.append(&mut journal, 30).unwrap();
    journal.flush().unwrap();
    let first = journal.stats().segments;
    while journal.stats().segments - first < segments - 1 {
        written.append(&mut journal, 2000).unwrap();
    }
    for _ in 0..3 {
        written.append(&mut journal, 5).unwrap();
    }
    journal
}

fn reopen(disk: &ModelDisk, random: u32) -> (Journal, Opened) {
    open(Arc::new(disk.clone()), random)
}

/// Seed 11944 of the simulation. A process is killed, the next start cannot sync what it left, goes on in memory
/// and is back on disk later: from then on everything is durable, also what was left.
#[test]
fn what_a_start_could_not_sync_is_durable_after_the_return() {
    for fault in [Fault::ReadOnly, Fault::SyncFails] {
        for seed in 0..SEEDS {
            let (disk, mut written) = (ModelDisk::new(seed), Written::default());
            drop(with_unflushed(&disk, &mut written, 1));
            disk.kill_process();
            disk.set_fault(fault);
            let mut journal = begin(&disk, &mut written, 2);
            assert!(!journal.state().durable);
            written.check_all(&journal.reader());
            written.append(&mut journal, 7).unwrap();
            disk.set_fault(Fault::None);
            written.opened(&journal.retry_disk(start(3)).unwrap());
            written.check_all(&journal.reader());
            let state = journal.state();
            assert!(state.durable && state.committed == state.head);

            disk.power_on();
            let (journal, opened) = reopen(&disk, 4);
            assert_eq!(opened.lost, [], "{fault:?}, seed {seed}");
            assert_eq!(opened.previous, Some((state.epoch, state.head)), "{fault:?}, seed {seed}");
            written.opened(&opened);
            written.check_all(&journal.reader());
        }
    }
}

/// The same at a start that meets a failed sync, and another that is killed in memory: the pages look clean, but
/// only the first one reads them before.
#[test]
fn a_sync_that_fails_at_a_start_takes_nothing_from_memory() {
    for seed in 0..SEEDS {
        let (disk, mut written) = (ModelDisk::new(seed), Written::default());
        drop(with_unflushed(&disk, &mut written, 3));
        disk.kill_process();
        disk.set_fault(Fault::SyncFails);
        let mut journal = begin(&disk, &mut written, 2);
        assert!(journal.retry_disk(start(3)).is_err());
        written.check_all(&journal.reader());
        disk.set_fault(Fault::None);
        written.opened(&journal.retry_disk(start(4)).unwrap());
        disk.power_on();
        let (journal, opened) = reopen(&disk, 5);
        assert_eq!(opened.lost, [], "seed {seed}");
        written.opened(&opened);
        written.check_all(&journal.reader());
    }
}

/// An epoch that the page cache has more of than the disk, and a memory epoch behind it, on a disk that is well again.
fn in_memory(disk: &ModelDisk, written: &mut Written, segments: u64) -> (Journal, u64) {
    let mut journal = with_unflushed(disk, written, segments);
    let end = journal.state().head;
    disk.set_fault(Fault::ReadOnly);
    assert!(written.append(&mut journal, 5).is_err());
    written.opened(&journal.continue_in_memory(start(2)));
    written.append(&mut journal, 7).unwrap();
    disk.set_fault(Fault::None);
    (journal, end)
}

/// Nothing of what the page cache held up to `end` may be missing after a start.
fn all_there(disk: &ModelDisk, written: &Written, end: u64, when: &str) {
    let (journal, opened) = reopen(disk, 4);
    assert!(opened.lost.is_empty(), "{when}: {:?}", opened.lost);
    let found = opened.previous.map(|(_, end)| end);
    assert!(found >= Some(end), "{when}: {found:?} instead of {end}");
    // The ring is small: it may have let the oldest go by now.
    let first = journal.state().first;
    assert!(first < end, "{when}: {first}");
    assert_eq!(written.check(&journal.reader(), first, end), [], "{when}");
}

/// A process killed at any operation of its return: what it appended before the disk failed is in the page cache, and
/// no copy may cut it off, be it half or one of several.
#[test]
fn a_return_that_is_killed_costs_nothing_that_was_on_disk() {
    for segments in [1, 3] {
        for operations in 1.. {
            let (disk, mut written) = (ModelDisk::new(operations), Written::default());
            let (mut journal, end) = in_memory(&disk, &mut written, segments);
            disk.cut_power_after(operations);
            if let Ok(opened) = journal.retry_disk(start(3)) {
                written.opened(&opened);
                assert!(operations > 10, "the return takes some operations");
                break;
            }
            disk.kill_process();
            all_there(&disk, &written, end, &format!("{segments} segments, after {operations}"));
        }
    }
}

/// The same when an attempt fails at some operation, the next at some other, and then the process is killed.
#[test]
fn a_second_return_that_is_killed_costs_nothing_that_was_on_disk() {
    for first in (1..).step_by(13) {
        for second in (1..).step_by(7) {
            let (disk, mut written) = (ModelDisk::new(first), Written::default());
            let (mut journal, end) = in_memory(&disk, &mut written, 3);
            disk.cut_power_after(first);
            if journal.retry_disk(start(3)).is_ok() {
                assert!(first > 10, "the return takes some operations");
                return;
            }
            disk.cut_power_after(second);
            if journal.retry_disk(start(5)).is_ok() {
                break;
            }
            disk.kill_process();
            all_there(&disk, &written, end, &format!("after {first}, then {second}"));
        }
    }
}

/// A spare file of another size, as a changed configuration leaves it, does not stop a return.
#[test]
fn a_spare_of_another_size_does_not_stop_a_return() {
    let (disk, mut written) = (ModelDisk::new(1), Written::default());
    disk.create("spare-0000000000", small().segment_bytes / 2).unwrap();
    disk.set_fault(Fault::ReadOnly);
    let mut journal = begin(&disk, &mut written, 1);
    written.append(&mut journal, 7).unwrap();
    disk.set_fault(Fault::None);
    written.opened(&journal.retry_disk(start(2)).unwrap());
    written.check_all(&journal.reader());
}

/// An epoch that ends with whole segments unflushed: memory holds them too, and then copies do. The originals must
/// not stay in the ring beside the copies.
#[test]
fn the_ring_goes_on_over_segments_that_were_copied() {
    let (disk, mut written) = (ModelDisk::new(1), Written::default());
    let mut journal = with_unflushed(&disk, &mut written, 3);
    disk.set_fault(Fault::SyncFails);
    assert!(journal.flush().is_err());
    written.opened(&journal.continue_in_memory(start(2)));
    written.check_all(&journal.reader());
    disk.set_fault(Fault::None);
    written.opened(&journal.retry_disk(start(3)).unwrap());
    written.check_all(&journal.reader());
    while journal.stats().segments_recycled < 8 {
        written.append(&mut journal, 2000).unwrap();
        journal.flush().unwrap();
        written.check_all(&journal.reader());
    }
    let state = journal.state();
    drop(journal);
    disk.power_on();
    let (journal, opened) = reopen(&disk, 4);
    assert_eq!((opened.lost.len(), opened.previous), (0, Some((state.epoch, state.head))));
    written.opened(&opened);
    written.check_all(&journal.reader());
    let bytes: usize = disk.names().iter().map(|name| disk.bytes(name).len()).sum();
    assert!(bytes as u64 <= small().ring_bytes + 3 * small().segment_bytes, "{:?}", disk.names());
}
