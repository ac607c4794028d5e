//! MQTT as a broker sees it: what clients send is decoded, what they are sent is encoded; 3.1, 3.1.1 and 5.
//!
//! Our own, because no crate at hand does this side of all three: rumqttd's codec keeps a PUBLISH's QoS and packet id to
//! itself, does not know 3.1, and panics when an MQTT 5 client sends it an UNSUBACK; mqtt-protocol-core drives sessions
//! with packet ids and stores that a QoS 0 broker has no use for. Here every length is checked before it is used, nothing is allocated
//! beyond the bytes received, and what cannot be read is an error that says why.

mod decode;
mod encode;
mod frame;

pub(crate) use decode::{Connect, Filter, Packet, Publish, RetainHandling, decode, decode_connect};
pub(crate) use encode::{connack, disconnect, ping_response, publish, publish_ack, suback, unsuback};
pub(crate) use frame::next_frame;

/// The protocol's version, from CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// MQTT 3.1, "MQIsdp".
    V31,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// What was wrong with the bytes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("protocol level {0}, and we speak 3, 4 and 5")]
    Version(u8),
    #[error("a packet of {0} bytes, more than allowed")]
    TooLarge(usize),
    #[error("malformed packet: {0}")]
    Packet(&'static str),
}

#[cfg(test)]
mod tests;
