//! Packets out of a stream of bytes.

use super::Malformed;
use bytes::{Buf, Bytes, BytesMut};

/// One whole packet, not yet looked into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The packet's type, 1 to 15.
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) body: Bytes,
}

/// Takes the next packet off the buffer; `None`: it is not complete yet. One that announces more than `max` bytes is
/// refused from its header alone, so a buffer never grows beyond that.
pub(crate) fn next_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, Malformed> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    // From the first byte alone, so that another protocol (HTTP, say) is not kept waiting for its end. MQTT 3.1 let
    // clients set bits of 8 and 10, which the decoder looks at.
    match (first >> 4, first & 0x0f) {
        (3 | 8 | 10, _) | (1 | 4 | 5 | 7 | 12 | 14, 0) | (6, 2) => {}
        _ => return Err(Malformed::Packet("a type or flags that no client may send")),
    }
    let Some((length, digits)) = variable_length(&buffer[1..])? else { return Ok(None) };
    if length > max {
        return Err(Malformed::TooLarge(length));
    }
    if buffer.len() < 1 + digits + length {
        return Ok(None);
    }
    buffer.advance(1 + digits);
    Ok(Some(Frame { kind: first >> 4, flags: first & 0x0f, body: buffer.split_to(length).freeze() }))
}

/// A number of one to four bytes, seven bits each: (value, bytes read); `None`: not complete.
pub(super) fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Malformed::Packet("a length of more than four bytes")) } else { Ok(None) }
}
