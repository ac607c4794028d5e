//! Sealing: a segment whose records are all committed is written again without its pages' empty ends, compressed,
//! and its file is free for the next one. A day of trades takes 354 MB of half-empty pages, and 12 MB sealed.
//!
//! Each frame of a sealed segment is one block of batches (see `block`): 16 KiB before they are packed, or 4,096 records.
//! Small blocks bound what one rotten byte takes with it, and let a reader begin in the middle.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use super::block;
use super::disk::Disk;
use super::format::{FileName, FrameHead, HEADER_LEN, Header, encode_frame};
use super::index::{Handle, Segment, SegmentBody, Shared, lock};
use super::scan::{Frames, SPARSE_BYTES};
use super::space::Space;

/// Flushes between attempts after a failure.
const WAIT: u32 = 60;

/// A segment to be sealed, and what came of it.
pub(super) struct Seal {
    disk: Arc<dyn Disk>,
    segment: Arc<Segment>,
    /// The first offset of the segment after it.
    end: u64,
    outcome: Mutex<Option<io::Result<Sealed>>>,
}

/// A sealed segment, durable, and the file it does not need any more.
pub(super) struct Sealed {
    pub(super) segment: Arc<Segment>,
    pub(super) spare: FileName,
}

impl Seal {
    pub(super) fn new(disk: Arc<dyn Disk>, segment: Arc<Segment>, end: u64) -> Self {
        Self { disk, segment, end, outcome: Mutex::new(None) }
    }

    pub(super) fn run(&self) {
        let outcome = self.seal();
        *lock(&self.outcome) = Some(outcome);
    }

    fn seal(&self) -> io::Result<Sealed> {
        let number = self.segment.number;
        let (bytes, sparse) = self.pack()?;
        let (new, sealed) = (FileName::New(number).to_string(), FileName::Sealed(number).to_string());
        let written = self.write(&new, &sealed, &bytes.bytes);
        if written.is_err() {
            // Half a file is of no use to anybody; the next start removes what this cannot.
            self.disk.remove(&new).ok();
        }
        written?;
        // From here on a start finds both and takes the original; then only the sealed one.
        let spare = FileName::Spare(number);
        self.disk.rename(&FileName::Segment(number).to_string(), &spare.to_string())?;
        self.disk.sync_dir()?;
        let handle = Handle::Named(self.disk.clone(), sealed);
        let segment = Segment::in_file(&bytes.header, handle, bytes.header.area(), sparse);
        Ok(Sealed { segment: Arc::new(segment), spare })
    }

    fn write(&self, new: &str, sealed: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.create(new, bytes.len() as u64)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        self.disk.rename(new, sealed)?;
        self.disk.sync_dir()
    }

    fn pack(&self) -> io::Result<(SealedFile, Vec<(u64, u64)>)> {
        let SegmentBody::File(file) = &self.segment.body else {
            return Err(io::Error::other("only a segment's first file is sealed"));
        };
        let mut frames = Frames::new(file.open()?, self.segment.salt(), file.area.0, file.area.1);
        let mut out = Packer::new(&self.segment, self.end);
        let mut expected = self.segment.first;
        while expected < self.end {
            let Some(frame) = frames.next(expected).filter(|frame| frame.head.first < self.end) else {
                break;
            };
            expected = frame.head.end();
            if frame.head.count > 0 {
                out.add(frame.head, frames.payload(&frame))?;
            }
        }
        if frames.read_errors > 0 {
            // The next attempt may read them.
            return Err(io::Error::other("the segment cannot be read completely"));
        }
        out.finish()
    }
}

/// Which segment is sealed next, and what became of the last one.
#[derive(Default)]
pub(super) struct Sealing {
    /// Flushes to wait after a failure.
    wait: u32,
    /// Segments that cannot be sealed.
    hopeless: BTreeSet<u64>,
}

impl Sealing {
    /// The oldest segment that can be sealed: completely committed, and not being written.
    pub(super) fn next(&mut self, disk: &Arc<dyn Disk>, shared: &Shared, committed: u64) -> Option<Seal> {
        if let Some(wait) = self.wait.checked_sub(1) {
            self.wait = wait;
            return None;
        }
        shared.look(|segments| {
            let mut pairs =
                segments.windows(2).filter(|pair| pair[0].is_unsealed() && pair[1].first <= committed);
            let pair = pairs.find(|pair| !self.hopeless.contains(&pair[0].number))?;
            Some(Seal::new(disk.clone(), pair[0].clone(), pair[1].first))
        })
    }

    /// Puts the sealed segment in the place of the original.
    pub(super) fn end(&mut self, seal: Seal, disk: &Arc<dyn Disk>, shared: &Shared, space: &mut Space) {
        let original = seal.segment.clone();
        let Some(outcome) = seal.outcome.into_inner().unwrap_or(None) else { return };
        let place = shared.look(|segments| segments.iter().position(|s| Arc::ptr_eq(s, &original)));
        match (outcome, place) {
            (Ok(sealed), Some(place)) => {
                shared.counters.segments_sealed.add(1);
                shared.counters.sealed_bytes.add(sealed.segment.size());
                shared.counters.flushed_bytes.add(sealed.segment.size());
                shared.update(|segments| segments[place] = sealed.segment);
                original.retire();
                space.give_back(&**disk, sealed.spare);
            }
            // The ring went over it meanwhile.
            (Ok(sealed), None) => {
                disk.remove(&sealed.segment.file_name().to_string()).ok();
                space.give_back(&**disk, sealed.spare);
            }
            (Err(e), _) => {
                shared.counters.seal_failures.add(1);
                self.wait = WAIT;
                if !matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem) {
                    self.hopeless.insert(original.number);
                }
            }
        }
    }
}

struct SealedFile {
    header: Header,
    bytes: Vec<u8>,
}

struct Packer {
    header: Header,
    end: u64,
    out: Vec<u8>,
    sparse: Vec<(u64, u64)>,
    /// The batches of the block that is being collected: records and length of each, and their bytes.
    batches: Vec<(u32, usize)>,
    bytes: Vec<u8>,
    first: u64,
    next: u64,
}

impl Packer {
    fn new(segment: &Segment, end: u64) -> Self {
        let Segment { number, epoch, first, previous, .. } = *segment;
        let header = Header { number, epoch, first, previous, size: 0, sealed: true };
        let (out, sparse) = (vec![0; HEADER_LEN], Vec::new());
        Self { header, end, out, sparse, batches: Vec::new(), bytes: Vec::new(), first, next: first }
    }

    fn add(&mut self, head: FrameHead, payload: &[u8]) -> io::Result<()> {
        let full = self.bytes.len() >= block::BYTES || self.next - self.first >= block::RECORDS;
        // A hole stays a hole: the offsets of a block are contiguous.
        if full || head.first != self.next {
            self.end_block()?;
        }
        if self.batches.is_empty() {
            self.first = head.first;
        }
        self.batches.push((head.count, payload.len()));
        self.bytes.extend_from_slice(payload);
        self.next = head.end();
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let mut rest = self.bytes.as_slice();
        let batches = self.batches.iter().map(|&(count, len)| {
            let (payload, behind) = rest.split_at(len);
            rest = behind;
            (count, payload)
        });
        let packed = block::pack(self.header.epoch, self.first, &batches.collect::<Vec<_>>())?;
        let pos = self.out.len() as u64;
        if self.sparse.last().is_none_or(|&(_, last)| pos - last >= SPARSE_BYTES) {
            self.sparse.push((self.first, pos));
        }
        let count = u32::try_from(self.next - self.first).map_err(io::Error::other)?;
        let head = FrameHead { len: packed.len() as u32, count, first: self.first, committed: self.end };
        encode_frame(self.header.salt(), pos, head, &packed, &mut self.out);
        self.batches.clear();
        self.bytes.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<(SealedFile, Vec<(u64, u64)>)> {
        self.end_block()?;
        self.header.size = (self.out.len() + HEADER_LEN) as u64;
        let header = self.header.encode();
        self.out[..HEADER_LEN].copy_from_slice(&header);
        self.out.extend_from_slice(&header);
        Ok((SealedFile { header: self.header, bytes: self.out }, self.sparse))
    }
}
