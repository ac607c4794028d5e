//! Finding the frames of one segment, whatever happened to its bytes.

use std::sync::Arc;

use super::disk::DiskFile;
use super::format::{
    FRAME_HEAD, FRAME_MAGIC, FrameHead, FrameRead, HEADER_LEN, Header, HeaderRead, MAX_FRAME_PAYLOAD, PAGE,
    Salt, next_page, read_frame,
};

/// Bytes read at a time; holds the largest frame.
const WINDOW: usize = 256 * 1024;
const _: () = assert!(WINDOW > FRAME_HEAD + MAX_FRAME_PAYLOAD);
/// A place for the reader to start is remembered each so many bytes.
pub(crate) const SPARSE_BYTES: u64 = 64 * 1024;

/// A valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it starts in the segment.
    pub(crate) pos: u64,
    /// Its fields.
    pub(crate) head: FrameHead,
}

impl Frame {
    pub(crate) fn end_pos(&self) -> u64 {
        self.pos + FRAME_HEAD as u64 + u64::from(self.head.len)
    }
}

/// Walks the frames of a segment in order and steps over what is not one.
pub(crate) struct Frames {
    file: Arc<dyn DiskFile>,
    salt: Salt,
    pos: u64,
    end: u64,
    window: Vec<u8>,
    window_pos: u64,
    /// Pages that could not be read (and were taken as zeros).
    pub(crate) read_errors: u64,
}

impl Frames {
    /// Frames of `file` between the positions `pos` and `end`.
    pub(crate) fn new(file: Arc<dyn DiskFile>, salt: Salt, pos: u64, end: u64) -> Self {
        Self { file, salt, pos, end, window: Vec::new(), window_pos: 0, read_errors: 0 }
    }

    /// The next valid frame that holds nothing below `expected`, the offset after the last one. The caller sees
    /// by the frame's own offset whether something is missing before it.
    pub(crate) fn next(&mut self, expected: u64) -> Option<Frame> {
        loop {
            let frame = self.adjacent(expected).or_else(|| self.search(expected))?;
            self.pos = frame.end_pos();
            // A frame below what was already seen is not of this history.
            if frame.head.first >= expected {
                return Some(frame);
            }
        }
    }

    /// The payload of a frame that `next` has just given.
    pub(crate) fn payload(&mut self, frame: &Frame) -> &[u8] {
        let len = frame.head.len as usize;
        self.bytes(frame.pos + FRAME_HEAD as u64, len)
    }

    /// Where frames are when nothing is wrong: right here, or on the next page after a flush.
    fn adjacent(&mut self, expected: u64) -> Option<Frame> {
        if let Some(head) = self.try_at(self.pos) {
            return Some(Frame { pos: self.pos, head });
        }
        let page = next_page(self.pos);
        match self.try_at(page) {
            Some(head) if head.first == expected => Some(Frame { pos: page, head }),
            _ => None,
        }
    }

    /// Byte by byte: a damaged length must not hide the frames after it.
    fn search(&mut self, expected: u64) -> Option<Frame> {
        let mut pos = self.pos;
        while pos < self.end {
            let to_page = (next_page(pos + 1) - pos).min(self.end - pos) as usize;
            let bytes = self.bytes(pos, to_page);
            if bytes.is_empty() {
                return None;
            }
            let to_page = bytes.len();
            if bytes == &ZEROS[..to_page] {
                pos += to_page as u64;
                continue;
            }
            let candidates: Vec<usize> =
                (0..to_page).filter(|&i| bytes[i] == FRAME_MAGIC[0] && matches_magic(&bytes[i..])).collect();
            for i in candidates {
                if let Some(head) = self.try_at(pos + i as u64)
                    && head.first >= expected
                {
                    return Some(Frame { pos: pos + i as u64, head });
                }
            }
            pos += to_page as u64;
        }
        None
    }

    fn try_at(&mut self, pos: u64) -> Option<FrameHead> {
        let mut want = FRAME_HEAD;
        loop {
            let salt = self.salt;
            let bytes = self.bytes(pos, want);
            match read_frame(salt, pos, bytes) {
                FrameRead::Valid(head) => return Some(head),
                FrameRead::Needs(n) if n > want && bytes.len() == want => want = n,
                _ => return None,
            }
        }
    }

    /// Up to `len` bytes at `pos`; fewer where the frames' area ends.
    fn bytes(&mut self, pos: u64, len: usize) -> &[u8] {
        let len = (len as u64).min(self.end.saturating_sub(pos)) as usize;
        let window_end = self.window_pos + self.window.len() as u64;
        if pos < self.window_pos || pos + len as u64 > window_end {
            self.fill(pos);
        }
        let at = (pos - self.window_pos) as usize;
        let end = (at + len).min(self.window.len());
        self.window.get(at..end).unwrap_or_default()
    }

    fn fill(&mut self, pos: u64) {
        let len = (self.end.saturating_sub(pos)).min(WINDOW as u64) as usize;
        self.window.resize(len, 0);
        self.window_pos = pos;
        if let Ok(n) = self.file.read_at(&mut self.window, pos) {
            self.window.truncate(n);
            return;
        }
        // One unreadable sector must not hide its neighbours.
        let mut at = 0;
        while at < len {
            let here = pos + at as u64;
            let n = ((next_page(here + 1) - here) as usize).min(len - at);
            let page = &mut self.window[at..at + n];
            match self.file.read_at(page, here) {
                Ok(got) => page[got..].fill(0),
                Err(_) => {
                    page.fill(0);
                    self.read_errors += 1;
                }
            }
            at += n;
        }
    }
}

static ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// Whether a frame may start here; the rest of the magic may lie on the next page.
fn matches_magic(bytes: &[u8]) -> bool {
    let n = bytes.len().min(FRAME_MAGIC.len());
    bytes[..n] == FRAME_MAGIC[..n]
}

/// Frames without a gap between their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First offset.
    pub(crate) first: u64,
    /// Offset after the last.
    pub(crate) end: u64,
}

/// All that a segment's bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Its header.
    pub(crate) header: Header,
    /// Its frames, by offset, without overlap.
    pub(crate) runs: Vec<Run>,
    /// Highest `committed` in any of them.
    pub(crate) claimed: u64,
    /// (offset, position) to start reading from.
    pub(crate) sparse: Vec<(u64, u64)>,
    /// Between which positions the frames are.
    pub(crate) area: (u64, u64),
    /// Pages that could not be read.
    pub(crate) read_errors: u64,
}

/// What a file that is named as a segment turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A segment of ours, damaged or not.
    Segment(Contents),
    /// Written by a newer release.
    Newer(Header),
    /// Renamed to be used again, but never written under this name.
    Leftover,
    /// Neither header can be read.
    Damaged,
}

/// Reads a whole segment.
pub(crate) fn scan(number: u64, file: &Arc<dyn DiskFile>) -> Scanned {
    let size = file.size().unwrap_or(0);
    // Neither header was ever written: a new file that met a power cut.
    let mut blank = true;
    let mut leftover = false;
    for pos in [0, size.saturating_sub(PAGE), size.saturating_sub(HEADER_LEN as u64)] {
        let mut page = [0; HEADER_LEN];
        let Ok(n) = file.read_at(&mut page, pos) else {
            blank = false;
            continue;
        };
        blank &= page == [0; HEADER_LEN];
        match Header::read(&page[..n]) {
            HeaderRead::Ours(header) if header.number == number => {
                return Scanned::Segment(contents(header, file, size));
            }
            HeaderRead::Newer(header) if header.number == number => return Scanned::Newer(header),
            HeaderRead::Ours(_) | HeaderRead::Newer(_) => leftover = true,
            HeaderRead::Damaged => {}
        }
    }
    if leftover || blank { Scanned::Leftover } else { Scanned::Damaged }
}

fn contents(header: Header, file: &Arc<dyn DiskFile>, size: u64) -> Contents {
    let (start, end) = header.area();
    let area = (start, end.min(size));
    let mut frames = Frames::new(file.clone(), header.salt(), area.0, area.1);
    let mut found =
        Contents { header, runs: Vec::new(), claimed: 0, sparse: Vec::new(), area, read_errors: 0 };
    let mut expected = header.first;
    while let Some(frame) = frames.next(expected) {
        let (first, end) = (frame.head.first, frame.head.end());
        match found.runs.last_mut() {
            Some(run) if run.end == first => run.end = end,
            _ => {
                found.runs.push(Run { first, end });
                found.sparse.push((first, frame.pos));
            }
        }
        if found.sparse.last().is_none_or(|&(_, pos)| frame.pos - pos >= SPARSE_BYTES) {
            found.sparse.push((first, frame.pos));
        }
        found.claimed = found.claimed.max(frame.head.committed);
        expected = end;
    }
    found.read_errors = frames.read_errors;
    found
}
