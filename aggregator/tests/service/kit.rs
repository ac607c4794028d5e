//! A gateway that misbehaves on demand, a real broker, the service, and what the store should hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use tickberry_aggregator::{Config, Environment, build, build_with};
use tickberry_broker::SharedSecret;
use tickberry_service::Shutdown;
use tickberry_service::mqtt::{BusConfig, Event, Events, Publisher, connect};
use tickberry_wire::json::{AggregatorStatus, FeedState, GatewayStatus, Presence, StatusJson, StreamStatus};
use tickberry_wire::topic::Topic;
use tickberry_wire::{Batch, Body, Control, Decimal, Epoch, EpochStart, Source, Symbol, Trade, encode};
use tokio::task::JoinHandle;

pub(crate) const START: i64 = 1_795_000_020_000;

pub(crate) fn source() -> Source {
    Source::new("finnhub").unwrap()
}

/// Waits for a condition; fails with its name.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A real broker.
pub(crate) struct Broker {
    pub(crate) bus: BusConfig,
    _stop: tokio_util::sync::DropGuard,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let secret = SharedSecret::generate();
        let any = "127.0.0.1:0".parse().unwrap();
        let config = tickberry_broker::Config { taps: any, services: any, ..Default::default() };
        let bus = |address: String| BusConfig {
            address,
            username: Some(secret.username().to_owned()),
            password: Some(secret.password().clone()),
        };
        let built = tickberry_broker::build(config, Arc::new(secret.clone())).await.unwrap();
        let bus = bus(built.service_address().to_string());
        let stop = Shutdown::new();
        tokio::spawn(built.run(stop.clone()));
        Self { bus, _stop: stop.drop_guard() }
    }

    pub(crate) fn client(&self, id: &str, subscriptions: &[&str]) -> (Publisher, Events) {
        connect(self.bus.clone(), id, None, subscriptions.iter().map(|s| (*s).to_owned()).collect())
    }
}

#[derive(Default)]
struct Journal {
    batches: Vec<Batch>,
    first: u64,
    committed: u64,
    requests: usize,
    /// Answers 503 while true.
    broken: bool,
}

/// Journals and publishes what it is told to.
pub(crate) struct Gateway {
    journal: Arc<Mutex<Journal>>,
    pub(crate) publisher: Publisher,
    _events: Events,
    pub(crate) epoch: Epoch,
    pub(crate) head: u64,
    elapsed_ms: u64,
    url: String,
    /// Messages are published only where this says so, by a running number.
    pub(crate) publishes: fn(u64) -> bool,
    published: u64,
}

impl Gateway {
    pub(crate) async fn start(broker: &Broker) -> Self {
        let journal = Arc::new(Mutex::new(Journal::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/journal/finnhub", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/api/v1/journal/finnhub", axum::routing::get(serve))
            .with_state(journal.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let (publisher, mut events) = broker.client("gateway", &[]);
        while events.recv().await != Some(Event::Up) {}
        let mut gateway = Self {
            journal,
            publisher,
            _events: events,
            epoch: Epoch::new(1_795_000_000, 1),
            head: 0,
            elapsed_ms: 0,
            url,
            publishes: |_| true,
            published: 0,
        };
        gateway.begin_epoch(1, None);
        gateway
    }

    /// A new life: what is not committed is lost, as after a power cut.
    pub(crate) fn power_cut(&mut self, life: u32) {
        let committed = self.committed();
        self.with(|j| {
            j.batches.retain(|b| b.end_offset() <= committed);
            j.broken = true;
        });
        let previous = (self.epoch, committed);
        self.head = committed;
        self.begin_epoch(life, Some(previous));
        self.set_broken(false);
    }

    /// Another journal altogether.
    pub(crate) fn replace_journal(&mut self, life: u32) {
        // Not one request is answered between.
        self.set_broken(true);
        self.with(|j| *j = Journal { requests: j.requests, broken: true, ..Journal::default() });
        self.head = 0;
        self.begin_epoch(life, None);
        self.set_broken(false);
    }

    fn begin_epoch(&mut self, life: u32, previous: Option<(Epoch, u64)>) {
        self.epoch = Epoch::new(1_795_000_000 + u64::from(life), life);
        self.elapsed_ms = 0;
        self.append(Body::Control(Control::EpochStart(EpochStart { previous, simulated: true })));
        self.flush();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Journal) -> T) -> T {
        act(&mut self.journal.lock().unwrap())
    }

    pub(crate) fn committed(&self) -> u64 {
        self.journal.lock().unwrap().committed
    }

    pub(crate) fn requests(&self) -> usize {
        self.journal.lock().unwrap().requests
    }

    /// Journals and publishes one frame.
    pub(crate) fn append(&mut self, body: Body) {
        self.elapsed_ms += 10;
        let batch = Batch {
            epoch: self.epoch,
            first_offset: self.head,
            committed: self.committed(),
            elapsed_ms: self.elapsed_ms,
            anchor_ms: Some(START),
            body,
        };
        self.head = batch.end_offset();
        // In this order: the journal knows its epoch before the bus does.
        self.journal.lock().unwrap().batches.push(batch.clone());
        self.publish(&batch);
    }

    pub(crate) fn trades(&mut self, trades: Vec<Trade>) {
        self.append(Body::Trades(trades));
    }

    /// `count` trades, `per_frame` to a frame, from a minute on, a trade each `step_ms`.
    pub(crate) fn stream(&mut self, count: i64, per_frame: usize, from_ms: i64, step_ms: i64) {
        let trades: Vec<Trade> = (0..count).map(|i| trade(i, START + from_ms + i * step_ms)).collect();
        for frame in trades.chunks(per_frame) {
            self.trades(frame.to_vec());
        }
    }

    pub(crate) fn flush(&mut self) {
        self.journal.lock().unwrap().committed = self.head;
        let commit = Batch {
            epoch: self.epoch,
            first_offset: self.head,
            committed: self.head,
            elapsed_ms: self.elapsed_ms,
            anchor_ms: Some(START),
            body: Body::Commit,
        };
        self.publish(&commit);
        self.status();
    }

    fn publish(&mut self, batch: &Batch) {
        self.published += 1;
        if (self.publishes)(self.published) {
            let mut payload = Vec::new();
            encode(batch, &mut payload).unwrap();
            self.publisher.publish(Topic::Batches(source()).path(), payload.into(), false);
        }
    }

    pub(crate) fn status(&self) {
        let status = StatusJson {
            service: "gateway".into(),
            node: "test".into(),
            state: Presence::Online,
            detail: Some(GatewayStatus {
                source: source(),
                simulated: true,
                feed_state: FeedState::Live,
                since_ms: START,
                message: None,
                last_frame_ms: None,
                last_trade_ms: None,
                epoch: self.epoch.get(),
                head: self.head,
                committed: self.committed(),
                durable: true,
                disk_bytes_today: 0,
                journal: self.url.clone(),
                symbols: Vec::new(),
            }),
        };
        let topic = Topic::Status("gateway".into(), "test".into()).path();
        self.publisher.publish(topic, serde_json::to_vec(&status).unwrap().into(), true);
    }

    /// The committed trades: offset, epoch, trade.
    pub(crate) fn committed_trades(&self) -> Vec<(u64, u64, Trade)> {
        let journal = self.journal.lock().unwrap();
        let committed = journal.batches.iter().filter(|b| b.end_offset() <= journal.committed);
        committed
            .flat_map(|b| match &b.body {
                Body::Trades(trades) => (b.first_offset..)
                    .zip(trades.clone())
                    .map(|(o, t)| (o, b.epoch.get(), t))
                    .collect::<Vec<_>>(),
                _ => Vec::new(),
            })
            .collect()
    }
}

impl Gateway {
    pub(crate) fn set_broken(&self, broken: bool) {
        self.with(|j| j.broken = broken);
    }

    /// The ring has given the space of everything before to newer records.
    pub(crate) fn forget_before(&self, offset: u64) {
        self.with(|j| {
            j.batches.retain(|b| b.first_offset >= offset);
            j.first = j.batches.first().map_or(j.committed, |b| b.first_offset);
        });
    }
}

async fn serve(
    State(journal): State<Arc<Mutex<Journal>>>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Response {
    let mut journal = journal.lock().unwrap();
    journal.requests += 1;
    if journal.broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let from = query["from"];
    let head = journal.batches.last().map_or(0, Batch::end_offset);
    if from < journal.first {
        return (StatusCode::GONE, format!(r#"{{"error":"gone","first":{}}}"#, journal.first))
            .into_response();
    }
    if from > head {
        return (StatusCode::RANGE_NOT_SATISFIABLE, format!(r#"{{"error":"ahead","head":{head}}}"#))
            .into_response();
    }
    let mut body = Vec::new();
    for batch in &journal.batches {
        if batch.end_offset() > from && batch.end_offset() <= journal.committed {
            let mut payload = Vec::new();
            encode(batch, &mut payload).unwrap();
            body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            body.extend_from_slice(&payload);
        }
    }
    let epoch = journal.batches.last().map_or(0, |b| b.epoch.get());
    let headers =
        [("tickberry-epoch", epoch.to_string()), ("tickberry-committed", journal.committed.to_string())];
    (headers, body).into_response()
}

/// Trade number `i`: whole numbers, so that sums of doubles are exact and an oracle is easy.
pub(crate) fn trade(i: i64, time_ms: i64) -> Trade {
    Trade {
        symbol: Symbol::new(["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"][(i % 2) as usize]).unwrap(),
        time_ms,
        price: Decimal::new(60_000 + (i * 37) % 1000, 0).unwrap(),
        volume: Decimal::new(1 + i % 7, 0).unwrap(),
        conditions: None,
    }
}

/// The service under test.
pub(crate) struct Aggregator {
    task: JoinHandle<Result<(), tickberry_aggregator::Error>>,
    shutdown: Shutdown,
}

impl Aggregator {
    pub(crate) fn start(broker: &Broker, directory: &Path) -> Self {
        let environment = environment(broker, directory);
        let config = Config { commit_interval: Duration::from_millis(50), ..Config::default() };
        let built = build(config, environment).unwrap();
        let shutdown = Shutdown::new();
        Self { task: tokio::spawn(built.run(shutdown.clone())), shutdown }
    }

    /// With a store of one's own.
    pub(crate) fn start_with(
        broker: &Broker,
        directory: &Path,
        opener: tickberry_aggregator::Opener,
    ) -> Self {
        let environment = environment(broker, directory);
        let config = Config { commit_interval: Duration::from_millis(50), ..Config::default() };
        let built = build_with(config, environment, opener).unwrap();
        let shutdown = Shutdown::new();
        Self { task: tokio::spawn(built.run(shutdown.clone())), shutdown }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// As kill -9 would, but for what the operating system writes anyway.
    pub(crate) async fn kill(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }
}

/// Reads the store as other programs do.
pub(crate) struct Store(pub(crate) PathBuf);

/// Time, epoch, offset: the order that decides open and close.
type Place = (i64, u64, u64);
/// symbol, start → open, high, low, close, volume, count, final
pub(crate) type Minutes = BTreeMap<(String, i64), (f64, f64, f64, f64, f64, i64, i64)>;

impl Store {
    pub(crate) fn of(directory: &Path) -> Self {
        Self(directory.join("tickberry.sqlite3"))
    }

    pub(crate) fn open(&self) -> Connection {
        let c = Connection::open(&self.0).unwrap();
        c.busy_timeout(Duration::from_secs(5)).unwrap();
        c
    }

    pub(crate) fn stored(&self) -> u64 {
        let cursor = self.open().query_row("SELECT stored FROM _cursor", [], |r| r.get::<_, i64>(0));
        cursor.map_or(0, |stored| stored as u64)
    }

    pub(crate) fn trades(&self) -> Vec<(u64, u64, String, i64, f64, f64)> {
        let c = self.open();
        let mut select = c
            .prepare("SELECT journal_offset, epoch, symbol, time_ms, price, volume FROM trades ORDER BY 2, 1")
            .unwrap();
        let rows = select.query_map([], |r| {
            Ok((
                r.get::<_, i64>(0)? as u64,
                r.get::<_, i64>(1)? as u64,
                r.get(2)?,
                r.get(3)?,
                r.get(4)?,
                r.get(5)?,
            ))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn minutes(&self) -> Minutes {
        let c = self.open();
        let mut select = c
            .prepare("SELECT symbol, start_ms, open, high, low, close, volume, trade_count, final FROM minute_trades")
            .unwrap();
        let rows = select.query_map([], |r| {
            let key = (r.get(0)?, r.get(1)?);
            Ok((key, (r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?)))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Compares everything with what the gateway has committed.
    pub(crate) fn check(&self, gateway: &Gateway) {
        let committed = gateway.committed_trades();
        let mut expected: Vec<_> = committed
            .iter()
            .map(|(offset, epoch, t)| {
                (*offset, *epoch, t.symbol.to_string(), t.time_ms, t.price.to_f64(), t.volume.to_f64())
            })
            .collect();
        expected.sort_by_key(|t| (t.1, t.0));
        let found = self.trades();
        assert_eq!(found.len(), expected.len(), "number of trades");
        assert_eq!(found, expected);

        let mut windows: Minutes = BTreeMap::new();
        let mut ends: BTreeMap<(String, i64), [Place; 2]> = BTreeMap::new();
        for (offset, epoch, symbol, time, price, volume) in expected {
            if volume == 0.0 {
                continue;
            }
            let key = (symbol, time - time.rem_euclid(60_000));
            let place = (time, epoch, offset);
            let w = windows.entry(key.clone()).or_insert((price, price, price, price, 0.0, 0, 0));
            let [first, last] = ends.entry(key).or_insert([place; 2]);
            if place < *first {
                (*first, w.0) = (place, price);
            }
            if place >= *last {
                (*last, w.3) = (place, price);
            }
            (w.1, w.2, w.4, w.5) = (w.1.max(price), w.2.min(price), w.4 + volume, w.5 + 1);
        }
        let mut found = self.minutes();
        found.values_mut().for_each(|w| w.6 = 0);
        assert_eq!(found, windows);
    }
}

/// Topic and payload.
type Heard = (String, Vec<u8>);

/// What a tap would hear.
pub(crate) struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    _publisher: Publisher,
}

impl Ear {
    pub(crate) async fn listen(broker: &Broker, filter: &str) -> Self {
        let (publisher, mut events) = broker.client("ear", &[filter]);
        while events.recv().await != Some(Event::Up) {}
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = heard.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Message { topic, payload } = event {
                    into.lock().unwrap().push((topic, payload.to_vec()));
                }
            }
        });
        Self { heard, _publisher: publisher }
    }

    pub(crate) fn all(&self, part: &str) -> Vec<Heard> {
        self.heard.lock().unwrap().iter().filter(|(topic, _)| topic.contains(part)).cloned().collect()
    }

    /// The aggregator's newest word on the source.
    pub(crate) fn stream(&self) -> Option<StreamStatus> {
        let (_, payload) = self.all("/status/aggregator/").pop()?;
        let status: StatusJson<'_, AggregatorStatus> = serde_json::from_slice(&payload).unwrap();
        status.detail?.streams.into_iter().next()
    }
}

fn environment(broker: &Broker, directory: &Path) -> Environment {
    Environment {
        bus: broker.bus.clone(),
        node: "test".into(),
        data_dir: directory.into(),
        influxdb_token: std::sync::Arc::new(|| Err("SQLite needs none".into())),
    }
}
