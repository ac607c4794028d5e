//! Where one MQTT packet ends and the next begins.

/// Bytes of a connection that come out as whole packets.
#[derive(Debug, Default)]
pub struct Packets(Vec<u8>);

impl Packets {
    /// More bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl Iterator for Packets {
    type Item = Vec<u8>;
    /// The next whole packet, header and all; None until there are more bytes.
    fn next(&mut self) -> Option<Vec<u8>> {
        let (header, body) = header(&self.0)?;
        let end = header + body;
        if self.0.len() < end {
            return None;
        }
        let rest = self.0.split_off(end);
        Some(std::mem::replace(&mut self.0, rest))
    }
}

/// The topic, if the packet is a PUBLISH.
pub fn topic(packet: &[u8]) -> Option<&str> {
    if packet.first()? >> 4 != 3 {
        return None;
    }
    let (start, _) = header(packet)?;
    let length = usize::from(u16::from_be_bytes([*packet.get(start)?, *packet.get(start + 1)?]));
    std::str::from_utf8(packet.get(start + 2..start + 2 + length)?).ok()
}

/// Bytes of the fixed header, and of what follows it: at most four digits to the base 128.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((i + 2, length));
        }
    }
    None
}
