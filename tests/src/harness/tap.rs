//! A listener on MQTT, like `mosquitto_sub`: it notes what it hears.

use crate::oracle::Sent;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// One message.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// True for what was kept from before the subscription.
    pub retained: bool,
}

/// A tap with its notes. It connects again when the other side goes away; dropped, it ends.
#[derive(Debug)]
pub struct Tap {
    notes: Arc<Mutex<Vec<Heard>>>,
    subscribed: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    _client: AsyncClient,
    task: JoinHandle<()>,
}

impl Tap {
    /// Subscribes to a filter and waits for the acknowledgement.
    pub async fn on(address: SocketAddr, filter: &str) -> Result<Tap> {
        let tap = Tap::start(address, filter);
        let subscribed = async || {
            ensure!(tap.subscribed.load(Ordering::Relaxed), "no SUBACK from {address}");
            Ok(())
        };
        super::eventually(Duration::from_secs(10), "a tap is subscribed", subscribed).await?;
        Ok(tap)
    }

    /// Subscribes to a filter as soon as there is somebody to ask.
    pub fn start(address: SocketAddr, filter: &str) -> Tap {
        let id = format!("tap-{}", rand::random::<u32>());
        let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
        options.set_keep_alive(Duration::from_secs(10)).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 16);
        let notes = Arc::new(Mutex::new(Vec::new()));
        let subscribed = Arc::new(AtomicBool::new(false));
        let (asker, filter, flag) = (client.clone(), filter.to_owned(), subscribed.clone());
        let (book, connections) = (notes.clone(), Arc::new(AtomicUsize::new(0)));
        let connected = connections.clone();
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        connected.fetch_add(1, Ordering::Relaxed);
                        if asker.try_subscribe(filter.as_str(), QoS::AtMostOnce).is_err() {
                            return;
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => flag.store(true, Ordering::Relaxed),
                    Ok(Event::Incoming(Packet::Publish(p))) => {
                        let heard = Heard { topic: p.topic, payload: p.payload, retained: p.retain };
                        book.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                    }
                    Ok(_) => {}
                    Err(_) => {
                        flag.store(false, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Tap { notes, subscribed, connections, _client: client, task }
    }

    /// Everything heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything heard since this was asked last; it is forgotten here.
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often it was let in.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many messages.
    pub fn count(&self) -> usize {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The trades among the messages, by (epoch, offset), digits as they are in the JSON. An error if an identity
/// comes with two different trades.
pub fn published(heard: &[Heard]) -> Result<BTreeMap<(i64, i64), Sent>> {
    #[derive(Deserialize)]
    struct Json {
        epoch: i64,
        journal_offset: i64,
        symbol: String,
        time_ms: i64,
        price: Box<RawValue>,
        volume: Box<RawValue>,
    }
    let mut trades = BTreeMap::new();
    for message in heard.iter().filter(|m| m.topic.starts_with("tickberry/v1/trades/")) {
        let json: Json = serde_json::from_slice(&message.payload)
            .with_context(|| format!("{}: {}", message.topic, String::from_utf8_lossy(&message.payload)))?;
        let (price, volume) = (json.price.get().to_owned(), json.volume.get().to_owned());
        let sent = Sent { symbol: json.symbol, time_ms: json.time_ms, price, volume };
        if let Some(other) = trades.insert((json.epoch, json.journal_offset), sent.clone()) {
            ensure!(other == sent, "one identity, two trades: {other:?} and {sent:?}");
        }
    }
    Ok(trades)
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}
