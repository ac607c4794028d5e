//! The bytes of a segment, version 1. Little endian; positions and sizes in bytes.
//!
//! ```text
//! page 0        header, 64 bytes, rest zero              a page is 4 KiB
//! page 1 ..     frames, one after the other; after a flush the next one starts on a fresh page
//! last page     the header again: one rotten page must not cost a segment its name
//!
//! header        magic 8 | version 4 | crc 4 | number 8 | epoch 8 | first 8 | previous epoch 8 | its end 8 | size 8
//! frame         magic 4 | crc 4 | length 4 | count 4 | first 8 | committed 8 | payload (length)
//! ```
//!
//! A sealed segment is a file of exactly its size, with the header at both ends and frames in between, without
//! pages. Each of its frames holds a block of batches (see `block`); `committed` is the segment's end.
//!
//! The header's first 64 bytes keep this meaning in every later version: what a future release wrote can be
//! left alone, and yet its offsets are not given out again. A frame carries its offsets itself, so a payload
//! of a newer wire version is stored, found and served like any other. A frame's checksum also covers the
//! segment's number and epoch and the frame's own position: nothing left over in a recycled file or copied
//! to another place is ever taken for data.

use std::fmt;

use crc32c::crc32c_append;

/// What one write to flash costs at least; a flush never touches a page of an earlier flush.
pub(crate) const PAGE: u64 = 4096;
/// Version of the segment format.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEAD: usize = 32;
/// The largest payload a frame may hold (a batch is at most 64 KiB; a little room for a later codec).
pub(crate) const MAX_FRAME_PAYLOAD: usize = 128 * 1024;
/// First bytes of every frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"\xa7Tbf";

const HEADER_MAGIC: [u8; 8] = *b"tickbjrn";
const SEALED_MAGIC: [u8; 8] = *b"tickseal";
/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 64;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its number; also in the file's name. Grows by one a segment, over all epochs.
    pub(crate) number: u64,
    /// The one epoch whose records it holds.
    pub(crate) epoch: u64,
    /// Offset of its first record.
    pub(crate) first: u64,
    /// The epoch before this one and the offset at which it ended: what lies at or above that end in an older
    /// segment was cut. (0, 0) when there is none.
    pub(crate) previous: (u64, u64),
    /// Size of the file.
    pub(crate) size: u64,
    /// Whether its frames are compressed blocks of batches.
    pub(crate) sealed: bool,
}

/// What the first 64 bytes (or the copy in the last page) are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    /// A segment of ours.
    Ours(Header),
    /// A segment of a release that is newer than this one.
    Newer(Header),
    /// Not a header, or a damaged one.
    Damaged,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(if self.sealed { &SEALED_MAGIC } else { &HEADER_MAGIC });
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let fields = [self.number, self.epoch, self.first, self.previous.0, self.previous.1, self.size];
        for (field, place) in fields.iter().zip(out[16..].chunks_exact_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let crc = header_crc(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> HeaderRead {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else { return HeaderRead::Damaged };
        let sealed = bytes[..8] == SEALED_MAGIC;
        if !sealed && bytes[..8] != HEADER_MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return HeaderRead::Damaged;
        }
        let header = Header {
            number: u64_at(bytes, 16),
            epoch: u64_at(bytes, 24),
            first: u64_at(bytes, 32),
            previous: (u64_at(bytes, 40), u64_at(bytes, 48)),
            size: u64_at(bytes, 56),
            sealed,
        };
        match u32_at(bytes, 8) {
            VERSION => HeaderRead::Ours(header),
            // Version 0 never existed; a valid checksum says that somebody meant it.
            _ => HeaderRead::Newer(header),
        }
    }
}

impl Header {
    /// Between which positions its frames are.
    pub(crate) fn area(&self) -> (u64, u64) {
        let ends = if self.sealed { HEADER_LEN as u64 } else { PAGE };
        (ends, self.size.saturating_sub(ends))
    }

    /// Ties its frames to it.
    pub(crate) fn salt(&self) -> Salt {
        Salt { number: self.number, epoch: self.epoch }
    }
}

fn header_crc(bytes: &[u8; HEADER_LEN]) -> u32 {
    crc32c_append(crc32c_append(0, &bytes[..12]), &bytes[16..])
}

/// A frame's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Bytes of payload.
    pub(crate) len: u32,
    /// Records in it.
    pub(crate) count: u32,
    /// Offset of the first.
    pub(crate) first: u64,
    /// What was committed when it was written.
    pub(crate) committed: u64,
}

impl FrameHead {
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }
}

/// Ties a frame to the one place it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
}

impl Salt {
    fn crc(self, pos: u64, frame: &[u8]) -> u32 {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&self.number.to_le_bytes());
        place[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        place[16..].copy_from_slice(&pos.to_le_bytes());
        crc32c_append(crc32c_append(0, &place), frame)
    }
}

/// Appends the frame to `out`; `pos` is where in the segment it will be written.
pub(crate) fn encode_frame(salt: Salt, pos: u64, head: FrameHead, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert_eq!(head.len as usize, payload.len());
    let start = out.len();
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.len.to_le_bytes());
    out.extend_from_slice(&head.count.to_le_bytes());
    out.extend_from_slice(&head.first.to_le_bytes());
    out.extend_from_slice(&head.committed.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = salt.crc(pos, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// What a few bytes that might be a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameRead {
    /// A frame whose checksum is right.
    Valid(FrameHead),
    /// Could be one: this many bytes are needed to tell.
    Needs(usize),
    /// No frame of this place.
    Not,
}

/// Reads the frame at the start of `bytes`, which were found at `pos`.
pub(crate) fn read_frame(salt: Salt, pos: u64, bytes: &[u8]) -> FrameRead {
    let seen = bytes.len().min(4);
    if bytes[..seen] != FRAME_MAGIC[..seen] {
        return FrameRead::Not;
    }
    let Some(head_bytes) = bytes.first_chunk::<FRAME_HEAD>() else { return FrameRead::Needs(FRAME_HEAD) };
    let head = FrameHead {
        len: u32_at(head_bytes, 8),
        count: u32_at(head_bytes, 12),
        first: u64_at(head_bytes, 16),
        committed: u64_at(head_bytes, 24),
    };
    if head.len as usize > MAX_FRAME_PAYLOAD {
        return FrameRead::Not;
    }
    let total = FRAME_HEAD + head.len as usize;
    let Some(frame) = bytes.get(8..total) else { return FrameRead::Needs(total) };
    if salt.crc(pos, frame) == u32_at(head_bytes, 4) { FrameRead::Valid(head) } else { FrameRead::Not }
}

/// The start of the next page, or `pos` itself when it is one.
pub(crate) fn next_page(pos: u64) -> u64 {
    pos.next_multiple_of(PAGE)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileName {
    /// A segment as it was written.
    Segment(u64),
    /// A segment that was sealed.
    Sealed(u64),
    /// A file of a segment's size that holds nothing.
    Spare(u64),
    /// Not yet complete.
    New(u64),
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (kind, digits) = name.split_once('-')?;
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        // Only as we write it: two names must not mean the same segment.
        let parsed = match kind {
            "segment" => Self::Segment(number),
            "sealed" => Self::Sealed(number),
            "spare" => Self::Spare(number),
            "new" => Self::New(number),
            _ => return None,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(number) => write!(f, "segment-{number:010}"),
            Self::Sealed(number) => write!(f, "sealed-{number:010}"),
            Self::Spare(number) => write!(f, "spare-{number:010}"),
            Self::New(number) => write!(f, "new-{number:010}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt { number: 7, epoch: 99 };

    fn frame(pos: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let head = FrameHead { len: 5, count: 2, first: 10, committed: 8 };
        encode_frame(SALT, pos, head, b"hello", &mut out);
        out
    }

    #[test]
    fn header_round_trip_and_every_flipped_bit_is_noticed() {
        let header = Header { number: 3, epoch: 4, first: 5, previous: (1, 2), size: 1 << 22, sealed: false };
        let bytes = header.encode();
        assert_eq!(Header::read(&bytes), HeaderRead::Ours(header));
        for bit in 0..HEADER_LEN * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&damaged), HeaderRead::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_header_still_tells_its_offsets() {
        let header = Header { number: 3, epoch: 4, first: 5, previous: (1, 2), size: 6, sealed: true };
        let mut bytes = header.encode();
        bytes[8] = 2;
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::read(&bytes), HeaderRead::Newer(header));
    }

    #[test]
    fn a_frame_is_valid_only_where_it_was_written() {
        let bytes = frame(4096);
        assert!(matches!(read_frame(SALT, 4096, &bytes), FrameRead::Valid(h) if h.end() == 12));
        assert_eq!(read_frame(SALT, 8192, &bytes), FrameRead::Not);
        assert_eq!(read_frame(Salt { number: 8, ..SALT }, 4096, &bytes), FrameRead::Not);
        assert_eq!(read_frame(Salt { epoch: 98, ..SALT }, 4096, &bytes), FrameRead::Not);
    }

    #[test]
    fn short_frames_ask_for_more() {
        let bytes = frame(0);
        for n in 0..bytes.len() {
            assert!(matches!(read_frame(SALT, 0, &bytes[..n]), FrameRead::Needs(m) if m > n), "{n}");
        }
    }

    #[test]
    fn names() {
        for name in [FileName::Segment(12), FileName::Sealed(u64::MAX), FileName::Spare(0), FileName::New(1)]
        {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for name in ["segment-+1", "segment-", "segment-12", "x-0000000001", "segment", "segment-00000000001"]
        {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
