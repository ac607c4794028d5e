//! What the writer and all readers share: which segments there are, and how far the journal reaches.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tickberry_wire::Epoch;
use tokio::sync::watch;

use super::disk::{Disk, DiskFile};
use super::format::{FileName, Header, Salt};
use super::memory::MemoryFrames;
use super::stats::Counters;

/// What the smallest file is counted as, in the ring.
const LEAST_CHARGE: u64 = 64 * 1024;

/// How far the journal reaches. All ends are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// The epoch that is being written.
    pub epoch: Epoch,
    /// The oldest offset that is still kept.
    pub first: u64,
    /// The next offset to be given.
    pub head: u64,
    /// The next offset that is not yet committed.
    pub committed: u64,
    /// Whether committed means durable: false in a memory epoch.
    pub durable: bool,
}

/// One segment. Its last offset is where the next one starts.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    /// As in the header.
    pub(crate) previous: (u64, u64),
    pub(crate) body: SegmentBody,
    /// (offset, position) to start reading from, ascending.
    sparse: Mutex<Vec<(u64, u64)>>,
    /// Set before the first byte is overwritten: what a reader finds damaged afterwards is not rot.
    retired: AtomicBool,
}

/// Where a segment's frames are.
pub(crate) enum SegmentBody {
    /// In a file of preallocated pages.
    File(SegmentFile),
    /// Compressed.
    Sealed(SegmentFile),
    /// In memory, while the disk cannot be written.
    Memory(Mutex<MemoryFrames>),
}

/// A segment's file.
pub(crate) struct SegmentFile {
    pub(crate) handle: Handle,
    /// Between which positions the frames are.
    pub(crate) area: (u64, u64),
    pub(crate) size: u64,
}

/// How to get at a file. There may be hundreds of sealed ones, more than a process should keep open.
pub(crate) enum Handle {
    Open(Arc<dyn DiskFile>),
    Named(Arc<dyn Disk>, String),
}

impl SegmentFile {
    pub(crate) fn open(&self) -> io::Result<Arc<dyn DiskFile>> {
        match &self.handle {
            Handle::Open(file) => Ok(file.clone()),
            Handle::Named(disk, name) => disk.open(name),
        }
    }
}

impl Segment {
    pub(crate) fn in_file(
        header: &Header,
        handle: Handle,
        area: (u64, u64),
        sparse: Vec<(u64, u64)>,
    ) -> Self {
        let file = SegmentFile { handle, area, size: header.size };
        let body = if header.sealed { SegmentBody::Sealed(file) } else { SegmentBody::File(file) };
        Self::new(header.number, header.epoch, header.first, header.previous, body, sparse)
    }

    pub(crate) fn in_memory(
        number: u64,
        epoch: u64,
        first: u64,
        previous: (u64, u64),
        frames: MemoryFrames,
    ) -> Self {
        Self::new(number, epoch, first, previous, SegmentBody::Memory(Mutex::new(frames)), Vec::new())
    }

    fn new(
        number: u64,
        epoch: u64,
        first: u64,
        previous: (u64, u64),
        body: SegmentBody,
        sparse: Vec<(u64, u64)>,
    ) -> Self {
        let (sparse, retired) = (Mutex::new(sparse), AtomicBool::new(false));
        Self { number, epoch, first, previous, body, sparse, retired }
    }

    /// Bytes of its file.
    pub(crate) fn size(&self) -> u64 {
        match &self.body {
            SegmentBody::File(file) | SegmentBody::Sealed(file) => file.size,
            SegmentBody::Memory(_) => 0,
        }
    }

    /// What it takes of the ring's bytes.
    pub(crate) fn charge(&self) -> u64 {
        match &self.body {
            // Bounds the number of files too, however often a process restarts.
            SegmentBody::Sealed(file) => file.size.max(LEAST_CHARGE),
            _ => self.size(),
        }
    }

    pub(crate) fn file_name(&self) -> FileName {
        match self.body {
            SegmentBody::Sealed(_) => FileName::Sealed(self.number),
            _ => FileName::Segment(self.number),
        }
    }

    /// Looks into the frames of a segment in memory; one in a file has none.
    pub(crate) fn memory<T>(&self, look: impl FnOnce(&mut MemoryFrames) -> T) -> T {
        match &self.body {
            SegmentBody::Memory(frames) => look(&mut lock(frames)),
            _ => look(&mut MemoryFrames::default()),
        }
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.body, SegmentBody::Memory(_))
    }

    pub(crate) fn is_unsealed(&self) -> bool {
        matches!(self.body, SegmentBody::File(_))
    }

    pub(crate) fn salt(&self) -> Salt {
        Salt { number: self.number, epoch: self.epoch }
    }

    /// The last known place at or below an offset.
    pub(crate) fn start_for(&self, offset: u64) -> Option<(u64, u64)> {
        let sparse = lock(&self.sparse);
        let after = sparse.partition_point(|&(first, _)| first <= offset);
        sparse.get(after.checked_sub(1)?).copied()
    }

    pub(crate) fn remember(&self, offset: u64, pos: u64) {
        lock(&self.sparse).push((offset, pos));
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

/// A panic while a lock is held leaves nothing half done here: every change is one push or pop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared by the writer and its readers.
pub(crate) struct Shared {
    segments: RwLock<Vec<Arc<Segment>>>,
    pub(crate) state: watch::Sender<JournalState>,
    pub(crate) counters: Counters,
}

/// A segment, and where its successor takes over.
pub(crate) struct Located {
    pub(crate) segment: Arc<Segment>,
    /// The successor's first offset, or the end of numbers.
    pub(crate) end: u64,
    /// The successor's number is not the next one: a segment is missing.
    pub(crate) missing_after: bool,
}

impl Shared {
    pub(crate) fn new(state: JournalState, segments: Vec<Arc<Segment>>) -> Self {
        Self {
            segments: RwLock::new(segments),
            state: watch::Sender::new(state),
            counters: Counters::default(),
        }
    }

    /// The segment that holds `offset`; `Err(first)` when that is below the oldest kept offset.
    pub(crate) fn locate(&self, offset: u64) -> Result<Located, u64> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let Some(i) = segments.partition_point(|s| s.first <= offset).checked_sub(1) else {
            return Err(segments.first().map_or(u64::MAX, |s| s.first));
        };
        let next = segments.get(i + 1);
        Ok(Located {
            segment: segments[i].clone(),
            end: next.map_or(u64::MAX, |n| n.first),
            missing_after: next.is_some_and(|n| n.number != segments[i].number + 1),
        })
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>) -> T) -> T {
        change(&mut self.segments.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Arc<Segment>]) -> T) -> T {
        look(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn in_memory(&self) -> Vec<Arc<Segment>> {
        self.look(|segments| segments.iter().filter(|s| s.is_in_memory()).cloned().collect())
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.look(|segments| segments.first().map(|s| s.first))
    }
}
