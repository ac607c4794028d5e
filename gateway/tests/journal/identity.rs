//! No pair of epoch and offset is given out twice, whatever is done to the directory, the card or the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use tickberry_gateway::journal::model::ModelDisk;
use tickberry_gateway::journal::{DirDisk, Disk as _, Journal, Opened, Start};
use tickberry_wire::{Epoch, GapReason};

use crate::support::{Written, epochs_of, open, small, start};

/// All that was ever published, by anybody: the bytes of each (epoch, offset).
#[derive(Default)]
struct Published(BTreeMap<(Epoch, u64), Vec<u8>>);

impl Published {
    fn add(&mut self, first: u64, payload: &[u8]) {
        let epoch = tickberry_wire::peek(payload).unwrap().epoch;
        assert!(self.0.insert((epoch, first), payload.to_vec()).is_none(), "{epoch}, {first} again");
    }

    /// One life on a disk: some batches of two trades, flushed. Returns the head.
    fn live(&mut self, journal: &mut Journal, opened: &Opened, batches: usize) -> u64 {
        self.add(opened.state.head - 1, &opened.epoch_start);
        for _ in 0..batches {
            let (first, bytes) = (journal.state().head, crate::support::batch(journal, 2));
            journal.append(&bytes).unwrap();
            self.add(first, &bytes);
        }
        journal.flush().unwrap();
        journal.flush().unwrap();
        journal.state().head
    }

    fn start(&mut self, disk: &ModelDisk, random: u32, batches: usize) -> (Opened, u64) {
        disk.kill_process();
        let (mut journal, opened) = open(Arc::new(disk.clone()), random);
        let head = self.live(&mut journal, &opened, batches);
        (opened, head)
    }
}

#[test]
fn a_data_directory_that_is_deleted_begins_at_zero_in_another_epoch() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("journal/finnhub");
    let mut published = Published::default();
    for random in [1, 2] {
        let (mut journal, opened) = open(Arc::new(DirDisk::open(&dir).unwrap()), random);
        assert_eq!((opened.state.head, opened.previous), (1, None), "the same offsets, of no one before");
        assert!(opened.state.durable && opened.lost.is_empty());
        assert_eq!(published.live(&mut journal, &opened, 10), 21);
        drop(journal);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    assert_eq!(published.0.len(), 22);
}

#[test]
fn a_directory_that_is_deleted_while_it_is_used_costs_no_start() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("journal");
    let mut published = Published::default();
    let (mut journal, opened) = open(Arc::new(DirDisk::open(&dir).unwrap()), 1);
    published.live(&mut journal, &opened, 10);
    std::fs::remove_dir_all(&dir).unwrap();
    // The open file goes on; a new segment is met with an error or in a new directory, never with a lie.
    published.add(journal.state().head, &crate::support::batch(&journal, 2));
    let (mut anew, opened) = open(Arc::new(DirDisk::open(&dir).unwrap()), 2);
    assert_eq!((opened.state.head, opened.state.durable), (1, true));
    published.live(&mut anew, &opened, 10);
}

#[test]
fn a_restored_backup_gives_its_offsets_out_again_in_another_epoch() {
    let mut published = Published::default();
    let disk = ModelDisk::new(1);
    let (opened, saved) = published.start(&disk, 1, 50);
    let backup = disk.copy();
    // It goes on in the same epoch, in another one, and then the backup is put back.
    let (_, head) = published.start(&disk, 2, 50);
    assert!(head > saved);
    let (restored, again) = published.start(&backup, 3, 50);
    assert_eq!(restored.state.head, saved + 1, "the same offsets");
    assert_eq!(restored.previous, Some((opened.state.epoch, saved)), "readers are told where it goes on");
    assert_eq!(again, head);
    assert!(restored.lost.is_empty());
    // And the newer state once more: three histories, one identity each.
    let (_, end) = published.start(&disk, 4, 50);
    assert!(end > head);
}

#[test]
fn a_backup_made_while_it_ran_is_restored_like_one_after_a_power_cut() {
    let mut published = Published::default();
    let disk = ModelDisk::new(1);
    let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
    published.live(&mut journal, &opened, 20);
    // Appended and published, and not flushed when the backup is made.
    let (first, bytes) = (journal.state().head, crate::support::batch(&journal, 2));
    journal.append(&bytes).unwrap();
    published.add(first, &bytes);
    let committed = journal.state().committed;
    let backup = disk.copy();
    backup.power_on();
    let (restored, _) = published.start(&backup, 2, 20);
    assert!(restored.state.head > committed && restored.lost.is_empty());
}

#[test]
fn a_card_swapped_between_two_machines_goes_on_with_what_is_on_it() {
    let mut published = Published::default();
    let (one, other) = (ModelDisk::new(1), ModelDisk::new(2));
    let (_, one_head) = published.start(&one, 1, 30);
    let (_, other_head) = published.start(&other, 2, 70);
    // Each machine now has the other's card, and both their clocks and dice as before.
    for (disk, random, head) in [(&one, 3, one_head), (&other, 4, other_head)] {
        let (opened, _) = published.start(disk, random, 30);
        assert_eq!(opened.state.head, head + 1);
        assert!(opened.lost.is_empty() && !opened.torn);
    }
    // Segments of both in one directory, as a careless copy leaves them: what does not belong is not read as ours.
    let foreign = other.names().into_iter().find(|name| name.starts_with("segment")).unwrap();
    let bytes = other.bytes(&foreign);
    let file = one.create("segment-0000000077", bytes.len() as u64).unwrap();
    file.write_at(&bytes, 0).unwrap();
    let (opened, _) = published.start(&one, 5, 30);
    assert!(opened.lost.is_empty(), "{:?}", opened.lost);
}

#[test]
fn a_clock_in_1970_at_boot_neither_repeats_an_epoch_nor_goes_back() {
    let set = 1_700_000_000;
    let disk = ModelDisk::new(1);
    let mut epochs: Vec<Epoch> = Vec::new();
    // Never set, set at last, and in 1970 again after each power cut; dice that always show the same, or less.
    for (unix_seconds, random) in
        [(0, 0), (0, 0), (12, 5), (set, 9), (12, 5), (0, 0), (set, 9), (set, 3), (12, 5), (set + 100, 0)]
    {
        let start = Start { unix_seconds, ..start(random) };
        let (journal, opened) = Journal::open(Arc::new(disk.clone()), small(), start).unwrap();
        assert!(opened.lost.is_empty());
        epochs.push(journal.state().epoch);
        drop(journal);
        disk.power_on();
    }
    assert!(epochs[0].get() != 0);
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
    // A set clock is believed where it can be.
    assert_eq!(epochs[3], Epoch::new(set, 9));
    assert_eq!(epochs[9], Epoch::new(set + 100, 0));
    let (journal, _) = open(Arc::new(disk), 0);
    let kept = epochs_of(&journal.reader());
    assert!(epochs.ends_with(&kept[..kept.len() - 1]), "{kept:?}");
}

#[test]
fn a_clock_at_the_end_of_numbers_leaves_epochs_for_those_that_follow() {
    let disk = ModelDisk::new(1);
    let mut epochs = Vec::new();
    for unix_seconds in [(1 << 36) - 1, 1_700_000_000, (1 << 36) - 1, 1_700_000_000, 1_700_000_000] {
        let start = Start { unix_seconds, ..start((1 << 20) - 1) };
        let (journal, _) = Journal::open(Arc::new(disk.clone()), small(), start).unwrap();
        epochs.push(journal.state().epoch.get());
        drop(journal);
        disk.power_on();
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 5);
}

/// Makes both headers of a segment's file those of version 2.
fn make_newer(disk: &ModelDisk, name: &str) {
    let bytes = disk.bytes(name);
    let file = disk.open(name).unwrap();
    let at_the_end = bytes.len() - if name.starts_with("sealed") { 64 } else { 4096 };
    for pos in [0, at_the_end] {
        let mut header = bytes[pos..pos + 64].to_vec();
        header[8..12].copy_from_slice(&2u32.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
        header[12..16].copy_from_slice(&crc.to_le_bytes());
        file.write_at(&header, pos as u64).unwrap();
    }
    file.sync().unwrap();
}

#[test]
fn segments_of_a_newer_release_are_left_alone_and_their_offsets_not_given_out_again() {
    for newest in [true, false] {
        let disk = ModelDisk::new(1);
        let mut written = Written::default();
        for random in 1..4 {
            let (mut journal, opened) = open(Arc::new(disk.clone()), random);
            written.opened(&opened);
            for _ in 0..20 {
                written.append(&mut journal, 5).unwrap();
            }
            journal.flush().unwrap();
            journal.flush().unwrap();
            drop(journal);
            disk.kill_process();
        }
        // The newest segment, whose end nobody else tells, and one in the middle, which is sealed.
        let (name, number) = if newest { ("segment-0000000002", 2) } else { ("sealed-0000000001", 1) };
        make_newer(&disk, name);
        let bytes = disk.bytes(name);

        let (mut journal, opened) = open(Arc::new(disk.clone()), 4);
        assert_eq!(opened.newer, 1);
        // Three lives of 101 records; the one that cannot be read is a hole with a reason.
        let (from, to) = (number * 101, (number + 1) * 101);
        written.opened(&opened);
        assert!(opened.state.head > 303, "{}", opened.state.head);
        let lost = written.check(&journal.reader(), 0, opened.state.head);
        let [(lost_from, lost_to, GapReason::LostRange)] = lost[..] else { panic!("{lost:?}") };
        assert_eq!((lost_from, lost_to.min(303)), (from, to));
        assert!(newest || lost_to == to, "{lost:?}");
        // The ring goes round several times, and another life begins: nobody has touched it.
        while journal.stats().segments_recycled < 12 {
            written.append(&mut journal, 500).unwrap();
            journal.flush().unwrap();
        }
        drop(journal);
        disk.kill_process();
        let (journal, opened) = open(Arc::new(disk.clone()), 5);
        written.opened(&opened);
        assert_eq!((opened.newer, disk.bytes(name) == bytes), (1, true));
        written.check_all(&journal.reader());
    }
}
