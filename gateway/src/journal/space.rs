//! The ring of bytes: where the next segment goes, and which one gives way for it.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::config::Config;
use super::disk::{Disk, DiskFile};
use super::format::FileName;
use super::index::{SegmentBody, Shared};

/// Spare files that are kept; more are given back to the file system.
const SPARES: usize = 2;

/// A file to begin a segment in.
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) size: u64,
    /// Whether its name is durable.
    pub(super) name_synced: bool,
}

/// What a segment is begun for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Live records. They are history at once, as kill -9 must cost nothing; and a full file system costs a little of
    /// the oldest history, which is better than an epoch that is not durable.
    Live,
    /// The way back from memory. A full file system refuses, as each attempt would cost history; and the file is no
    /// segment before [`Space::complete`]. Half a copy would be: its header alone ends what lies below, which may
    /// hold the same records whole.
    Return,
}

/// Numbers and files for segments.
pub(super) struct Space {
    next_number: u64,
    /// Files that hold nothing to keep.
    free: Vec<FileName>,
    /// Places that were given out and are not known to be in use.
    taken: Vec<FileName>,
    /// Old segments were given up on a full disk and somebody else took the space: not again before it is back.
    shrunk_in_vain: bool,
}

impl Space {
    pub(super) fn new(next_number: u64, free: Vec<FileName>) -> Self {
        Self { next_number, free, taken: Vec::new(), shrunk_in_vain: false }
    }

    pub(super) fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// The places given out so far are in use.
    pub(super) fn settle(&mut self) {
        self.taken.clear();
    }

    /// The places given out since are free again: the attempt they were for has failed.
    pub(super) fn recover(&mut self) {
        self.free.append(&mut self.taken);
    }

    /// The places of a return hold all that memory held, and it is durable: they become segments. Wherever this ends
    /// there is no hole. The first `copies` places have originals, which the page cache still has: the newest is first,
    /// since a start cuts every original from the oldest copy on. The others are all there is of their records: the
    /// oldest is first.
    pub(super) fn complete(&mut self, disk: &dyn Disk, copies: usize) -> io::Result<()> {
        let copies = copies.min(self.taken.len());
        let (copied, others) = self.taken.split_at_mut(copies);
        for name in copied.iter_mut().rev().chain(others) {
            if let FileName::New(number) = *name {
                let segment = FileName::Segment(number);
                disk.rename(&name.to_string(), &segment.to_string())?;
                *name = segment;
            }
        }
        disk.sync_dir()
    }

    /// A file is not needed any more.
    pub(super) fn give_back(&mut self, disk: &dyn Disk, file: FileName) {
        self.free.push(file);
        while self.free.len() > SPARES {
            let surplus = self.free.remove(0);
            // What cannot be removed now is found, and used or removed, by the next start.
            disk.remove(&surplus.to_string()).ok();
        }
    }

    /// A place for the next segment: a free file, else a new one, else the oldest segment's.
    pub(super) fn take(
        &mut self,
        disk: &dyn Disk,
        shared: &Shared,
        config: &Config,
        purpose: Purpose,
    ) -> io::Result<Place> {
        let number = self.number();
        let size = config.segment_bytes;
        let name = match purpose {
            Purpose::Live => FileName::Segment(number),
            Purpose::Return => FileName::New(number),
        };
        while self.bytes(shared, size) > config.ring_bytes && self.shrink(disk, shared)? {}
        while let Some(free) = self.next_free() {
            if let Some(place) = self.reuse(disk, free, name, number, size)? {
                return Ok(place);
            }
        }
        let mut freed = 0;
        loop {
            match self.create(disk, name, number, size) {
                Ok(place) => {
                    shared.counters.flushed_bytes.add(size);
                    self.shrunk_in_vain = false;
                    return Ok(place);
                }
                // A full disk shortens the journal by a little rather than ending its epoch.
                Err(e)
                    if e.kind() == ErrorKind::StorageFull
                        && purpose == Purpose::Live
                        && !self.shrunk_in_vain
                        && freed < 2 * size =>
                {
                    match self.recycle_oldest(disk, shared) {
                        0 => return Err(e),
                        n => freed += n,
                    }
                    self.shrunk_in_vain = freed >= 2 * size;
                    if let Some(free) = self.next_free()
                        && let Some(place) = self.reuse(disk, free, name, number, size)?
                    {
                        return Ok(place);
                    }
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes the ring smaller by a file: one that is not needed, else the oldest segment. `false`: there is none.
    fn shrink(&mut self, disk: &dyn Disk, shared: &Shared) -> io::Result<bool> {
        if self.free.len() < 2 {
            return Ok(self.recycle_oldest(disk, shared) > 0);
        }
        // A segment recycled beside other free files frees nothing: all of history would go.
        let Some(surplus) = self.next_free() else { return Ok(false) };
        match disk.remove(&surplus.to_string()) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                self.free.push(surplus);
                Err(e)
            }
            _ => Ok(true),
        }
    }

    /// The free file to use next: the oldest segment that was given up, before all spares. What still has a segment's
    /// name is history again after a crash, and history must not have a hole.
    fn next_free(&mut self) -> Option<FileName> {
        let oldest = |name: &FileName| match name {
            FileName::Segment(number) => (0, *number),
            FileName::Sealed(number) | FileName::Spare(number) | FileName::New(number) => (1, *number),
        };
        let (place, _) = self.free.iter().enumerate().min_by_key(|(_, name)| oldest(name))?;
        Some(self.free.remove(place))
    }

    /// What the ring will take when one more segment has begun.
    fn bytes(&self, shared: &Shared, size: u64) -> u64 {
        let segments: u64 = shared.look(|all| all.iter().map(|s| s.charge()).sum());
        segments + size * (self.free.len() as u64).max(1)
    }

    /// A free file under a new name; none when it is not there or of another size.
    fn reuse(
        &mut self,
        disk: &dyn Disk,
        free: FileName,
        name: FileName,
        number: u64,
        size: u64,
    ) -> io::Result<Option<Place>> {
        match disk.rename(&free.to_string(), &name.to_string()) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                self.free.push(free);
                return Err(e);
            }
            Ok(()) => {}
        }
        let right_size =
            disk.open(&name.to_string()).and_then(|file| Ok((file.size()? == size).then_some(file)));
        let file = match right_size {
            Ok(Some(file)) => file,
            Ok(None) => {
                disk.remove(&name.to_string())?;
                return Ok(None);
            }
            Err(e) => {
                self.taken.push(name);
                return Err(e);
            }
        };
        self.taken.push(name);
        // Before the first byte of a segment is overwritten its name must be gone for good: else a power cut
        // could bring it back with holes in it. A spare has nothing to bring back.
        let name_synced = !matches!(free, FileName::Spare(_));
        if name_synced {
            disk.sync_dir()?;
        }
        Ok(Some(Place { number, file, size, name_synced }))
    }

    fn create(&mut self, disk: &dyn Disk, name: FileName, number: u64, size: u64) -> io::Result<Place> {
        // Under a name that no start takes for a segment, until all its blocks are there.
        let new = FileName::New(number).to_string();
        let created = disk.create(&new, size).and_then(|file| {
            if name != FileName::New(number) {
                disk.rename(&new, &name.to_string())?;
            }
            Ok(file)
        });
        match created {
            Ok(file) => {
                self.taken.push(name);
                Ok(Place { number, file, size, name_synced: false })
            }
            Err(e) => {
                // What could be allocated is of no use; give it back, as far as this disk still can.
                disk.remove(&new).ok();
                Err(e)
            }
        }
    }

    /// Lets the oldest segment go, unless it is the last one; returns the bytes that frees.
    fn recycle_oldest(&mut self, disk: &dyn Disk, shared: &Shared) -> u64 {
        let gone = shared.update(|segments| {
            let files = segments.iter().filter(|s| !s.is_in_memory()).count();
            if files < 2 || segments[0].is_in_memory() {
                return None;
            }
            Some((segments.remove(0), segments[0].first))
        });
        let Some((segment, first)) = gone else { return 0 };
        segment.retire();
        shared.counters.segments_recycled.add(1);
        shared.counters.overwritten_records.add(first - segment.first);
        match segment.body {
            SegmentBody::File(_) => self.free.push(segment.file_name()),
            // Should it come back after a power cut, it is merely older history.
            _ => drop(disk.remove(&segment.file_name().to_string())),
        }
        segment.charge()
    }
}
