//! The body of the journal's answer, cut into batches however it arrives. Pure.

use bytes::{Buf, Bytes, BytesMut};
use tickberry_wire::MAX_PAYLOAD;

/// Cuts a body into the batches it consists of: a length of four bytes, little end first, and so many bytes.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// More of the body.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next batch that has come whole.
    ///
    /// # Errors
    /// When a length is beyond what a batch may have.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, String> {
        let Some(length) = self.buffer.first_chunk().map(|b| u32::from_le_bytes(*b) as usize) else {
            return Ok(None);
        };
        if length > MAX_PAYLOAD {
            return Err(format!("a batch of {length} bytes; {MAX_PAYLOAD} is the limit"));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let frames: [&[u8]; 4] = [b"a", b"", b"ccc", &[7; 300]];
        let mut body = Vec::new();
        for frame in frames {
            body.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            body.extend_from_slice(frame);
        }
        for size in [1, 2, 3, 7, 1000] {
            let (mut cutter, mut found) = (Frames::default(), Vec::new());
            for chunk in body.chunks(size) {
                cutter.push(chunk);
                while let Some(frame) = cutter.next_frame().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames);
            assert!(cutter.is_empty());
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_an_error_before_it_is_a_buffer() {
        let mut cutter = Frames::default();
        cutter.push(&u32::MAX.to_le_bytes());
        assert!(cutter.next_frame().unwrap_err().contains("limit"));
    }
}
