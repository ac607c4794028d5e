//! A stream that runs while something else is tried: from a service to a service and a tap, none of which may notice.

use crate::harness::{Broker, Raw, eventually, unique};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tickberry_broker::SharedSecret;
use tickberry_service::mqtt::{Event, Will};
use tokio::task::JoinHandle;

const TOPIC: &str = "tickberry/v1/batches/stream";

pub(crate) struct Stream {
    pub(crate) broker: Broker,
    at_service: Arc<AtomicU64>,
    at_tap: Arc<AtomicU64>,
    downs: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// One of the two listeners.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) secret: Option<SharedSecret>,
}

impl Stream {
    pub(crate) async fn over(broker: Broker) -> Stream {
        let [at_service, at_tap, downs] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        let (publisher, mut publisher_events) = broker.service("stream-publisher", None, &[]).await;
        let (_, mut events) = broker.service("stream-consumer", None, &["tickberry/v1/batches/#"]).await;
        let mut tap = Raw::tap(broker.taps, 0).await.subscribed("tickberry/v1/batches/#").await;
        let lost = downs.clone();
        tasks.push(tokio::spawn(async move {
            while let Some(event) = publisher_events.recv().await {
                lost.fetch_add(u64::from(event != Event::Up), Ordering::Relaxed);
            }
        }));
        tasks.push(tokio::spawn(async move {
            for n in 0u64.. {
                publisher.publish(TOPIC.into(), Bytes::from(n.to_be_bytes().to_vec()), false);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
        let (count, lost) = (at_service.clone(), downs.clone());
        tasks.push(tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let of_stream = matches!(&event, Event::Message { topic, .. } if topic == TOPIC);
                count.fetch_add(u64::from(of_stream), Ordering::Relaxed);
                lost.fetch_add(u64::from(matches!(event, Event::Down(_))), Ordering::Relaxed);
            }
        }));
        let (count, lost) = (at_tap.clone(), downs.clone());
        tasks.push(tokio::spawn(async move {
            while let Some((_, topic, _)) = tap.publish_ever().await {
                count.fetch_add(u64::from(topic == TOPIC), Ordering::Relaxed);
            }
            lost.fetch_add(1, Ordering::Relaxed);
        }));
        Stream { broker, at_service, at_tap, downs, tasks }
    }

    /// Both listeners, with what opens them.
    pub(crate) fn doors(&self) -> [Door; 2] {
        let secret = Some(self.broker.secret.clone());
        [
            Door { name: "taps", address: self.broker.taps, secret: None },
            Door { name: "services", address: self.broker.services, secret },
        ]
    }

    /// The stream still flows, to both, over the connections it had; and newcomers are let in and hear it.
    pub(crate) async fn goes_on(&self, after: &str) {
        let seen = || (self.at_service.load(Ordering::Relaxed), self.at_tap.load(Ordering::Relaxed));
        let before = seen();
        eventually(&format!("the stream goes on after {after}"), || {
            let now = seen();
            now.0 >= before.0 + 20 && now.1 >= before.1 + 20
        })
        .await;
        assert_eq!(self.downs.load(Ordering::Relaxed), 0, "a connection was lost: {after}");
        for door in self.doors() {
            let mut newcomer = door.enter(&unique()).await.subscribed("tickberry/v1/batches/#").await;
            assert!(newcomer.publish().await.is_some(), "a newcomer hears it after {after}: {}", door.name);
        }
    }

    pub(crate) async fn end(self) {
        for task in self.tasks {
            task.abort();
        }
        self.broker.stop().await;
    }
}

impl Door {
    /// CONNECT with what this listener wants to know.
    pub(crate) fn connect(&self, id: &str, keep_alive: u16) -> Vec<u8> {
        crate::harness::connect(id, keep_alive, self.secret.as_ref(), None)
    }

    /// A connected client.
    pub(crate) async fn enter(&self, id: &str) -> Raw {
        let mut raw = Raw::open(self.address).await;
        raw.send(&self.connect(id, 60)).await;
        assert_eq!(raw.packet().await, Some((0x20, vec![0, 0])), "{} lets {id} in", self.name);
        raw
    }
}

/// A will nobody should mind.
pub(crate) fn will(name: &str) -> Will {
    Will { topic: format!("tickberry/v1/status/test/{name}"), payload: "offline".into() }
}
