//! What clients are sent.

use super::Version;
use crate::auth::Refusal;
use crate::outbox::Message;
use bytes::{BufMut, Bytes, BytesMut};

/// CONNACK. Never a session present; `assigned`: the client id that we gave to an MQTT 5 client without one.
pub(crate) fn connack(
    version: Version,
    outcome: Result<(), Refusal>,
    max_packet: usize,
    assigned: Option<&str>,
) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(0);
    if version < Version::V5 {
        body.put_u8(match outcome {
            Ok(()) => 0,
            Err(Refusal::Version) => 1,
            Err(Refusal::ClientId) => 2,
            Err(Refusal::Unavailable) => 3,
            Err(Refusal::BadCredentials) => 4,
            Err(Refusal::NotAuthorized) => 5,
        });
        return packet(0x20, &body);
    }
    body.put_u8(match outcome {
        Ok(()) => 0,
        Err(Refusal::Version) => 0x84,
        Err(Refusal::ClientId) => 0x85,
        Err(Refusal::Unavailable) => 0x89,
        Err(Refusal::BadCredentials) => 0x86,
        Err(Refusal::NotAuthorized) => 0x87,
    });
    let mut properties = BytesMut::new();
    if outcome.is_ok() {
        // Maximum QoS 0; no subscription identifiers, no shared subscriptions.
        properties.put_slice(&[0x24, 0, 0x29, 0, 0x2a, 0, 0x27]);
        properties.put_u32(u32::try_from(max_packet).unwrap_or(u32::MAX));
        if let Some(id) = assigned {
            properties.put_u8(0x12);
            properties.put_u16(id.len() as u16);
            properties.put_slice(id.as_bytes());
        }
    }
    put_length(&mut body, properties.len());
    body.put_slice(&properties);
    packet(0x20, &body)
}

/// Appends a PUBLISH of QoS 0.
pub(crate) fn publish(version: Version, message: &Message, out: &mut BytesMut) {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    out.put_u8(0x30 | u8::from(message.retained));
    put_length(out, 2 + message.topic.len() + properties.len() + message.payload.len());
    out.put_u16(message.topic.len() as u16);
    out.put_slice(&message.topic);
    out.put_slice(properties);
    out.put_slice(&message.payload);
}

/// SUBACK: each filter granted at QoS 0, or refused.
pub(crate) fn suback(version: Version, id: u16, granted: &[bool]) -> Bytes {
    let codes = granted.iter().map(|granted| if *granted { 0 } else { 0x80 });
    packet(0x90, &acknowledgement(version, id, codes))
}

/// UNSUBACK; `existed`: whether there was such a subscription (MQTT 5 wants to know).
pub(crate) fn unsuback(version: Version, id: u16, existed: &[bool]) -> Bytes {
    let codes = existed.iter().map(|existed| if *existed { 0 } else { 0x11 });
    packet(0xb0, &acknowledgement(version, id, codes.filter(|_| version == Version::V5)))
}

fn acknowledgement(version: Version, id: u16, codes: impl Iterator<Item = u8>) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u16(id);
    if version == Version::V5 {
        body.put_u8(0);
    }
    body.extend(codes);
    body
}

/// PUBACK.
pub(crate) fn publish_ack(id: u16) -> Bytes {
    packet(0x40, &id.to_be_bytes())
}

/// PINGRESP.
pub(crate) fn ping_response() -> Bytes {
    Bytes::from_static(&[0xd0, 0])
}

/// DISCONNECT with a reason; only MQTT 5 has it from broker to client.
pub(crate) fn disconnect(version: Version, reason: u8) -> Option<Bytes> {
    (version == Version::V5).then(|| packet(0xe0, &[reason, 0]))
}

fn packet(first: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(first);
    put_length(&mut out, body.len());
    out.put_slice(body);
    out.freeze()
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let digit = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            return out.put_u8(digit);
        }
        out.put_u8(digit | 0x80);
    }
}
