//! A running broker, and clients of all kinds.

use bytes::Bytes;
use rand::random;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tickberry_broker::{Config, Error, Limits, SharedSecret, build};
use tickberry_service::mqtt::{self, BusConfig, Event, Events, Publisher, Will};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Broker {
    pub(crate) taps: SocketAddr,
    pub(crate) services: SocketAddr,
    pub(crate) secret: SharedSecret,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), Error>>,
    registry: Arc<prometheus_client::registry::Registry>,
}

impl Broker {
    pub(crate) async fn start() -> Broker {
        Broker::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Broker {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let secret = SharedSecret::generate();
        let config = Config { taps: any, services: any, limits };
        let built = build(config, Arc::new(secret.clone())).await.unwrap();
        let (taps, services, registry) = (built.tap_address(), built.service_address(), built.registry());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(built.run(shutdown.clone()));
        Broker { taps, services, secret, shutdown, running, registry }
    }

    /// A service with the one client of all services; up when this returns.
    pub(crate) async fn service(
        &self,
        id: &str,
        will: Option<Will>,
        subscriptions: &[&str],
    ) -> (Publisher, Events) {
        let bus = BusConfig {
            address: self.services.to_string(),
            username: Some(self.secret.username().to_owned()),
            password: Some(self.secret.password().clone()),
        };
        let subscriptions = subscriptions.iter().map(|s| (*s).to_owned()).collect();
        let (publisher, mut events) = mqtt::connect(bus, id, will, subscriptions);
        assert_eq!(next(&mut events).await, Event::Up);
        (publisher, events)
    }

    /// The sum of all samples of a metric whose line contains all of these.
    pub(crate) fn metric(&self, parts: &[&str]) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let lines = text.lines().filter(|l| !l.starts_with('#') && parts.iter().all(|p| l.contains(p)));
        lines.map(|l| l.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.recv()).await.expect("an event in time").expect("the client still runs")
}

/// The next message, whatever else happens.
pub(crate) async fn message(events: &mut Events) -> (String, Bytes) {
    loop {
        if let Event::Message { topic, payload } = next(events).await {
            return (topic, payload);
        }
    }
}

pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client made of bytes.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    pub(crate) async fn open(address: SocketAddr) -> Raw {
        Raw { stream: timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap() }
    }

    /// Connected as a tap of MQTT 3.1.1.
    pub(crate) async fn tap(address: SocketAddr, keep_alive: u16) -> Raw {
        let mut raw = Raw::open(address).await;
        raw.send(&connect("raw", keep_alive, None, None)).await;
        assert_eq!(raw.packet().await, Some((0x20, vec![0, 0])));
        raw
    }

    /// Connected as a service.
    pub(crate) async fn service(broker: &Broker, id: &str) -> Raw {
        let mut raw = Raw::open(broker.services).await;
        raw.send(&connect(id, 60, Some(&broker.secret), None)).await;
        assert_eq!(raw.packet().await, Some((0x20, vec![0, 0])));
        raw
    }

    pub(crate) async fn subscribed(mut self, filter: &str) -> Raw {
        self.send(&subscribe(1, filter)).await;
        assert_eq!(self.packet().await, Some((0x90, vec![0, 1, 0])));
        self
    }

    /// Subscribed, for who has sent CONNECT but not yet read the answer.
    pub(crate) async fn subscribed_after_connack(mut self, filter: &str) -> Raw {
        assert_eq!(self.packet().await, Some((0x20, vec![0, 0])));
        self.subscribed(filter).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The next packet's first byte and body; `None`: the other side closed.
    pub(crate) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(PATIENCE, self.read()).await.expect("a packet or an end in time")
    }

    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let digit = self.stream.read_u8().await.ok()?;
            length |= usize::from(digit & 0x7f) << shift;
            shift += 7;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }

    /// The next PUBLISH: (retain flag, topic, payload).
    pub(crate) async fn publish(&mut self) -> Option<(bool, String, Vec<u8>)> {
        timeout(PATIENCE, self.publish_ever()).await.expect("a message in time")
    }

    /// The same, without a limit.
    pub(crate) async fn publish_ever(&mut self) -> Option<(bool, String, Vec<u8>)> {
        loop {
            let (first, body) = self.read().await?;
            if first >> 4 == 3 {
                let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                return Some((
                    first & 1 == 1,
                    String::from_utf8(body[2..end].to_vec()).unwrap(),
                    body[end..].to_vec(),
                ));
            }
        }
    }

    /// Whether the other side closes, whatever it says before.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let end = async { while self.read().await.is_some() {} };
        timeout(PATIENCE, end).await.is_ok()
    }
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let digit = (length & 0x7f) as u8;
        length >>= 7;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    [out, body.to_vec()].concat()
}

pub(crate) fn connect(
    id: &str,
    keep_alive: u16,
    secret: Option<&SharedSecret>,
    will: Option<(&str, &str)>,
) -> Vec<u8> {
    use secrecy::ExposeSecret;
    let flags = 2 | if secret.is_some() { 0xc0 } else { 0 } | if will.is_some() { 0x24 } else { 0 };
    let mut body =
        [field(b"MQTT"), vec![4, flags], keep_alive.to_be_bytes().to_vec(), field(id.as_bytes())].concat();
    if let Some((topic, payload)) = will {
        body.extend([field(topic.as_bytes()), field(payload.as_bytes())].concat());
    }
    if let Some(secret) = secret {
        let password = secret.password().expose_secret();
        body.extend([field(secret.username().as_bytes()), field(password.as_bytes())].concat());
    }
    packet(0x10, &body)
}

pub(crate) fn subscribe(id: u16, filter: &str) -> Vec<u8> {
    packet(0x82, &[&id.to_be_bytes()[..], &field(filter.as_bytes()), &[0]].concat())
}

pub(crate) fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&field(topic), payload].concat())
}

/// A client id nobody else has.
pub(crate) fn unique() -> String {
    format!("c{:016x}", random::<u64>())
}
