//! Append, flush, read, reopen, ring, memory: what the journal does when all is well or the disk refuses.

use std::sync::Arc;

use tickberry_gateway::journal::model::{Fault, ModelDisk};
use tickberry_gateway::journal::{Config, DirDisk, Disk, Item, Journal, JournalError, ReadError};
use tickberry_wire::{Body, Control, GapReason};

use crate::support::{Written, batch, epochs_of, open, small, start};

#[test]
fn what_was_appended_is_read_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, opened) = open(Arc::new(DirDisk::open(dir.path().join("a/b")).unwrap()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    for i in 0..500 {
        written.append(&mut journal, 1 + i % 40).unwrap();
        if i % 7 == 0 {
            journal.flush().unwrap();
        }
    }
    let reader = journal.reader();
    let state = reader.state();
    assert!(state.committed < state.head && state.durable);
    for from in 0..=state.head {
        assert_eq!(written.check(&reader, from, state.head.min(from + 100)), []);
    }
    written.check_all(&reader);
    // Without being asked, nothing uncommitted.
    let mut batches = reader.read(0, None).unwrap();
    while batches.next_item().unwrap().is_some() {}
    assert_eq!(batches.position(), state.committed);
    assert!(reader.read(state.head, None).unwrap().next_item().unwrap().is_none());
    assert_eq!(
        reader.read(state.head + 1, None).err(),
        Some(ReadError::Ahead { from: state.head + 1, head: state.head })
    );
}

#[test]
fn reading_ends_with_the_batch_that_contains_the_end() {
    let (mut journal, opened) = open(Arc::new(ModelDisk::new(1)), 1);
    let mut written = Written::default();
    written.opened(&opened);
    for _ in 0..3 {
        written.append(&mut journal, 10).unwrap();
    }
    let mut batches = journal.reader().read_uncommitted(5, Some(12)).unwrap();
    let mut seen = Vec::new();
    while let Some(Item::Batch { first, end, .. }) = batches.next_item().unwrap() {
        seen.push((first, end));
    }
    assert_eq!(seen, [(1, 11), (11, 21)]);
}

#[test]
fn many_lives_on_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::default();
    let config = Config { ring_bytes: 100 * Config::MIN_SEGMENT_BYTES, ..small() };
    let mut previous = None;
    for life in 0..30 {
        // The same clock and dice each time: epochs differ all the same.
        let disk = Arc::new(DirDisk::open(dir.path()).unwrap());
        let (mut journal, opened) = Journal::open(disk, config.clone(), start(5)).unwrap();
        assert_eq!(opened.previous, previous, "life {life}");
        assert!(!opened.torn && opened.lost.is_empty() && opened.error.is_none());
        written.opened(&opened);
        written.check_all(&journal.reader());
        let Body::Control(Control::EpochStart(told)) =
            tickberry_wire::decode(&opened.epoch_start).unwrap().body
        else {
            panic!("not an epoch start")
        };
        assert_eq!(told.previous, previous);
        for _ in 0..life % 5 {
            written.append(&mut journal, 3).unwrap();
        }
        if life % 2 == 0 {
            journal.flush().unwrap();
        }
        previous = Some((journal.state().epoch, journal.state().head));
        if life == 29 {
            let mut epochs = epochs_of(&journal.reader());
            assert_eq!(epochs.len(), 30);
            epochs.sort_unstable();
            epochs.dedup();
            assert_eq!(epochs.len(), 30);
        }
    }
}

#[test]
fn the_ring_gives_the_oldest_space_to_the_newest_records() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, opened) = open(Arc::new(DirDisk::open(dir.path()).unwrap()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    let reader = journal.reader();
    for _ in 0..100 {
        written.append(&mut journal, 500).unwrap();
    }
    journal.flush().unwrap();
    let mut slow = reader.read(0, None).unwrap();
    let mut slow_to_start = reader.read(1, None).unwrap();
    assert!(slow.next_item().unwrap().is_some());
    while journal.stats().segments < 60 {
        written.append(&mut journal, 500).unwrap();
        journal.flush().unwrap();
    }
    let state = reader.state();
    let stats = journal.stats();
    assert!(state.first > 0);
    assert_eq!(stats.overwritten_records, state.first);
    assert!(stats.segments_recycled > 20 && stats.segments_sealed > 40, "{stats:?}");
    written.check_all(&reader);
    let gone = |from| Some(ReadError::Gone { from, first: state.first });
    assert_eq!(reader.read(state.first - 1, None).err(), gone(state.first - 1));
    assert_eq!(slow_to_start.next_item().err(), gone(1));
    let used: u64 =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(used <= small().ring_bytes && used > small().ring_bytes / 2, "{used}");
    // A reader in the middle of what is overwritten is told so, or reads what is true.
    let mut position = slow.position();
    loop {
        match slow.next_item() {
            Ok(Some(Item::Batch { first, end, .. })) => {
                assert_eq!(first, position);
                position = end;
            }
            Ok(other) => panic!("{other:?}"),
            Err(e) => {
                assert_eq!(e, ReadError::Gone { from: position, first: state.first });
                break;
            }
        }
    }
}

#[test]
fn a_flush_costs_one_page_at_thirty_three_trades_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(DirDisk::open(dir.path()).unwrap());
    let (mut journal, _) = Journal::open(disk, Config::default(), start(1)).unwrap();
    let (new_file, first_records) = (journal.stats().flushed_bytes, journal.stats().appended_records);
    for _ in 0..500 {
        for _ in 0..10 {
            let bytes = batch(&journal, 3);
            journal.append(&bytes).unwrap();
        }
        journal.flush().unwrap();
    }
    let stats = journal.stats();
    let records = stats.appended_records - first_records;
    let per_trade = (stats.flushed_bytes - new_file) as f64 / records as f64;
    assert!(per_trade <= 150.0, "{per_trade}");
    // Nothing new: the flush after the last one records `committed`, and then there is silence.
    journal.flush().unwrap();
    let quiet = journal.stats().flushed_bytes;
    assert_eq!(quiet, stats.flushed_bytes + 4096);
    journal.flush().unwrap();
    assert_eq!(journal.stats().flushed_bytes, quiet);
}

#[test]
fn batches_that_do_not_continue_the_journal_are_refused() {
    let (mut journal, _) = open(Arc::new(ModelDisk::new(1)), 1);
    let bytes = batch(&journal, 2);
    journal.append(&bytes).unwrap();
    assert!(matches!(journal.append(&bytes), Err(JournalError::NotNext { first: 1, .. })));
    assert!(matches!(journal.append(b"what"), Err(JournalError::NoBatch(_))));
    let bytes = batch(&journal, 2);
    journal.append(&bytes).unwrap();
}

/// Whatever ends the epoch, everything stays readable, and all of it is on disk when the disk is back.
#[test]
fn a_disk_that_refuses_ends_the_epoch_and_nothing_is_lost() {
    for fault in [Fault::ReadOnly, Fault::SyncFails] {
        let disk = ModelDisk::new(1);
        let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
        let mut written = Written::default();
        written.opened(&opened);
        written.append(&mut journal, 10).unwrap();
        journal.flush().unwrap();
        written.append(&mut journal, 10).unwrap();
        disk.set_fault(fault);
        let failed = match fault {
            Fault::ReadOnly => written.append(&mut journal, 10).unwrap_err(),
            _ => journal.flush().unwrap_err(),
        };
        assert!(matches!(failed, JournalError::Disk(_)));
        assert!(!journal.reader().state().durable);
        assert!(matches!(written.append(&mut journal, 1), Err(JournalError::Ended)));
        assert!(matches!(journal.flush(), Err(JournalError::Ended)));

        let ended = journal.state();
        let opened = journal.continue_in_memory(start(1));
        assert_eq!(opened.previous, Some((ended.epoch, ended.head)));
        written.opened(&opened);
        for _ in 0..100 {
            written.append(&mut journal, 10).unwrap();
        }
        let state = journal.flush().unwrap();
        assert_eq!((state.committed, state.durable), (state.head, false));
        written.check_all(&journal.reader());

        assert!(matches!(journal.retry_disk(start(1)), Err(JournalError::Disk(_))));
        written.append(&mut journal, 10).unwrap();
        disk.set_fault(Fault::None);
        let ended = journal.state();
        let opened = journal.retry_disk(start(1)).unwrap();
        assert_eq!(opened.previous, Some((ended.epoch, ended.head)));
        assert!(opened.state.durable);
        written.opened(&opened);
        written.append(&mut journal, 10).unwrap();
        journal.flush().unwrap();
        written.check_all(&journal.reader());
        let epochs = epochs_of(&journal.reader());
        assert_eq!(epochs.len(), 3);

        disk.power_on();
        let (journal, opened) = open(Arc::new(disk), 1);
        assert!(opened.lost.is_empty(), "{:?}", opened.lost);
        written.opened(&opened);
        written.check_all(&journal.reader());
        assert_eq!(epochs_of(&journal.reader()).len(), 4);
    }
}

#[test]
fn memory_is_bounded_and_what_it_drops_is_told() {
    let disk = ModelDisk::new(1);
    let config = Config { memory_bytes: 300_000, ..small() };
    let (mut journal, opened) = Journal::open(Arc::new(disk.clone()), config, start(1)).unwrap();
    let mut written = Written::default();
    written.opened(&opened);
    disk.set_fault(Fault::ReadOnly);
    let bytes = batch(&journal, 1);
    assert!(journal.append(&bytes).is_err());
    written.opened(&journal.continue_in_memory(start(2)));
    for _ in 0..3000 {
        written.append(&mut journal, 50).unwrap();
    }
    journal.flush().unwrap();
    let reader = journal.reader();
    let state = reader.state();
    let lost = written.check(&reader, 0, state.head);
    assert_eq!(lost.len(), 1);
    let (from, to, reason) = lost[0];
    assert_eq!((from, reason), (1, GapReason::Memory));
    assert_eq!(journal.stats().overwritten_records, to - from);
    disk.set_fault(Fault::None);
    written.opened(&journal.retry_disk(start(3)).unwrap());
    assert_eq!(written.check(&reader, 0, state.head), [(1, to, GapReason::LostRange)]);
}

#[test]
fn a_start_without_a_writable_disk_reads_and_goes_on_in_memory() {
    let disk = ModelDisk::new(1);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    written.append(&mut journal, 10).unwrap();
    journal.flush().unwrap();
    disk.kill_process();
    disk.set_fault(Fault::ReadOnly);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 2);
    assert!(opened.error.is_some() && !opened.state.durable);
    written.opened(&opened);
    written.append(&mut journal, 10).unwrap();
    written.check_all(&journal.reader());
    disk.set_fault(Fault::None);
    written.opened(&journal.retry_disk(start(3)).unwrap());
    written.check_all(&journal.reader());
}

#[test]
fn a_full_disk_makes_the_journal_shorter() {
    let disk = ModelDisk::new(1);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    let mut written = Written::default();
    written.opened(&opened);
    while journal.stats().segments < 3 {
        written.append(&mut journal, 500).unwrap();
    }
    disk.set_fault(Fault::Full);
    while journal.stats().segments < 8 {
        written.append(&mut journal, 500).unwrap();
        journal.flush().unwrap();
    }
    assert!(journal.state().durable);
    assert!(journal.state().first > 0);
    written.check_all(&journal.reader());
}

#[test]
fn a_full_disk_at_the_first_start_is_a_memory_epoch() {
    let disk = ModelDisk::new(1);
    disk.set_fault(Fault::Full);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    assert!(opened.error.is_some() && !opened.state.durable && opened.previous.is_none());
    let mut written = Written::default();
    written.opened(&opened);
    written.append(&mut journal, 5).unwrap();
    disk.set_fault(Fault::None);
    written.opened(&journal.retry_disk(start(2)).unwrap());
    written.check_all(&journal.reader());
    disk.power_on();
    let (journal, opened) = open(Arc::new(disk), 3);
    assert!(opened.lost.is_empty());
    written.opened(&opened);
    written.check_all(&journal.reader());
}

#[test]
fn sealing_makes_room_and_changes_nothing_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { ring_bytes: 64 << 20, ..small() };
    let disk = Arc::new(DirDisk::open(dir.path()).unwrap());
    let (mut journal, opened) = Journal::open(disk.clone(), config.clone(), start(1)).unwrap();
    let mut written = Written::default();
    written.opened(&opened);
    let reader = journal.reader();
    let mut early = None;
    for i in 0..3000 {
        written.append(&mut journal, 1 + i % 9).unwrap();
        if i % 10 == 9 {
            journal.flush().unwrap();
        }
        if i == 100 {
            let mut batches = reader.read(0, None).unwrap();
            assert!(batches.next_item().unwrap().is_some());
            early = Some((batches, reader.state().committed));
        }
    }
    let stats = journal.stats();
    assert!(stats.segments_sealed >= 7 && stats.seal_failures == 0, "{stats:?}");
    assert_eq!(stats.segments_recycled, 0);
    let state = journal.state();
    for from in (0..state.head).step_by(53) {
        assert_eq!(written.check(&reader, from, state.head), []);
    }
    // A reading that began before goes on where its segment is now.
    let (mut batches, end) = early.unwrap();
    while let Some(item) = batches.next_item().unwrap() {
        assert!(matches!(item, Item::Batch { .. }), "{item:?}");
    }
    assert_eq!(batches.position(), end);

    drop(journal);
    let (journal, opened) = Journal::open(disk, config, start(2)).unwrap();
    assert!(opened.lost.is_empty() && !opened.torn);
    written.opened(&opened);
    written.check_all(&journal.reader());
    assert_eq!(journal.state().first, 0);
}

#[test]
fn a_process_that_is_restarted_all_the_time_keeps_its_history() {
    let disk = ModelDisk::new(1);
    let mut written = Written::default();
    for life in 0..200 {
        let config = Config { ring_bytes: 64 << 20, ..small() };
        let (mut journal, opened) = Journal::open(Arc::new(disk.clone()), config, start(life)).unwrap();
        written.opened(&opened);
        written.append(&mut journal, 10).unwrap();
        assert_eq!(journal.state().first, 0);
        if life % 50 == 0 {
            written.check_all(&journal.reader());
        }
        disk.kill_process();
    }
    let bytes: usize = disk.list().unwrap().iter().map(|name| disk.bytes(name).len()).sum();
    assert!(bytes < 1 << 20, "{bytes}");
}

/// The negative control: these tests would notice a journal that does not sync.
#[test]
fn a_disk_that_lies_loses_what_it_said_was_durable() {
    let mut lost = 0;
    for seed in 0..20 {
        let disk = ModelDisk::new(seed);
        let (mut journal, _) = open(Arc::new(disk.clone()), 1);
        disk.set_fault(Fault::SyncLies);
        for _ in 0..50 {
            let bytes = batch(&journal, 10);
            journal.append(&bytes).unwrap();
            journal.flush().unwrap();
        }
        let committed = journal.state().committed;
        disk.power_on();
        disk.set_fault(Fault::None);
        let (_, opened) = open(Arc::new(disk), 2);
        let missing = opened.lost.iter().map(|lost| lost.to - lost.from).sum::<u64>();
        lost += u64::from(opened.state.head <= committed || missing > 0);
    }
    assert!(lost >= 18, "noticed {lost} of 20");
}
