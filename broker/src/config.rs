//! Where the broker listens, and the bounds of everything it keeps.

use crate::error::Error;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Configuration of the broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where taps connect: `mosquitto_sub`, Home Assistant, Node-RED; read-only, no password.
    pub taps: SocketAddr,
    /// Where services connect.
    pub services: SocketAddr,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Config { taps: loopback(1883), services: loopback(8883), limits: Limits::default() }
    }
}

/// Bounds. The defaults keep a broker with a handful of clients within a few MiB.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connected taps.
    pub taps: usize,
    /// Connected services.
    pub services: usize,
    /// Subscriptions of one client.
    pub subscriptions: usize,
    /// Messages waiting for one tap; beyond, its oldest go.
    pub tap_queue_messages: usize,
    /// Bytes waiting for one tap.
    pub tap_queue_bytes: usize,
    /// Messages waiting for one service; beyond, its oldest go (and it fetches them from the journal).
    pub service_queue_messages: usize,
    /// Bytes waiting for one service.
    pub service_queue_bytes: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages.
    pub retained_bytes: usize,
    /// Distinct topics ever published to; the router remembers each for ever (about 0.5 KB).
    pub topics: usize,
    /// Bytes of one of the router's segments.
    pub segment_bytes: usize,
    /// Segments in the router's ring. Resident: `segment_bytes · segments · (1 + 245 / (topic + payload))`.
    pub segments: usize,
    /// From the accepted connection to the complete CONNECT, at most.
    #[serde(with = "tickberry_service::config::duration")]
    pub connect_timeout: Duration,
    /// A client that takes nothing of what waits for it for so long is disconnected.
    #[serde(with = "tickberry_service::config::duration")]
    pub stall_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            taps: 64,
            services: 32,
            subscriptions: 64,
            tap_queue_messages: 2_048,
            tap_queue_bytes: 1 << 20,
            service_queue_messages: 8_192,
            service_queue_bytes: 4 << 20,
            retained_messages: 1_024,
            retained_bytes: 1 << 20,
            topics: 4_096,
            segment_bytes: 256 << 10,
            segments: 4,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// The router panics in its own thread over what is refused here.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, value, least) in [
            ("segment_bytes", self.segment_bytes, 1_024),
            ("segments", self.segments, 1),
            ("taps", self.taps, 1),
            ("services", self.services, 1),
            ("subscriptions", self.subscriptions, 1),
            ("tap_queue_messages", self.tap_queue_messages, 1),
            ("tap_queue_bytes", self.tap_queue_bytes, 1_024),
            ("service_queue_messages", self.service_queue_messages, 1),
            ("service_queue_bytes", self.service_queue_bytes, 1_024),
            ("topics", self.topics, 1),
        ] {
            if value < least {
                return Err(Error::Limit { name, value, least });
            }
        }
        Ok(())
    }
}
