//! The one writer of a journal.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tickberry_wire::{DecodeError, Epoch, MAX_PAYLOAD, peek};

use super::config::{Config, Start};
use super::disk::Disk;
use super::epoch::{first_batch, unseen_epoch};
use super::file::{ActiveFile, Flush};
use super::format::{FileName, FrameHead};
use super::index::{JournalState, Segment, Shared};
use super::memory::MemoryFrames;
use super::reader::Reader;
use super::recover::LostRange;
use super::seal::Sealing;
use super::space::{Purpose, Space};
use super::stats::{Counters, Stats};

/// Why an append or a flush did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. The epoch has ended: call [`Journal::continue_in_memory`], and encode again what could
    /// not be appended.
    #[error("the journal's disk refused ({0}); going on in memory until it can be written again")]
    Disk(#[from] io::Error),
    /// The epoch had ended before; nothing was done.
    #[error("the journal's epoch has ended; a new one must begin first")]
    Ended,
    /// The caller's batch does not continue this journal; nothing was done.
    #[error(
        "a batch of epoch {epoch} at offset {first} with committed {committed} does not continue {state:?}"
    )]
    NotNext {
        /// The batch's epoch.
        epoch: Epoch,
        /// The batch's first offset.
        first: u64,
        /// The batch's committed.
        committed: u64,
        /// Where the journal is.
        state: JournalState,
    },
    /// The caller's bytes are no batch of records; nothing was done.
    #[error("these bytes cannot be journaled: {0}")]
    NoBatch(#[from] DecodeError),
}

/// What beginning an epoch came to.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where the journal is now, the epoch start included.
    pub state: JournalState,
    /// The encoded batch with the epoch's first record, already appended: to be published.
    pub epoch_start: Bytes,
    /// The epoch before, and its end.
    pub previous: Option<(Epoch, u64)>,
    /// Ranges below `committed` that were found damaged at this start.
    pub lost: Vec<LostRange>,
    /// Intact records above the recorded `committed` that were kept.
    pub recovered: u64,
    /// Whether a torn tail was cut.
    pub torn: bool,
    /// Segments of a newer release, left alone.
    pub newer: u64,
    /// Files named as segments without a readable header, left alone.
    pub unreadable: u64,
    /// Why the epoch is in memory.
    pub error: Option<String>,
}

/// Appends batches, flushes, begins epochs. Blocking, but only as a write to the page cache blocks; what waits
/// for the disk is [`Flush::run`] and the beginning of an epoch.
pub struct Journal {
    disk: Arc<dyn Disk>,
    config: Config,
    shared: Arc<Shared>,
    state: JournalState,
    epochs: BTreeSet<u64>,
    /// The epoch before this one, and its end: as in the segments' headers.
    previous: Option<(u64, u64)>,
    space: Space,
    /// Files whose records memory holds.
    superseded: Vec<FileName>,
    output: Output,
    /// What is above `committed`, should the disk fail.
    unflushed: MemoryFrames,
    /// A flush of this epoch is under way.
    flushing: bool,
    sealing: Sealing,
}

/// The end of an earlier life's segment.
pub(super) struct Tail {
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) previous: (u64, u64),
    pub(super) frames: MemoryFrames,
}

enum Output {
    File(ActiveFile),
    Memory(Arc<Segment>),
    Ended,
}

impl Journal {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        config: Config,
        space: Space,
        epochs: BTreeSet<u64>,
        previous: Option<(u64, u64)>,
        segments: Vec<Arc<Segment>>,
        head: u64,
    ) -> Self {
        let epoch = previous.and_then(|(epoch, _)| Epoch::from_raw(epoch)).unwrap_or(Epoch::new(0, 0));
        let first = segments.first().map_or(head, |s| s.first);
        let state = JournalState { epoch, first, head, committed: head, durable: false };
        let shared = Arc::new(Shared::new(state, segments));
        let unflushed = MemoryFrames::default();
        Self {
            disk,
            config,
            shared,
            state,
            epochs,
            previous,
            space,
            superseded: Vec::new(),
            output: Output::Ended,
            unflushed,
            flushing: false,
            sealing: Sealing::default(),
        }
    }

    /// Where the journal is.
    pub fn state(&self) -> JournalState {
        self.state
    }

    /// A handle to read with, also from other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Writes an encoded batch, made for this state: it must begin at `head`, be of this epoch and carry a
    /// `committed` that is not beyond the journal's. It is safe from kill -9 when this returns, and from a power
    /// cut after the next flush.
    pub fn append(&mut self, payload: &[u8]) -> Result<JournalState, JournalError> {
        let head = self.head_of(payload)?;
        match &mut self.output {
            Output::Ended => return Err(JournalError::Ended),
            Output::File(_) => {
                if let Err(e) = self.append_to_file(head, payload) {
                    return Err(self.end_epoch(e));
                }
                self.unflushed.push(head, Bytes::copy_from_slice(payload));
                while self.unflushed.bytes() > self.config.memory_bytes {
                    self.unflushed.drop_oldest();
                }
            }
            Output::Memory(segment) => {
                let segment = segment.clone();
                self.append_to_memory(&segment, head, payload);
            }
        }
        let counters = &self.shared.counters;
        counters.appended_batches.add(1);
        counters.appended_records.add(u64::from(head.count));
        self.state.head = head.end();
        self.publish();
        Ok(self.state)
    }

    fn head_of(&self, payload: &[u8]) -> Result<FrameHead, JournalError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(DecodeError::TooLarge(payload.len()).into());
        }
        let head = peek(payload)?;
        let state = self.state;
        let (epoch, first, committed) = (head.epoch, head.first_offset, head.committed);
        let count = u32::try_from(head.count).unwrap_or(0);
        if epoch != state.epoch || first != state.head || committed > state.committed || count == 0 {
            return Err(JournalError::NotNext { epoch, first, committed, state });
        }
        Ok(FrameHead { len: payload.len() as u32, count, first, committed })
    }

    fn append_to_file(&mut self, head: FrameHead, payload: &[u8]) -> io::Result<()> {
        let Output::File(active) = &mut self.output else { return Ok(()) };
        if !active.has_room(payload.len()) {
            let next = self.space.take(&*self.disk, &self.shared, &self.config, Purpose::Live)?;
            active.rotate(next, head.first)?;
            self.shared.update(|segments| segments.push(active.segment().clone()));
            self.state.first = self.shared.first().unwrap_or(head.first);
            self.shared.counters.segments.add(1);
            self.space.settle();
        }
        let written = active.write(head, payload)?;
        self.shared.counters.appended_bytes.add(written);
        Ok(())
    }

    fn append_to_memory(&mut self, segment: &Arc<Segment>, head: FrameHead, payload: &[u8]) {
        segment.memory(|frames| frames.push(head, Bytes::copy_from_slice(payload)));
        let in_memory = self.shared.in_memory();
        let mut bytes: usize = in_memory.iter().map(|s| s.memory(|frames| frames.bytes())).sum();
        for oldest in in_memory {
            while bytes > self.config.memory_bytes {
                let Some((records, freed)) = oldest.memory(MemoryFrames::drop_oldest) else { break };
                self.shared.counters.overwritten_records.add(records);
                bytes -= freed;
            }
        }
    }

    /// Begins a flush of what was appended so far; `None` when there is nothing to flush. Run it on another thread
    /// and hand the outcome to [`Journal::end_flush`]; appending goes on meanwhile, on the next page.
    pub fn begin_flush(&mut self) -> Result<Option<Flush>, JournalError> {
        // One at a time: were a failed flush followed by another that succeeds, the second would seem to have
        // made durable what the kernel dropped at the first.
        if self.flushing {
            return Ok(None);
        }
        let flush = match &mut self.output {
            Output::Ended => return Err(JournalError::Ended),
            Output::File(active) => active.begin_flush(&self.disk, self.state.head, self.state.committed),
            // Nothing is more durable than this memory will be: what is in it counts as committed, so that stores
            // elsewhere go on while this host's disk is broken.
            Output::Memory(_) => {
                self.state.committed = self.state.head;
                self.publish();
                Ok(None)
            }
        };
        let mut flush = flush.map_err(|e| self.end_epoch(e))?;
        self.flushing = flush.is_some();
        if let Some(flush) = &mut flush {
            flush.seal = self.sealing.next(&self.disk, &self.shared, self.state.committed);
        }
        Ok(flush)
    }

    /// Takes a flush's outcome. After an error the epoch has ended: a failed fsync is never tried again, because
    /// the kernel may have dropped the pages it could not write.
    pub fn end_flush(
        &mut self,
        mut flush: Flush,
        outcome: io::Result<()>,
    ) -> Result<JournalState, JournalError> {
        if let Some(seal) = flush.seal.take() {
            self.sealing.end(seal, &self.disk, &self.shared, &mut self.space);
        }
        if flush.epoch() != self.state.epoch.get() {
            return Ok(self.state);
        }
        self.flushing = false;
        match outcome {
            Ok(()) => {
                self.state.committed = self.state.committed.max(flush.target());
                self.unflushed.drop_below(self.state.committed);
                self.shared.counters.flushes.add(1);
                self.shared.counters.flushed_bytes.add(flush.bytes());
                self.publish();
                Ok(self.state)
            }
            Err(e) => Err(self.end_epoch(e)),
        }
    }

    /// [`Journal::begin_flush`], [`Flush::run`] and [`Journal::end_flush`] in one, waiting for the disk.
    pub fn flush(&mut self) -> Result<JournalState, JournalError> {
        match self.begin_flush()? {
            None => Ok(self.state),
            Some(flush) => {
                let outcome = flush.run();
                self.end_flush(flush, outcome)
            }
        }
    }

    fn end_epoch(&mut self, error: io::Error) -> JournalError {
        self.output = Output::Ended;
        self.shared.counters.disk_errors.add(1);
        self.state.durable = false;
        self.state.first = self.shared.first().unwrap_or(self.state.head);
        self.publish();
        JournalError::Disk(error)
    }

    /// Begins a memory epoch after the disk has failed. What the ended epoch had not flushed stays readable.
    pub fn continue_in_memory(&mut self, start: Start) -> Opened {
        let ended = self.state;
        self.output = Output::Ended;
        self.space.recover();
        if !self.unflushed.is_empty() {
            let tail = std::mem::take(&mut self.unflushed);
            let previous = self.header_previous();
            self.push_memory_segment(ended.epoch.get(), ended.committed, previous, tail);
        }
        if self.shared.first().is_some() {
            self.previous = Some((ended.epoch.get(), ended.head));
        }
        let (epoch, batch) = self.next_epoch(start);
        let previous = self.header_previous();
        let segment = self.push_memory_segment(epoch.get(), ended.head, previous, MemoryFrames::default());
        let head = FrameHead { len: batch.len() as u32, count: 1, first: ended.head, committed: ended.head };
        self.append_to_memory(&segment, head, &batch);
        self.output = Output::Memory(segment);
        self.shared.counters.memory_epochs.add(1);
        self.entered(epoch, head.end(), false);
        self.opened(batch)
    }

    fn push_memory_segment(
        &mut self,
        epoch: u64,
        first: u64,
        previous: (u64, u64),
        frames: MemoryFrames,
    ) -> Arc<Segment> {
        let segment = Arc::new(Segment::in_memory(self.space.number(), epoch, first, previous, frames));
        self.shared.update(|segments| {
            // The files are left as they are until memory is on disk: a process killed before finds them.
            let files = segments.extract_if(.., |s| s.first >= first && !s.is_in_memory());
            self.superseded.extend(files.map(|s| s.file_name()));
            segments.push(segment.clone());
        });
        segment
    }

    /// Keeps records in memory that can be read, but not be made durable where they are.
    pub(super) fn hold(&mut self, tails: Vec<Tail>) {
        for Tail { epoch, first, previous, frames } in tails {
            self.push_memory_segment(epoch, first, previous, frames);
        }
    }

    /// Tries to leave a memory epoch: writes what memory holds to the disk and begins an epoch there. On an error
    /// everything stays as it was.
    pub fn retry_disk(&mut self, start: Start) -> Result<Opened, JournalError> {
        self.shared.counters.disk_retries.add(1);
        let ended = self.state;
        self.space.recover();
        let saved = self.save_memory()?;
        let before = (self.previous, self.epochs.clone());
        self.previous = Some((ended.epoch.get(), ended.head));
        match self.begin_on_disk(start, saved, Purpose::Return) {
            Ok(opened) => Ok(opened),
            Err(e) => {
                (self.previous, self.epochs) = before;
                self.state.first = self.shared.first().unwrap_or(ended.head);
                self.publish();
                Err(e.into())
            }
        }
    }

    fn save_memory(&mut self) -> io::Result<Vec<Arc<Segment>>> {
        let mut saved = Vec::new();
        for segment in self.shared.in_memory() {
            let frames: Vec<_> = segment.memory(|m| m.iter().cloned().collect());
            let Some((head, _)) = frames.first() else { continue };
            let place = self.space.take(&*self.disk, &self.shared, &self.config, Purpose::Return)?;
            let mut file = ActiveFile::create(place, segment.epoch, head.first, segment.previous)?;
            saved.push(file.segment().clone());
            for (head, payload) in &frames {
                if !file.has_room(payload.len()) {
                    file.rotate(
                        self.space.take(&*self.disk, &self.shared, &self.config, Purpose::Return)?,
                        head.first,
                    )?;
                    saved.push(file.segment().clone());
                }
                file.write(*head, payload)?;
            }
            if let Some(flush) = file.begin_flush(&self.disk, head.first, head.first)? {
                flush.run()?;
            }
        }
        Ok(saved)
    }

    /// Begins an epoch on disk; durable, its name too, when this returns. `saved` takes the place of what was in
    /// memory.
    pub(super) fn begin_on_disk(
        &mut self,
        start: Start,
        saved: Vec<Arc<Segment>>,
        purpose: Purpose,
    ) -> io::Result<Opened> {
        let first = self.state.head;
        let (epoch, batch) = self.next_epoch(start);
        let place = self.space.take(&*self.disk, &self.shared, &self.config, purpose)?;
        let mut active = ActiveFile::create(place, epoch.get(), first, self.header_previous())?;
        let head = FrameHead { len: batch.len() as u32, count: 1, first, committed: first };
        active.write(head, &batch)?;
        if let Some(flush) = active.begin_flush(&self.disk, head.end(), first)? {
            flush.run()?;
        }
        if purpose == Purpose::Return {
            // Only what the memory epoch wrote itself is nowhere else.
            let copies = saved.iter().filter(|segment| segment.epoch != self.state.epoch.get()).count();
            self.space.complete(&*self.disk, copies)?;
        }
        self.shared.update(|segments| {
            segments.retain(|s| !s.is_in_memory());
            segments.extend(saved);
            segments.push(active.segment().clone());
        });
        self.output = Output::File(active);
        self.shared.counters.disk_epochs.add(1);
        self.shared.counters.segments.add(1);
        self.entered(epoch, head.end(), true);
        for file in std::mem::take(&mut self.superseded) {
            self.space.give_back(&*self.disk, file);
        }
        Ok(self.opened(batch))
    }

    /// Seals what earlier lives left, but for one segment: a process that is restarted all the time must not
    /// fill the ring with segments it hardly used.
    pub(super) fn seal_earlier(&mut self) {
        while self.shared.look(|all| all.iter().filter(|s| s.is_unsealed()).count()) > 2 {
            let Some(seal) = self.sealing.next(&self.disk, &self.shared, self.state.committed) else { break };
            seal.run();
            self.sealing.end(seal, &self.disk, &self.shared, &mut self.space);
        }
    }

    fn header_previous(&self) -> (u64, u64) {
        self.previous.unwrap_or((0, self.state.head))
    }

    /// An epoch that was never seen here, and its first batch.
    fn next_epoch(&mut self, start: Start) -> (Epoch, Bytes) {
        let epoch = unseen_epoch(&self.epochs, start);
        self.epochs.insert(epoch.get());
        let bytes = first_batch(epoch, self.state.head, self.previous, start);
        (epoch, bytes)
    }

    fn entered(&mut self, epoch: Epoch, head: u64, durable: bool) {
        let first = self.shared.first().unwrap_or(head);
        self.unflushed = MemoryFrames::default();
        self.flushing = false;
        self.space.settle();
        self.state = JournalState { epoch, first, head, committed: head, durable };
        self.publish();
    }

    fn opened(&self, epoch_start: Bytes) -> Opened {
        Opened {
            state: self.state,
            epoch_start,
            previous: self.previous.and_then(|(epoch, end)| Some((Epoch::from_raw(epoch)?, end))),
            lost: Vec::new(),
            recovered: 0,
            torn: false,
            newer: 0,
            unreadable: 0,
            error: None,
        }
    }

    fn publish(&self) {
        self.shared.state.send_replace(self.state);
    }
}
