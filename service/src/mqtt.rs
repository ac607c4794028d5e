//! The one MQTT client of all services: QoS 0, a clean session, and no promise beyond "soon, usually".
//!
//! The bus may lose anything, since the journal heals every loss; so nothing here waits, and nothing here grows.
//! Publishing drops (and counts) what does not fit, and all of it while the broker is away. Receiving never
//! stops polling the connection: when the consumer is slow the oldest message goes, counted. [`Event::Up`]
//! comes after the broker has confirmed the subscriptions: from then on a consumer knows that it would hear.

mod backoff;
mod inbox;
mod outbox;
mod task;

use backoff::Backoff;
use bytes::Bytes;
use inbox::Inbox;
use outbox::Outbox;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, QoS};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use task::Task;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How the reason of an [`Event::Down`] begins where the broker knows us not: nothing but another configuration helps.
pub const REFUSED: &str = "the broker refuses this client";

/// The largest payload on the bus, for every client and the broker (the batch codec's limit too).
pub const MAX_PAYLOAD: usize = 65_536;
/// Topic and headers on top of the payload.
const OVERHEAD: usize = 2_048;
/// How long a dead broker may go unnoticed is twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Messages on their way out, at most; in bytes the outbox bounds them.
const OUTBOX_MESSAGES: usize = 1_024;

/// Where the broker is and who we are to it.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// `host:port`.
    pub address: String,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// Password, where the broker asks for one.
    pub password: Option<SecretString>,
}

/// What the broker publishes (retained) in our name when we vanish without a goodbye.
#[derive(Clone, Debug)]
pub struct Will {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
}

/// What a consumer learns from the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected and subscribed: whatever is published from now on would be heard. Anything before may be lost.
    Up,
    /// Not connected any more, and why. Reconnecting goes on by itself.
    Down(String),
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Bytes,
    },
}

/// Connects, and reconnects for ever, in a task of its own; it ends when both halves are dropped (as a crash
/// would: the will is published) or after [`Publisher::close`]. Needs a tokio runtime.
pub fn connect(
    config: BusConfig,
    client_id: &str,
    will: Option<Will>,
    subscriptions: Vec<String>,
) -> (Publisher, Events) {
    let (client, link) = client(&config, client_id, will);
    let alive = Arc::new(Alive { stop: CancellationToken::new(), ended: CancellationToken::new() });
    let outbox = Arc::new(Outbox::default());
    let inbox = Arc::new(Inbox::default());
    let task = Task {
        link,
        address: config.address,
        subscriptions,
        outbox: outbox.clone(),
        inbox: inbox.clone(),
        backoff: Backoff::new(rand::random()),
        stop: alive.stop.clone(),
    };
    let ended = alive.ended.clone().drop_guard();
    tokio::spawn(async move {
        task.run().await;
        drop(ended);
    });
    (Publisher { client, outbox, alive: alive.clone() }, Events { inbox, _alive: alive })
}

fn client(config: &BusConfig, client_id: &str, will: Option<Will>) -> (AsyncClient, EventLoop) {
    let (host, port) = match config.address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(1883)),
        None => (config.address.as_str(), 1883),
    };
    let mut options = MqttOptions::new(client_id, host, port);
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
    options.set_max_packet_size(MAX_PAYLOAD + OVERHEAD, MAX_PAYLOAD + OVERHEAD);
    if let Some(username) = &config.username {
        let password = config.password.as_ref().map_or("", |p| p.expose_secret());
        options.set_credentials(username, password);
    }
    if let Some(will) = will {
        options.set_last_will(rumqttc::LastWill::new(will.topic, will.payload, QoS::AtMostOnce, true));
    }
    let (client, mut link) = AsyncClient::new(options, OUTBOX_MESSAGES);
    let mut network = link.network_options();
    // Without it the last message of a burst waits up to 40 ms for a delayed acknowledgement.
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(5);
    link.set_network_options(network);
    (client, link)
}

/// Ends the task when the last of the handles is gone.
struct Alive {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sending half; clones share one connection.
#[derive(Clone)]
pub struct Publisher {
    client: AsyncClient,
    outbox: Arc<Outbox>,
    alive: Arc<Alive>,
}

impl Publisher {
    /// Hands a message to the connection and returns at once. `false`: dropped and counted, because the broker is
    /// away, its connection does not keep up, or the payload is larger than [`MAX_PAYLOAD`].
    pub fn publish(&self, topic: String, payload: Bytes, retain: bool) -> bool {
        let (size, fits) =
            (topic.len() + payload.len(), payload.len() <= MAX_PAYLOAD && topic.len() < OVERHEAD);
        self.outbox
            .send(size, || fits && self.client.try_publish(topic, QoS::AtMostOnce, retain, payload).is_ok())
    }

    /// How many messages were dropped instead of sent.
    pub fn dropped(&self) -> u64 {
        self.outbox.dropped()
    }

    /// Whether the broker has accepted us and the connection stands as far as we know.
    pub fn is_connected(&self) -> bool {
        self.outbox.is_connected()
    }

    /// Says goodbye after what is queued, so that the will is *not* published, and ends the task. Takes a second
    /// at most, whatever the broker does.
    pub async fn close(&self) {
        let goodbye = async {
            if self.is_connected() && self.client.disconnect().await.is_ok() {
                self.alive.ended.cancelled().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(1), goodbye).await.is_err() {
            debug!("the broker did not take our goodbye in time");
        }
        self.alive.stop.cancel();
    }
}

/// The receiving half.
pub struct Events {
    inbox: Arc<Inbox>,
    _alive: Arc<Alive>,
}

impl Events {
    /// The next event; `None` once the connection was closed for good and everything was read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        self.inbox.recv().await
    }

    /// How many received messages were dropped because nobody fetched them in time.
    pub fn dropped(&self) -> u64 {
        self.inbox.dropped()
    }
}
