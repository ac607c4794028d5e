//! rumqttd's router, through three links that live as long as it does.
//!
//! Why nothing else may touch it (all found by reading and by killing it): the router panics when told `Ready` for a
//! connection that is gone, when a disconnected connection's number is taken by the next one, when a topic begins with a
//! multi-byte character, when the last member of a shared group leaves. Links that are made once, never disconnected,
//! either only publish (ASCII topics) or only subscribe (one fixed filter, once) give it no occasion.

use crate::config::Limits;
use crate::error::Error;
use crate::outbox::Message;
use crate::topic::ROOT;
use bytes::{BufMut, Bytes, BytesMut};
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Packet, PingReq, Publish};
use rumqttd::{Notification, RouterConfig, Strategy};
use std::collections::HashSet;
use tokio::sync::Mutex;

/// The way in, and the way out to each of the two hubs.
pub(crate) struct Router {
    pub(crate) ingress: Ingress,
    pub(crate) services: Feed,
    pub(crate) taps: Feed,
}

impl Router {
    /// Starts the router's thread and makes the links. The feeds are subscribed when this returns.
    pub(crate) async fn start(limits: &Limits) -> Result<Router, Error> {
        let config = RouterConfig {
            max_connections: 8,
            max_outgoing_packet_count: 64,
            max_segment_size: limits.segment_bytes,
            max_segment_count: limits.segments,
            custom_segment: None,
            initialized_filters: None,
            shared_subscriptions_strategy: Strategy::RoundRobin,
        };
        let router = rumqttd::Router::new(0, config).spawn();
        let link = |name| LinkBuilder::new(name, router.clone()).build().map_err(|_| Error::RouterDied);
        let (tx, rx, _) = link("ingress")?;
        let link_in = Link { tx, rx, asked: 0, answered: 0, topics: HashSet::new() };
        let ingress = Ingress { link: Mutex::new(link_in), max_topics: limits.topics };
        let (tx, rx, _) = link("services")?;
        let services = Feed::open(tx, rx).await?;
        let (tx, rx, _) = link("taps")?;
        let taps = Feed::open(tx, rx).await?;
        Ok(Router { ingress, services, taps })
    }
}

/// A message on its way in, copied out of its connection's read buffer so that it keeps nothing else alive.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) topic: Bytes,
    envelope: Bytes,
}

impl Incoming {
    /// The router clears the retain flag and takes an empty payload for a command; so a byte of our own goes before it.
    pub(crate) fn new(topic: &[u8], payload: &[u8], retain: bool) -> Incoming {
        let mut envelope = BytesMut::with_capacity(payload.len() + 1);
        envelope.put_u8(u8::from(retain));
        envelope.put_slice(payload);
        Incoming { topic: Bytes::copy_from_slice(topic), envelope: envelope.freeze() }
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.envelope.len() - 1
    }
}

/// The way in. One batch at a time: the router confirms it before the next one goes, so its input queue is bounded and
/// publishers are slowed down to what the router takes.
pub(crate) struct Ingress {
    link: Mutex<Link>,
    max_topics: usize,
}

struct Link {
    tx: LinkTx,
    rx: LinkRx,
    asked: u64,
    answered: u64,
    /// Topics the router knows already. It never forgets one, so their number must be bounded.
    topics: HashSet<Bytes>,
}

impl Ingress {
    /// Hands a batch to the router; returns how many were dropped because their topic is one too many. When it is
    /// cancelled the batch is in, or nothing of it.
    pub(crate) async fn publish(&self, batch: impl IntoIterator<Item = Incoming>) -> Result<u64, Error> {
        let mut link = self.link.lock().await;
        let mut dropped = 0;
        for message in batch {
            let known = link.topics.get(&message.topic).cloned();
            let topic = match known {
                Some(topic) => topic,
                None if link.topics.len() < self.max_topics => {
                    link.topics.insert(message.topic.clone());
                    message.topic
                }
                None => {
                    dropped += 1;
                    continue;
                }
            };
            link.tx.buffer().push_back(Packet::Publish(Publish::new(topic, message.envelope, false), None));
        }
        link.asked += 1;
        link.tx.send(Packet::PingReq(PingReq)).await.map_err(|_| Error::RouterDied)?;
        // Counted, because a cancelled predecessor leaves its answer behind.
        while link.answered < link.asked {
            if let Some(Notification::DeviceAck(_)) = link.rx.next().await.map_err(|_| Error::RouterDied)? {
                link.answered += 1;
            }
        }
        Ok(dropped)
    }
}

/// The way out: everything below the root, in the order it came in.
pub(crate) struct Feed {
    _tx: LinkTx,
    rx: LinkRx,
    next_offset: Option<u64>,
}

/// A message from the router.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) message: Message,
    pub(crate) retain: bool,
    /// So many before it were overwritten in the ring before we read them.
    pub(crate) lost: u64,
}

impl Feed {
    async fn open(mut tx: LinkTx, mut rx: LinkRx) -> Result<Feed, Error> {
        tx.subscribe(format!("{ROOT}/#")).map_err(|_| Error::RouterDied)?;
        while !matches!(rx.next().await.map_err(|_| Error::RouterDied)?, Some(Notification::DeviceAck(_))) {}
        Ok(Feed { _tx: tx, rx, next_offset: None })
    }

    /// The next message. Not cancel-safe: a `Ready` that was not sent is a link that stands still.
    pub(crate) async fn next(&mut self) -> Result<Fed, Error> {
        loop {
            match self.rx.next().await.map_err(|_| Error::RouterDied)? {
                Some(Notification::Forward(forward)) => {
                    let offset = forward.cursor.map(|(_, offset)| offset);
                    let expected = self.next_offset.or(offset);
                    let lost = offset.zip(expected).map_or(0, |(got, due)| got.saturating_sub(due));
                    self.next_offset = offset.map(|offset| offset + 1).or(self.next_offset);
                    let mut payload = forward.publish.payload;
                    let retain = payload.first() == Some(&1);
                    let payload = if payload.is_empty() { payload } else { payload.split_off(1) };
                    let message = Message { topic: forward.publish.topic, payload, retained: false };
                    return Ok(Fed { message, retain, lost });
                }
                // The router pauses a link after 200 unread messages, for ever unless told to go on.
                Some(Notification::Unschedule) => self.rx.wake().await.map_err(|_| Error::RouterDied)?,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn start(segment_bytes: usize, segments: usize) -> Router {
        Router::start(&Limits { segment_bytes, segments, ..Limits::default() }).await.unwrap()
    }

    fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Incoming> {
        numbers.map(|n| Incoming::new(b"tickberry/v1/x", &n.to_be_bytes(), n % 2 == 0))
    }

    #[tokio::test]
    async fn messages_come_out_in_order_with_their_retain_flag() {
        let mut router = start(256 << 10, 4).await;
        for first in [0, 1_000, 2_000] {
            assert_eq!(router.ingress.publish(numbered(first..first + 1_000)).await.unwrap(), 0);
            for n in first..first + 1_000 {
                for feed in [&mut router.services, &mut router.taps] {
                    let fed = feed.next().await.unwrap();
                    assert_eq!(
                        (&fed.message.payload[..], fed.retain, fed.lost),
                        (&n.to_be_bytes()[..], n % 2 == 0, 0)
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn what_the_ring_overwrote_before_it_was_read_is_counted_exactly() {
        let mut router = start(1_024, 2).await;
        for first in (0..10_000).step_by(10) {
            router.ingress.publish(numbered(first..first + 10)).await.unwrap();
        }
        let (mut read, mut lost) = (0u64, 0);
        while read + lost < 10_000 {
            let fed = timeout(Duration::from_secs(10), router.services.next()).await.unwrap().unwrap();
            let number = u32::from_be_bytes(fed.message.payload[..].try_into().unwrap());
            lost += fed.lost;
            assert_eq!(u64::from(number), read + lost, "the count of the lost says which this one is");
            read += 1;
        }
        assert!(lost > 5_000, "{lost}");
    }

    #[tokio::test]
    async fn a_dead_router_is_noticed_on_all_sides() {
        let mut router = start(256 << 10, 4).await;
        // K2, past all checks: only so can it be killed.
        let poison = Incoming::new("\u{e9}/x".as_bytes(), b"x", false);
        assert!(matches!(router.ingress.publish([poison]).await, Err(Error::RouterDied)));
        assert!(matches!(router.services.next().await, Err(Error::RouterDied)));
        assert!(matches!(router.taps.next().await, Err(Error::RouterDied)));
    }

    #[tokio::test]
    async fn a_cancelled_publish_leaves_the_way_in_usable() {
        let mut router = start(256 << 10, 4).await;
        for n in 0..200 {
            let publish = router.ingress.publish(numbered(n..n + 1));
            tokio::select! {
                biased;
                _ = publish => {}
                () = std::future::ready(()) => {}
            }
        }
        for n in 0..200u32 {
            let fed = router.services.next().await.unwrap();
            assert_eq!(fed.message.payload[..], n.to_be_bytes());
        }
        router.ingress.publish(numbered(200..201)).await.unwrap();
    }
}
