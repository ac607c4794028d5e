//! Opening a journal: read what is there, believe what can be believed, begin an epoch.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{Config, Start};
use super::disk::{Disk, DiskFile};
use super::format::FileName;
use super::index::{Handle, Segment};
use super::memory::MemoryFrames;
use super::recover::{Plan, plan};
use super::scan::{Frames, Scanned, scan};
use super::space::{Purpose, Space};
use super::writer::{Journal, Opened, Tail};

impl Journal {
    /// Opens the journal on `disk`, or begins one. Damage never refuses a start: it is cut or stepped over, and
    /// told. A disk that cannot be written makes the epoch a memory epoch. An error means that the directory
    /// itself could not be read, so that not even the next offset is known.
    pub fn open(disk: Arc<dyn Disk>, config: Config, start: Start) -> io::Result<(Self, Opened)> {
        let names: Vec<FileName> = disk.list()?.iter().filter_map(|name| FileName::parse(name)).collect();
        let found = Found::read(&*disk, &names);
        let plan = plan(&found.scanned);
        let segments = found.segments(&disk, &plan);
        let free = found.free(&disk, &plan, &names);
        let space = Space::new(plan.next_number, free);

        // Before the sync: one that fails may take the pages with it.
        let tails = found.uncommitted(&plan, config.memory_bytes);
        let synced = found.sync_uncommitted(&plan);
        let unsynced = if synced.is_err() { tails } else { Vec::new() };
        let mut journal =
            Self::new(disk, config, space, plan.epochs.clone(), plan.previous, segments, plan.head);
        found.count(&plan, &journal);
        let begun = synced.and_then(|()| journal.begin_on_disk(start, Vec::new(), Purpose::Live));
        let mut opened = match begun {
            Ok(opened) => {
                journal.seal_earlier();
                opened
            }
            Err(e) => {
                // What this start could not make durable is written again when the disk is back, like the tail of
                // an epoch that ended in this life. Synced later instead it might be a lie, and not at all
                // was one: the next epoch on disk says that all before it is durable.
                journal.hold(unsynced);
                let mut opened = journal.continue_in_memory(start);
                opened.error = Some(e.to_string());
                opened
            }
        };
        opened.lost = plan.lost;
        opened.recovered = plan.recovered;
        opened.torn = plan.torn;
        opened.newer = plan.newer;
        opened.unreadable = plan.damaged;
        Ok((journal, opened))
    }
}

struct Found {
    scanned: Vec<(u64, Scanned)>,
    /// The file of each of them. Sealed ones may be too many to keep open.
    files: Vec<(FileName, Option<Arc<dyn DiskFile>>)>,
}

impl Found {
    fn read(disk: &dyn Disk, names: &[FileName]) -> Self {
        let mut files = BTreeMap::new();
        for &name in names {
            match name {
                // Both are there when sealing was interrupted before its end: the original counts.
                FileName::Segment(number) => drop(files.insert(number, name)),
                FileName::Sealed(number) => drop(files.entry(number).or_insert(name)),
                FileName::Spare(_) | FileName::New(_) => {}
            }
        }
        let mut found = Self { scanned: Vec::new(), files: Vec::new() };
        for (number, name) in files {
            match disk.open(&name.to_string()) {
                Ok(file) => {
                    found.scanned.push((number, scan(number, &file)));
                    let keep = matches!(name, FileName::Segment(_));
                    found.files.push((name, keep.then_some(file)));
                }
                // Its number must not be given out again.
                Err(_) => {
                    found.scanned.push((number, Scanned::Damaged));
                    found.files.push((name, None));
                }
            }
        }
        found
    }

    fn segments(&self, disk: &Arc<dyn Disk>, plan: &Plan) -> Vec<Arc<Segment>> {
        let mut segments = Vec::new();
        for kept in &plan.kept {
            if let Scanned::Segment(contents) = &self.scanned[kept.input].1 {
                let (name, file) = &self.files[kept.input];
                let handle = match file {
                    Some(file) => Handle::Open(file.clone()),
                    None => Handle::Named(disk.clone(), name.to_string()),
                };
                let sparse = contents.sparse.clone();
                segments.push(Arc::new(Segment::in_file(&contents.header, handle, contents.area, sparse)));
            }
        }
        segments
    }

    /// Files to write the next segments to. Removes what was interrupted; should that fail, nothing depends on it.
    fn free(&self, disk: &Arc<dyn Disk>, plan: &Plan, names: &[FileName]) -> Vec<FileName> {
        let mut free = self.put_aside(disk, plan);
        for &name in names {
            match name {
                FileName::Spare(_) => free.push(name),
                FileName::New(_) => drop(disk.remove(&name.to_string())),
                FileName::Sealed(number) if names.contains(&FileName::Segment(number)) => {
                    drop(disk.remove(&name.to_string()));
                }
                FileName::Segment(_) | FileName::Sealed(_) => {}
            }
        }
        free
    }

    /// Segments that hold nothing to keep lose their names at once: what says that they were cut stands in their
    /// successors, and the ring may go over those first. Left alone, they would then be history again.
    fn put_aside(&self, disk: &Arc<dyn Disk>, plan: &Plan) -> Vec<FileName> {
        let aside = |&input: &usize| match self.files[input].0 {
            name @ (FileName::Segment(number) | FileName::Sealed(number)) => {
                let spare = FileName::Spare(number);
                match disk.rename(&name.to_string(), &spare.to_string()) {
                    Ok(()) => spare,
                    Err(_) => name,
                }
            }
            name => name,
        };
        let free: Vec<FileName> = plan.free.iter().map(aside).collect();
        if !free.is_empty() {
            // A spare is overwritten without another sync. Should this one fail, so does the beginning of the epoch.
            drop(disk.sync_dir());
        }
        free
    }

    /// What [`Found::sync_uncommitted`] makes durable, at most `most` bytes of each segment.
    fn uncommitted(&self, plan: &Plan, most: usize) -> Vec<Tail> {
        let mut tails = Vec::new();
        for (i, kept) in plan.kept.iter().enumerate() {
            let end = plan.kept.get(i + 1).map_or(plan.head, |next| next.first);
            let ((_, Scanned::Segment(contents)), Some(file)) =
                (&self.scanned[kept.input], &self.files[kept.input].1)
            else {
                continue;
            };
            if end <= plan.claimed {
                continue;
            }
            let header = contents.header;
            let mut read = Frames::new(file.clone(), header.salt(), contents.area.0, contents.area.1);
            let mut frames = MemoryFrames::default();
            let mut expected = header.first;
            while let Some(frame) = read.next(expected).filter(|frame| frame.head.first < end) {
                expected = frame.head.end();
                if frame.head.count > 0 && expected > plan.claimed {
                    frames.push(frame.head, Bytes::copy_from_slice(read.payload(&frame)));
                }
                while frames.bytes() > most {
                    frames.drop_oldest();
                }
            }
            let first = frames.iter().next().map(|(head, _)| head.first);
            if let Some(first) = first {
                let (epoch, previous) = (header.epoch, header.previous);
                tails.push(Tail { epoch, first, previous, frames });
            }
        }
        tails
    }

    /// What a killed process left in the page cache becomes durable before it counts as committed.
    fn sync_uncommitted(&self, plan: &Plan) -> io::Result<()> {
        for (i, kept) in plan.kept.iter().enumerate() {
            let end = plan.kept.get(i + 1).map_or(plan.head, |next| next.first);
            if end > plan.claimed
                && let Some(file) = &self.files[kept.input].1
            {
                file.sync()?;
            }
        }
        Ok(())
    }

    fn count(&self, plan: &Plan, journal: &Journal) {
        let counters = journal.counters();
        counters.damaged_ranges.add(plan.lost.len() as u64);
        counters.damaged_records.add(plan.lost.iter().map(|lost| lost.to - lost.from).sum());
        counters.recovered_records.add(plan.recovered);
        counters.torn_tails.add(u64::from(plan.torn));
        counters.newer_segments.add(plan.newer);
        counters.unreadable_segments.add(plan.damaged);
        for (_, scanned) in &self.scanned {
            if let Scanned::Segment(contents) = scanned {
                counters.read_errors.add(contents.read_errors);
            }
        }
    }
}
