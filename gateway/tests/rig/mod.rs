//! Simulator, broker and gateway in one process, and a subscriber that writes down what it hears.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tickberry_broker::SharedSecret;
use tickberry_gateway::journal::{Item, JournalState, Reader};
use tickberry_gateway::{Config, Deps};
use tickberry_service::Shutdown;
use tickberry_service::mqtt::{self, BusConfig, Event, Events, Publisher};
use tickberry_simulator::{Control, Simulator};
use tickberry_wire::json::{FeedState, GatewayStatus, Presence, StatusJson, TradeJson};
use tickberry_wire::topic::Topic;
use tickberry_wire::{Batch, Body, Gap, Trade, decode};
use tokio::task::JoinHandle;

/// The key; it must never be seen anywhere.
pub(crate) const TOKEN: &str = "secret-key-42";
const LIMIT: Duration = Duration::from_secs(30);

/// What was heard on the bus.
#[derive(Default)]
pub(crate) struct Seen {
    pub trades: BTreeMap<u64, Trade>,
    pub mirrored: BTreeMap<u64, TradeJson>,
    pub gaps: Vec<Gap>,
    pub committed: u64,
    pub presence: Option<Presence>,
    pub status: Option<GatewayStatus>,
    pub states: Vec<FeedState>,
}

impl Seen {
    pub(crate) fn state(&self) -> Option<FeedState> {
        self.states.last().copied()
    }

    pub(crate) fn message(&self) -> &str {
        self.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or("")
    }

    fn hear(&mut self, topic: &str, payload: &[u8]) {
        assert!(!String::from_utf8_lossy(payload).contains(TOKEN), "the token is on {topic}");
        match Topic::parse(topic).unwrap() {
            Topic::Batches(_) => {
                let batch = decode(payload).unwrap();
                self.committed = self.committed.max(batch.committed);
                match batch.body {
                    Body::Trades(trades) => self.trades.extend((batch.first_offset..).zip(trades)),
                    Body::Control(tickberry_wire::Control::Gap(gap)) => self.gaps.push(gap),
                    _ => {}
                }
            }
            Topic::Trades(..) => {
                let trade: TradeJson = serde_json::from_slice(payload).unwrap();
                self.mirrored.insert(trade.journal_offset, trade);
            }
            Topic::Status(service, node) => {
                assert_eq!((service.as_str(), node.as_str()), ("gateway", "test"));
                let status: StatusJson<'_, GatewayStatus> = serde_json::from_slice(payload).unwrap();
                self.presence = Some(status.state);
                if let Some(detail) = &status.detail
                    && self.state() != Some(detail.feed_state)
                {
                    self.states.push(detail.feed_state);
                }
                self.status = status.detail.or(self.status.take());
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) struct Rig {
    pub simulator: Control,
    pub reader: Reader,
    registry: Arc<prometheus_client::registry::Registry>,
    seen: Seen,
    events: Events,
    _publisher: Publisher,
    home: TempDir,
    config: Config,
    bus: BusConfig,
    everything: Shutdown,
    broker: Option<(Shutdown, JoinHandle<()>)>,
    gateway: Option<(Shutdown, JoinHandle<()>)>,
}

impl Rig {
    pub(crate) async fn start(
        simulator: tickberry_simulator::Config,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let everything = Shutdown::new();
        let simulator = Simulator::build(simulator).await.unwrap();
        let (url, control) = (simulator.url(), simulator.control());
        let stop = everything.clone();
        tokio::spawn(async move { simulator.run(stop).await.unwrap() });

        let secret = SharedSecret::generate();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let broker = tickberry_broker::Config { taps: any, services: any, ..Default::default() };
        let broker = tickberry_broker::build(broker, Arc::new(secret.clone())).await.unwrap();
        let bus = BusConfig {
            address: broker.service_address().to_string(),
            username: Some(secret.username().to_owned()),
            password: Some(secret.password().clone()),
        };
        let stop = everything.child_token();
        let (broker_stop, task) =
            (stop.clone(), tokio::spawn(async move { broker.run(stop).await.unwrap() }));
        let subscriptions = vec!["tickberry/v1/#".to_owned()];
        let (publisher, mut events) = mqtt::connect(bus.clone(), "test", None, subscriptions);
        while events.recv().await.unwrap() != Event::Up {}

        let mut config = Config {
            finnhub_url: url,
            backoff_first: Duration::from_millis(50),
            backoff_max: Duration::from_millis(400),
            refused_after: Duration::from_millis(300),
            ..Config::default()
        };
        change(&mut config);
        let home = TempDir::new().unwrap();
        let built = build(&config, &home, &bus);
        let mut rig = Self {
            simulator: control,
            reader: built.reader(),
            registry: built.registry(),
            seen: Seen::default(),
            events,
            _publisher: publisher,
            home,
            config,
            bus,
            everything,
            broker: Some((broker_stop, task)),
            gateway: None,
        };
        rig.run(built);
        rig
    }

    fn run(&mut self, built: tickberry_gateway::Built) {
        let stop = self.everything.child_token();
        let token = stop.clone();
        self.gateway = Some((token, tokio::spawn(async move { built.run(stop).await.unwrap() })));
    }

    pub(crate) async fn start_gateway(&mut self) {
        let built = build(&self.config, &self.home, &self.bus);
        (self.reader, self.registry) = (built.reader(), built.registry());
        self.run(built);
    }

    pub(crate) async fn stop_gateway(&mut self) {
        let (stop, task) = self.gateway.take().unwrap();
        stop.cancel();
        tokio::time::timeout(LIMIT, task).await.unwrap().unwrap();
    }

    pub(crate) async fn stop_broker(&mut self) {
        let (stop, task) = self.broker.take().unwrap();
        stop.cancel();
        tokio::time::timeout(LIMIT, task).await.unwrap().unwrap();
    }

    /// Listens until the condition holds.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Seen) -> bool) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !condition(&self.seen) {
            match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Ok(Some(Event::Message { topic, payload })) => self.seen.hear(&topic, &payload),
                Ok(Some(_)) => {}
                Ok(None) => panic!("{what}: the bus has ended"),
                Err(_) => {
                    panic!("{what}: not within {LIMIT:?}; {:?}, {:?}", self.seen.states, self.seen.status)
                }
            }
        }
    }

    pub(crate) async fn journal_until(&self, condition: impl FnMut(&JournalState) -> bool) {
        let mut watch = self.reader.watch();
        tokio::time::timeout(LIMIT, watch.wait_for(condition)).await.unwrap().unwrap();
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Everything in the journal.
    pub(crate) fn journal(&self) -> Vec<Batch> {
        let mut reading = self.reader.read_uncommitted(0, None).unwrap();
        let mut batches = Vec::new();
        while let Some(item) = reading.next_item().unwrap() {
            let Item::Batch { payload, .. } = item else { panic!("{item:?}") };
            batches.push(decode(payload).unwrap());
        }
        batches
    }

    /// Live for more than the second in which an end would mean that somebody else uses the key.
    pub(crate) async fn settled(&mut self) {
        self.until("live for a second", |seen| {
            seen.status.as_ref().is_some_and(|status| {
                let heard = status.last_frame_ms.unwrap_or(0);
                status.feed_state == FeedState::Live && heard - status.since_ms > 1_000
            })
        })
        .await;
    }

    /// Listens until a metric has reached a value.
    pub(crate) async fn counted(&mut self, name: &str, least: f64) {
        let registry = self.registry.clone();
        self.until(name, |_| metric(&encoded(&registry), name) >= least).await;
    }

    pub(crate) async fn stop(mut self) {
        if self.gateway.is_some() {
            self.stop_gateway().await;
        }
        self.everything.cancel();
    }
}

fn build(config: &Config, home: &TempDir, bus: &BusConfig) -> tickberry_gateway::Built {
    let deps = Deps {
        token: Some(TOKEN.into()),
        simulated: true,
        journal_dir: home.path().join("journal"),
        bus: bus.clone(),
        node: "test".to_owned(),
        http: "http://127.0.0.1:1".to_owned(),
    };
    tickberry_gateway::build(config.clone(), deps).unwrap()
}

fn encoded(registry: &prometheus_client::registry::Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

/// The value of a line of the metrics.
fn metric(text: &str, name: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(f64::NAN)
}
