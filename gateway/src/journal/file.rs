//! The segment file that is being written, and flushes of it.

use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::format::{FRAME_HEAD, FrameHead, Header, PAGE, encode_frame, next_page};
use super::index::{Handle, Segment};
use super::scan::SPARSE_BYTES;
use super::seal::Seal;
use super::space::Place;

/// The newest segment of an epoch on disk.
pub(super) struct ActiveFile {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    area_end: u64,
    /// Where the next frame goes.
    pos: u64,
    /// Position of the last sparse index entry.
    sparse_pos: u64,
    /// What was written since the last flush, in bytes of pages: (closed segments, start of it in this one).
    unflushed: (u64, u64),
    dirty: bool,
    /// Earlier segments with unflushed frames.
    older: Vec<Arc<dyn DiskFile>>,
    /// Whether the names of all of them are durable.
    name_synced: bool,
    /// The highest `committed` that a frame of this epoch carries.
    recorded: u64,
    scratch: Vec<u8>,
}

impl ActiveFile {
    /// Begins a segment: both headers are written, nothing is flushed.
    pub(super) fn create(place: Place, epoch: u64, first: u64, previous: (u64, u64)) -> io::Result<Self> {
        let Place { number, file, size, name_synced } = place;
        let header = Header { number, epoch, first, previous, size, sealed: false };
        let bytes = header.encode();
        file.write_at(&bytes, 0)?;
        file.write_at(&bytes, size - PAGE)?;
        let area = header.area();
        let handle = Handle::Open(file.clone());
        let segment = Arc::new(Segment::in_file(&header, handle, area, vec![(first, PAGE)]));
        Ok(Self {
            segment,
            file,
            area_end: area.1,
            pos: PAGE,
            sparse_pos: PAGE,
            // The header's copy; the header itself precedes the frames.
            unflushed: (PAGE, 0),
            dirty: true,
            older: Vec::new(),
            name_synced,
            recorded: 0,
            scratch: Vec::new(),
        })
    }

    /// Goes on in a new segment of the same epoch, without waiting for the disk.
    pub(super) fn rotate(&mut self, place: Place, first: u64) -> io::Result<()> {
        let mut next = Self::create(place, self.segment.epoch, first, self.segment.previous)?;
        next.recorded = self.recorded;
        next.older = std::mem::take(&mut self.older);
        next.name_synced &= self.name_synced;
        if self.dirty {
            next.unflushed.0 += self.unflushed_bytes();
            next.older.push(self.file.clone());
        }
        *self = next;
        Ok(())
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn has_room(&self, payload: usize) -> bool {
        self.pos + (FRAME_HEAD + payload) as u64 <= self.area_end
    }

    /// Writes a frame to the page cache; returns its bytes.
    pub(super) fn write(&mut self, head: FrameHead, payload: &[u8]) -> io::Result<u64> {
        self.scratch.clear();
        encode_frame(self.segment.salt(), self.pos, head, payload, &mut self.scratch);
        self.file.write_at(&self.scratch, self.pos)?;
        if self.pos - self.sparse_pos >= SPARSE_BYTES {
            self.segment.remember(head.first, self.pos);
            self.sparse_pos = self.pos;
        }
        let bytes = self.scratch.len() as u64;
        self.pos += bytes;
        self.dirty = true;
        self.recorded = self.recorded.max(head.committed);
        Ok(bytes)
    }

    fn unflushed_bytes(&self) -> u64 {
        self.unflushed.0 + next_page(self.pos) - self.unflushed.1
    }

    /// What makes everything below `head` durable. When all is, but no frame on disk says so yet, the flush
    /// writes an empty frame that does: without it, rot in the last second before a pause would look like a
    /// torn tail.
    pub(super) fn begin_flush(
        &mut self,
        disk: &Arc<dyn Disk>,
        head: u64,
        committed: u64,
    ) -> io::Result<Option<Flush>> {
        if !self.dirty {
            if self.recorded >= committed || !self.has_room(0) {
                return Ok(None);
            }
            self.write(FrameHead { len: 0, count: 0, first: head, committed }, &[])?;
        }
        let mut files = std::mem::take(&mut self.older);
        files.push(self.file.clone());
        let bytes = self.unflushed_bytes();
        // The page that is being flushed is never written again: a power cut in the middle of a write garbles at
        // most what was not committed.
        self.pos = next_page(self.pos);
        self.unflushed = (0, self.pos);
        self.dirty = false;
        let names = (!self.name_synced).then(|| disk.clone());
        self.name_synced = true;
        Ok(Some(Flush { epoch: self.segment.epoch, target: head, files, names, bytes, seal: None }))
    }
}

/// A flush that has begun.
#[must_use = "run it and hand the outcome to Journal::end_flush"]
pub struct Flush {
    epoch: u64,
    target: u64,
    files: Vec<Arc<dyn DiskFile>>,
    /// The directory, when a file in it has a new name.
    names: Option<Arc<dyn Disk>>,
    bytes: u64,
    /// A segment to seal, once the flush is through.
    pub(super) seal: Option<Seal>,
}

impl Flush {
    /// Waits for the disk. May then seal one old segment, some tenths of a second on a slow card.
    pub fn run(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        if let Some(disk) = &self.names {
            disk.sync_dir()?;
        }
        if let Some(seal) = &self.seal {
            seal.run();
        }
        Ok(())
    }

    /// What is committed when it succeeds.
    pub fn target(&self) -> u64 {
        self.target
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
