//! The service: bus, store and one pipeline a source, put together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tickberry_service::Shutdown;
use tickberry_service::health::Sampler;
use tickberry_service::mqtt::{BusConfig, Event, Events, connect};
use tickberry_store::influx::{InfluxWriter, TokenSource};
use tickberry_store::sqlite::{SqliteConfig, SqliteWriter};
use tickberry_store::{ErrorKind, StoreWriter};
use tickberry_wire::json::{GatewayStatus, StatusJson};
use tickberry_wire::topic::{self, Topic};
use tickberry_wire::{Epoch, Source};
use tokio::task::JoinSet;

use crate::fetch::Fetcher;
use crate::inbox::{Feed, Link};
use crate::metrics::Metrics;
use crate::pipeline::{Parts, Pipeline};
use crate::points;
use crate::status::{Board, Voice};
use crate::writer::{Opener, Writer};
use crate::{Config, Error};

/// Sources at most: each costs its windows and a fetch. More are ignored, with a warning.
pub(crate) const SOURCES: usize = 16;
/// How long a shutdown waits for the pipelines to drain.
const DRAIN: Duration = Duration::from_millis(1500);

/// What the process gives the service beside its configuration.
#[derive(Clone)]
pub struct Environment {
    /// The broker.
    pub bus: BusConfig,
    /// This node's name, for status topic and client id.
    pub node: String,
    /// Where the store's file is unless the configuration says otherwise.
    pub data_dir: PathBuf,
    /// Says the token at InfluxDB, each time the store is opened.
    pub influxdb_token: TokenSource,
}

/// The service, ready to run.
pub struct Built {
    config: Config,
    environment: Environment,
    /// None where the disk could not take it yet.
    store: Option<Box<dyn StoreWriter>>,
    opener: Opener,
    fetcher: Fetcher,
    metrics: Metrics,
    registry: Arc<Registry>,
}

/// Checks the configuration and opens the store: whatever waiting would not mend is an error here. A disk that is full or
/// fails is none: it is told, and tried again.
pub fn build(config: Config, environment: Environment) -> Result<Built, Error> {
    config.check()?;
    if let Some(server) =
        config.store.influxdb.store(environment.influxdb_token.clone(), &environment.data_dir)
    {
        let opener: Opener =
            Box::new(move || InfluxWriter::open(server.clone()).map(|w| Box::new(w) as Box<dyn StoreWriter>));
        return build_with(config, environment, opener);
    }
    let path = config.store.path.clone().unwrap_or_else(|| environment.data_dir.join("tickberry.sqlite3"));
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|d| !d.is_dir()) {
        return Err(Error::Directory(directory.into()));
    }
    let sqlite = SqliteConfig { retention: config.store.retention(), ..SqliteConfig::new(&path) };
    let opener: Opener =
        Box::new(move || SqliteWriter::open(sqlite.clone()).map(|w| Box::new(w) as Box<dyn StoreWriter>));
    build_with(config, environment, opener)
}

/// As [`build`], with a store of one's own.
pub fn build_with(config: Config, environment: Environment, opener: Opener) -> Result<Built, Error> {
    config.check()?;
    let store = match opener() {
        Ok(store) => Some(store),
        Err(error) if is_state(error.kind()) => {
            tracing::error!(%error, "the store cannot be opened; tried again until it can");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let (metrics, registry) = Metrics::new();
    Ok(Built { config, environment, store, opener, fetcher: Fetcher::new()?, metrics, registry })
}

impl Built {
    /// The service's metrics.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// Runs until the shutdown, then writes what is committed and ends.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let voice = Voice::new(&self.environment.node);
        let client_id = client_id(&self.environment.node);
        let subscriptions = vec![topic::all("batches"), format!("{}/status/gateway/+", topic::ROOT)];
        let server = self
            .config
            .store
            .influxdb
            .store(self.environment.influxdb_token.clone(), &self.environment.data_dir);
        let points = server.map(|server| {
            let (bus, id) = (self.environment.bus.clone(), format!("points-{client_id}"));
            tokio::spawn(points::run(bus, id.chars().take(64).collect(), server, shutdown.clone()))
        });
        let (publisher, events) =
            connect(self.environment.bus, &client_id, Some(voice.will()), subscriptions);
        let store = self.store.as_ref().map_or(self.config.store.name(), |store| store.name());
        let writer = Writer::start(self.store, self.opener).map_err(Error::Thread)?;
        let board = Board::default();
        let spoken = Shutdown::new();
        let sampler = Sampler::new(&self.environment.data_dir);
        let voice = tokio::spawn(voice.run(
            board.clone(),
            publisher.clone(),
            self.metrics.clone(),
            sampler,
            spoken.clone(),
        ));
        let parts = Parts {
            config: self.config.clone(),
            store,
            publisher: publisher.clone(),
            writer,
            fetcher: self.fetcher,
            board: board.clone(),
            metrics: self.metrics,
            shutdown: shutdown.clone(),
        };
        let discover = self.config.sources.is_empty();
        let mut sources = Sources { parts, discover, feeds: BTreeMap::new(), tasks: JoinSet::new() };
        for source in &self.config.sources {
            sources.begin(&source.name, source.journal.clone());
        }
        let result = sources.run(events, &board, &shutdown).await;
        spoken.cancel();
        voice.await.ok();
        if let Some(points) = points {
            points.await.ok();
        }
        publisher.close().await;
        result
    }
}

/// What is told and tried again: a disk can have space again, a server come back, a token be made.
fn is_state(kind: ErrorKind) -> bool {
    use ErrorKind::{Away, Busy, Full, Io, Refused};
    matches!(kind, Full | Io | Busy | Away | Refused)
}

/// A client id of what brokers allow: 64 characters out of `A-Za-z0-9_-`.
fn client_id(node: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    "aggregator-".chars().chain(node.chars().map(allowed)).take(64).collect()
}

/// The pipelines, and the way of messages to them.
struct Sources {
    parts: Parts,
    /// Begin a pipeline for each source that a gateway announces.
    discover: bool,
    feeds: BTreeMap<Source, Feed>,
    tasks: JoinSet<()>,
}

impl Sources {
    fn begin(&mut self, source: &Source, journal: Option<String>) {
        let metrics = self.parts.metrics.of(source);
        let (feed, inbox) = crate::inbox::channel(journal, metrics.discarded.clone());
        self.feeds.insert(source.clone(), feed);
        let pipeline = Pipeline::new(source.clone(), self.parts.clone(), inbox);
        self.tasks.spawn(pipeline.run());
    }

    async fn run(mut self, mut events: Events, board: &Board, shutdown: &Shutdown) -> Result<(), Error> {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.hear(event, board),
                    None => break,
                },
                Some(ended) = self.tasks.join_next() => {
                    // A pipeline ends at the shutdown only.
                    if let Err(error) = ended {
                        return Err(Error::Task(error.to_string()));
                    }
                }
                () = shutdown.cancelled() => break,
            }
        }
        self.drain(events, board).await
    }

    /// Pipelines write what is committed; the last commits may still be on their way to them.
    async fn drain(mut self, mut events: Events, board: &Board) -> Result<(), Error> {
        let deadline = tokio::time::sleep(DRAIN);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok(())) => {}
                    Some(Err(error)) => return Err(Error::Task(error.to_string())),
                },
                Some(event) = events.recv() => self.hear(event, board),
                () = &mut deadline => {
                    tracing::warn!("stopping although the store has not answered; the journal has what it lacks");
                    return Ok(());
                }
            }
        }
    }

    fn hear(&mut self, event: Event, board: &Board) {
        match event {
            Event::Up => {
                tracing::info!("connected to the broker");
                self.feeds.values().for_each(|feed| feed.link(|link| link.up = true));
                board.repeat();
            }
            Event::Down(why) => {
                tracing::warn!(why, "no connection to the broker; it is tried again");
                self.feeds.values().for_each(|feed| feed.link(|link| link.up = false));
            }
            Event::Message { topic, payload } => match Topic::parse(&topic) {
                Some(Topic::Batches(source)) => self.batch(&source, payload),
                Some(Topic::Status(service, _)) if service == "gateway" => self.gateway(&payload),
                _ => {}
            },
        }
    }

    fn batch(&mut self, source: &Source, payload: Bytes) {
        if let Some(feed) = self.feeds.get(source) {
            feed.batch(payload);
        }
    }

    fn gateway(&mut self, payload: &[u8]) {
        // Not ours to judge what a newer gateway adds; what has no source or journal says nothing to us.
        let Ok(StatusJson {
            detail: Some(GatewayStatus { source, epoch, head, committed, journal, .. }),
            ..
        }) = serde_json::from_slice(payload)
        else {
            return;
        };
        if !self.feeds.contains_key(&source) {
            if !self.discover || self.feeds.len() >= SOURCES {
                tracing::debug!(%source, "not consumed: not configured, or too many sources");
                return;
            }
            tracing::info!(%source, journal, "a source");
            self.begin(&source, Some(journal.clone()));
        }
        let configured = self.parts.config.sources.iter().find(|s| s.name == source);
        let configured = configured.and_then(|s| s.journal.clone());
        if let Some(feed) = self.feeds.get(&source) {
            feed.link(|link| {
                let journal = configured.or(Some(journal));
                *link = Link { journal, epoch: Epoch::from_raw(epoch), head, committed, up: true };
            });
        }
    }
}
