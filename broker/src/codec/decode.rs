//! What clients may send.

use super::frame::{Frame, variable_length};
use super::{Malformed, Version};
use bytes::{Buf, Bytes};

/// A packet of a client that is connected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish(Publish),
    Subscribe {
        id: u16,
        filters: Vec<Filter>,
    },
    Unsubscribe {
        id: u16,
        filters: Vec<String>,
    },
    Ping,
    /// `will`: publish it all the same (MQTT 5).
    Disconnect {
        will: bool,
    },
    /// An acknowledgement of something that we never send.
    Unexpected(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) keep_alive: u16,
    pub(crate) client_id: String,
    pub(crate) will: Option<Will>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
    /// The largest packet that the client wants to get.
    pub(crate) max_packet: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    pub(crate) qos: u8,
    /// 0 with QoS 0.
    pub(crate) id: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) path: String,
    pub(crate) retained: RetainHandling,
}

/// Whether a subscription wants what is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetainHandling {
    Always,
    IfNew,
    Never,
}

/// Decodes the packet that must come first.
pub(crate) fn decode_connect(frame: Frame) -> Result<Connect, Malformed> {
    if frame.kind != 1 {
        return Err(Malformed::Packet("the first packet is no CONNECT"));
    }
    let mut body = Reader(frame.body);
    let name = body.bytes()?;
    let level = body.byte()?;
    let version = match (&name[..], level) {
        (b"MQIsdp", 3) => Version::V31,
        (b"MQTT", 4) => Version::V311,
        (b"MQTT", 5) => Version::V5,
        (b"MQTT" | b"MQIsdp", other) => return Err(Malformed::Version(other)),
        _ => return Err(Malformed::Packet("not MQTT")),
    };
    let flags = body.byte()?;
    if flags & 1 != 0 || (flags & 0b100 == 0 && flags & 0b11_1000 != 0) || flags & 0b1_1000 == 0b1_1000 {
        return Err(Malformed::Packet("CONNECT flags"));
    }
    let keep_alive = body.short()?;
    let properties = body.properties(version)?;
    let client_id = body.text()?;
    let will = if flags & 0b100 != 0 {
        body.properties(version)?;
        Some(Will { topic: body.bytes()?, payload: body.bytes()?, retain: flags & 0b10_0000 != 0 })
    } else {
        None
    };
    let username = if flags & 0x80 != 0 { Some(body.text()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(body.bytes()?) } else { None };
    body.end()?;
    Ok(Connect {
        version,
        keep_alive,
        client_id,
        will,
        username,
        password,
        max_packet: properties.max_packet,
    })
}

/// Decodes a packet that may come later.
pub(crate) fn decode(frame: Frame, version: Version) -> Result<Packet, Malformed> {
    let mut body = Reader(frame.body);
    let usual = version == Version::V31 || frame.flags == 2;
    match frame.kind {
        3 => publish(frame.flags, body, version).map(Packet::Publish),
        8 if usual => {
            let id = body.packet_id()?;
            body.properties(version)?;
            let filters = body.list(|body| {
                let (path, options) = (body.text()?, body.byte()?);
                Ok(Filter { path, retained: retain_handling(options, version)? })
            })?;
            Ok(Packet::Subscribe { id, filters })
        }
        10 if usual => {
            let id = body.packet_id()?;
            body.properties(version)?;
            Ok(Packet::Unsubscribe { id, filters: body.list(Reader::text)? })
        }
        12 => body.end().map(|()| Packet::Ping),
        14 => {
            let reason = if version == Version::V5 && !body.0.is_empty() { body.byte()? } else { 0 };
            Ok(Packet::Disconnect { will: reason == 4 })
        }
        1 => Err(Malformed::Packet("a second CONNECT")),
        4 => Ok(Packet::Unexpected("PUBACK")),
        5 => Ok(Packet::Unexpected("PUBREC")),
        6 => Ok(Packet::Unexpected("PUBREL")),
        7 => Ok(Packet::Unexpected("PUBCOMP")),
        _ => Err(Malformed::Packet("a type or flags that no client may send")),
    }
}

fn publish(flags: u8, mut body: Reader, version: Version) -> Result<Publish, Malformed> {
    let qos = (flags >> 1) & 3;
    if qos == 3 {
        return Err(Malformed::Packet("QoS 3"));
    }
    let topic = body.bytes()?;
    let id = if qos > 0 { body.packet_id()? } else { 0 };
    if body.properties(version)?.topic_alias {
        return Err(Malformed::Packet("a topic alias, and we offered none"));
    }
    Ok(Publish { topic, payload: body.0, retain: flags & 1 != 0, qos, id })
}

fn retain_handling(options: u8, version: Version) -> Result<RetainHandling, Malformed> {
    let handling = if version == Version::V5 { (options >> 4) & 3 } else { 0 };
    let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
    if options & 3 == 3 || options & reserved != 0 {
        return Err(Malformed::Packet("subscription options"));
    }
    match handling {
        0 => Ok(RetainHandling::Always),
        1 => Ok(RetainHandling::IfNew),
        2 => Ok(RetainHandling::Never),
        _ => Err(Malformed::Packet("retain handling 3")),
    }
}

/// The few of MQTT 5's properties that mean something here.
struct Properties {
    max_packet: usize,
    topic_alias: bool,
}

/// Reads a packet's body; each step checks that the bytes are there.
struct Reader(Bytes);

impl Reader {
    fn byte(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Packet("too short"))
    }

    fn short(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| Malformed::Packet("too short"))
    }

    fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.short()? {
            0 => Err(Malformed::Packet("packet id 0")),
            id => Ok(id),
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() {
            return Err(Malformed::Packet("a field longer than its packet"));
        }
        Ok(self.0.split_to(length))
    }

    fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = self.short()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed::Packet("text that is no UTF-8"))?;
        if text.contains('\0') {
            return Err(Malformed::Packet("a NUL in a text"));
        }
        Ok(text.to_owned())
    }

    /// One or more items up to the end.
    fn list<T>(&mut self, item: impl Fn(&mut Reader) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            items.push(item(self)?);
        }
        if items.is_empty() { Err(Malformed::Packet("an empty list")) } else { Ok(items) }
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Packet("bytes left over")) }
    }

    fn properties(&mut self, version: Version) -> Result<Properties, Malformed> {
        let mut found = Properties { max_packet: usize::MAX, topic_alias: false };
        if version != Version::V5 {
            return Ok(found);
        }
        let mut rest = Reader({
            let length = self.number()?;
            self.take(length)?
        });
        while !rest.0.is_empty() {
            match rest.byte()? {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => drop(rest.take(1)?),
                0x23 => {
                    rest.short()?;
                    found.topic_alias = true;
                }
                0x13 | 0x21 | 0x22 => drop(rest.take(2)?),
                0x27 => {
                    let size = rest.take(4)?.get_u32();
                    found.max_packet = usize::try_from(size).unwrap_or(usize::MAX);
                }
                0x02 | 0x11 | 0x18 => drop(rest.take(4)?),
                0x0b => drop(rest.number()?),
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => drop(rest.bytes()?),
                0x26 => drop((rest.bytes()?, rest.bytes()?)),
                _ => return Err(Malformed::Packet("a property that does not exist")),
            }
        }
        Ok(found)
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        let (value, digits) = variable_length(&self.0)?.ok_or(Malformed::Packet("too short"))?;
        self.0.advance(digits);
        Ok(value)
    }
}
