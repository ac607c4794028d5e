//! Reading the journal from any offset, beside the writer and other readers.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use tickberry_wire::{Epoch, GapReason};
use tokio::sync::watch;

use super::block::Block;
use super::format::FrameHead;
use super::index::{JournalState, Located, SegmentBody, Shared, lock};
use super::scan::{Frame, Frames};
use super::stats::Stats;

/// A handle to read with; cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// Why a reading cannot begin or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The ring has given the space to newer records.
    #[error(
        "offsets {from} to {first} are gone: the ring has given their space to newer records; read from {first}"
    )]
    Gone {
        /// The offset asked for.
        from: u64,
        /// The oldest offset that is kept.
        first: u64,
    },
    /// Nothing was ever given that offset.
    #[error(
        "offset {from} is beyond the journal's head {head}; this cursor is of another journal or of a lost tail"
    )]
    Ahead {
        /// The offset asked for.
        from: u64,
        /// The next offset to be given.
        head: u64,
    },
    /// A file cannot be opened now; what is in it is not lost.
    #[error("offset {from} cannot be read now: {kind}; try again")]
    Disk {
        /// The offset to go on from.
        from: u64,
        /// What the system said.
        kind: ErrorKind,
    },
}

/// What a reading yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A batch, as it was appended.
    Batch {
        /// Offset of its first record.
        first: u64,
        /// Offset after its last record.
        end: u64,
        /// The encoded batch.
        payload: &'a [u8],
    },
    /// Offsets that cannot be had any more.
    Lost {
        /// The epoch of what surrounds them.
        epoch: Epoch,
        /// First of them.
        from: u64,
        /// Offset after the last.
        to: u64,
        /// Why.
        reason: GapReason,
    },
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The committed batches from the one that contains `from` to the one that contains `to - 1`; without `to`
    /// to what is committed now.
    pub fn read(&self, from: u64, to: Option<u64>) -> Result<Batches, ReadError> {
        let committed = self.state().committed;
        self.start(from, to.map_or(committed, |to| to.min(committed)))
    }

    /// As [`Reader::read`], but to the head: what is read above `committed` may still be undone by a power cut.
    pub fn read_uncommitted(&self, from: u64, to: Option<u64>) -> Result<Batches, ReadError> {
        let head = self.state().head;
        self.start(from, to.map_or(head, |to| to.min(head)))
    }

    fn start(&self, from: u64, to: u64) -> Result<Batches, ReadError> {
        self.shared.counters.reads.add(1);
        let head = self.state().head;
        if from > head {
            return Err(ReadError::Ahead { from, head });
        }
        self.shared.locate(from).map_err(|first| {
            self.shared.counters.reads_gone.add(1);
            ReadError::Gone { from, first }
        })?;
        Ok(Batches { shared: self.shared.clone(), next: from, to, open: None, held: Bytes::new() })
    }

    /// How far the journal reaches now.
    pub fn state(&self) -> JournalState {
        *self.shared.state.borrow()
    }

    /// Tells when that changes.
    pub fn watch(&self) -> watch::Receiver<JournalState> {
        self.shared.state.subscribe()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}

/// A reading under way. Blocking: each step may read the disk.
pub struct Batches {
    shared: Arc<Shared>,
    /// Everything below was yielded.
    next: u64,
    to: u64,
    open: Option<Open>,
    /// The last payload that came from memory.
    held: Bytes,
}

/// The segment being read.
struct Open {
    located: Located,
    /// Offset after the last frame seen in it.
    expected: u64,
    /// None for a segment in memory.
    frames: Option<Frames>,
    /// The block of a sealed segment that is being walked.
    block: Block,
    /// Offset after the last block that was found.
    block_end: u64,
    /// Found after a hole, which is told first.
    pending: Option<Found>,
}

enum Found {
    File(Frame),
    /// The block's last batch.
    Sealed(FrameHead),
    Memory(FrameHead, Bytes),
}

impl Found {
    fn head(&self) -> FrameHead {
        match self {
            Self::File(frame) => frame.head,
            Self::Sealed(head) | Self::Memory(head, _) => *head,
        }
    }
}

impl Batches {
    /// Everything below this offset was yielded.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next item, or `None` at the end. An error ends the reading.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, ReadError> {
        let found = match self.advance()? {
            None => return Ok(None),
            Some(Step::Lost { epoch, from, to, reason }) => {
                return Ok(Some(Item::Lost { epoch, from, to, reason }));
            }
            Some(Step::Found(found)) => found,
        };
        self.shared.counters.read_batches.add(1);
        let head = found.head();
        let (first, end) = (head.first, head.end());
        let payload = match found {
            Found::File(frame) => match self.open.as_mut().and_then(|open| open.frames.as_mut()) {
                Some(frames) => frames.payload(&frame),
                None => &[],
            },
            Found::Sealed(_) => self.open.as_ref().map_or(&[][..], |open| open.block.payload()),
            Found::Memory(_, payload) => {
                self.held = payload;
                &self.held
            }
        };
        Ok(Some(Item::Batch { first, end, payload }))
    }

    fn advance(&mut self) -> Result<Option<Step>, ReadError> {
        while self.next < self.to {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open_segment()?,
            };
            let limit = open.located.end.min(self.to);
            if open.expected >= limit {
                self.next = self.next.max(limit);
                continue;
            }
            let found = open.next_frame(self.next).filter(|found| found.head().first < limit);
            let first = found.as_ref().map_or(limit, |found| found.head().first);
            if first > open.expected {
                if open.located.segment.is_retired() {
                    continue;
                }
                let (epoch, from) = (open.located.segment.epoch, self.next.max(open.expected));
                let reason = open.lost_reason(found.is_none());
                open.expected = first;
                open.pending = found;
                self.open = Some(open);
                self.next = self.next.max(first);
                if from < first {
                    self.count_lost(first - from, reason);
                    let epoch = Epoch::from_raw(epoch).unwrap_or(Epoch::new(0, 0));
                    return Ok(Some(Step::Lost { epoch, from, to: first, reason }));
                }
                continue;
            }
            let Some(found) = found else { continue };
            let end = found.head().end();
            open.expected = end;
            self.open = Some(open);
            if end > self.next {
                self.next = end;
                return Ok(Some(Step::Found(found)));
            }
        }
        Ok(None)
    }

    fn open_segment(&self) -> Result<Open, ReadError> {
        let located = self.shared.locate(self.next).map_err(|first| {
            self.shared.counters.reads_gone.add(1);
            ReadError::Gone { from: self.next, first }
        })?;
        let segment = &located.segment;
        let (expected, frames) = match &segment.body {
            SegmentBody::File(file) | SegmentBody::Sealed(file) => {
                let (expected, pos) = segment.start_for(self.next).unwrap_or((segment.first, file.area.0));
                match file.open() {
                    Ok(handle) => (expected, Some(Frames::new(handle, segment.salt(), pos, file.area.1))),
                    // Removed: by the ring since it was located, or by somebody else; the hole tells.
                    Err(e) if e.kind() == ErrorKind::NotFound => (expected, None),
                    Err(e) => return Err(ReadError::Disk { from: self.next, kind: e.kind() }),
                }
            }
            SegmentBody::Memory(_) => (self.next, None),
        };
        Ok(Open { expected, frames, located, block: Block::default(), block_end: expected, pending: None })
    }

    fn count_lost(&self, records: u64, reason: GapReason) {
        if reason == GapReason::Quarantine {
            self.shared.counters.damaged_ranges.add(1);
            self.shared.counters.damaged_records.add(records);
        }
    }
}

enum Step {
    Found(Found),
    Lost { epoch: Epoch, from: u64, to: u64, reason: GapReason },
}

impl Open {
    /// What comes next; of a sealed segment only what reaches beyond `from`.
    fn next_frame(&mut self, from: u64) -> Option<Found> {
        if let Some(pending) = self.pending.take() {
            return Some(pending);
        }
        match &self.located.segment.body {
            SegmentBody::File(_) => self.frames.as_mut()?.next(self.expected).map(Found::File),
            SegmentBody::Sealed(_) => self.next_sealed(from),
            SegmentBody::Memory(frames) => {
                lock(frames).at(self.expected).map(|(head, payload)| Found::Memory(head, payload))
            }
        }
    }

    fn next_sealed(&mut self, from: u64) -> Option<Found> {
        loop {
            if let Some(head) = self.block.advance(from) {
                return Some(Found::Sealed(head));
            }
            let frames = self.frames.as_mut()?;
            let frame = frames.next(self.block_end)?;
            self.block_end = frame.head.end();
            if self.block_end > from {
                let epoch = self.located.segment.epoch;
                self.block.unpack(epoch, frame.head.first, frames.payload(&frame));
            }
        }
    }

    fn lost_reason(&self, to_the_end: bool) -> GapReason {
        match self.located.segment.body {
            SegmentBody::Memory(_) => GapReason::Memory,
            _ if to_the_end && self.located.missing_after => GapReason::LostRange,
            _ => GapReason::Quarantine,
        }
    }
}
