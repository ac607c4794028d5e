//! Frames in memory, oldest dropped first: what the journal keeps while the disk cannot be written.

use std::collections::VecDeque;

use bytes::Bytes;

use super::format::FrameHead;

/// What a frame costs beside its payload.
const OVERHEAD: usize = 64;

/// A bounded run of frames.
#[derive(Debug, Default)]
pub(crate) struct MemoryFrames {
    frames: VecDeque<(FrameHead, Bytes)>,
    bytes: usize,
}

impl MemoryFrames {
    pub(crate) fn push(&mut self, head: FrameHead, payload: Bytes) {
        self.bytes += payload.len() + OVERHEAD;
        self.frames.push_back((head, payload));
    }

    /// Drops the oldest frame; returns how many records and bytes that were.
    pub(crate) fn drop_oldest(&mut self) -> Option<(u64, usize)> {
        let (head, payload) = self.frames.pop_front()?;
        let bytes = payload.len() + OVERHEAD;
        self.bytes -= bytes;
        Some((u64::from(head.count), bytes))
    }

    /// Drops every frame that ends at or below `offset`.
    pub(crate) fn drop_below(&mut self, offset: u64) {
        while self.frames.front().is_some_and(|(head, _)| head.end() <= offset) {
            self.drop_oldest();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first frame that ends above `offset`.
    pub(crate) fn at(&self, offset: u64) -> Option<(FrameHead, Bytes)> {
        let i = self.frames.partition_point(|(head, _)| head.end() <= offset);
        self.frames.get(i).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(FrameHead, Bytes)> {
        self.frames.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
