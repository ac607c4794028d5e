//! The gateway as a service: build, routes, registry, run.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use secrecy::SecretString;
use tickberry_service::Shutdown;
use tickberry_service::health::Sampler;
use tickberry_service::mqtt::{self, BusConfig};
use tickberry_wire::topic::Topic;

use crate::config::{Config, ConfigError};
use crate::core::Core;
use crate::driver::{Driver, Watch};
use crate::finnhub::{Connector, Endpoint, EndpointError, SessionSettings, TlsError};
use crate::journal::{DirDisk, Disk, Reader};
use crate::metrics::{Metrics, SharedRegistry};
use crate::mirror::Mirror;
use crate::recorder::Recorder;
use crate::serve;
use crate::status::StatusBoard;

/// What the gateway is given beside its configuration.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The key to the feed, if there is one.
    pub token: Option<SecretString>,
    /// Whether the feed is a simulator.
    pub simulated: bool,
    /// The journal's folder; it is made if it is not there.
    pub journal_dir: PathBuf,
    /// Where the broker is.
    pub bus: BusConfig,
    /// The host's name, for the status topic.
    pub node: String,
    /// Where this process serves HTTP, as others reach it: `http://host:port`.
    pub http: String,
}

/// Why a gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A configured value cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The feed's address or token cannot be used.
    #[error("gateway.finnhub_url: {0}")]
    Endpoint(#[from] EndpointError),
    /// TLS cannot be set up.
    #[error("gateway.finnhub_ca: {0}")]
    Tls(#[from] TlsError),
    /// The journal's folder cannot be used at all.
    #[error(
        "cannot use the journal in {path}: {error}; check the folder's owner and rights, or choose another with --data-dir"
    )]
    Journal {
        /// The folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl BuildError {
    /// Whether the configuration is at fault rather than the machine.
    pub const fn is_config(&self) -> bool {
        !matches!(self, Self::Journal { .. })
    }
}

/// A gateway that is ready to run.
pub struct Built {
    driver_parts: Parts,
    registry: SharedRegistry,
    reader: Reader,
}

struct Parts {
    config: Config,
    deps: Deps,
    core: Core,
    watch: Watch,
    connector: Connector,
    metrics: Metrics,
}

/// Checks the configuration and opens the journal. Blocks while the journal is read; nothing is connected yet.
///
/// # Errors
/// See [`BuildError`]. A full disk, a damaged journal, a refused token and an absent broker are none.
pub fn build(config: Config, deps: Deps) -> Result<Built, BuildError> {
    config.check()?;
    let endpoint = Endpoint::new(&config.finnhub_url, deps.token.clone())?;
    let connector = Connector::new(endpoint.clone(), config.finnhub_ca.as_deref())?;
    let watch = Watch::start();
    let refused = |error| BuildError::Journal { path: deps.journal_dir.clone(), error };
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(&deps.journal_dir).map_err(refused)?);
    let (recorder, opened) =
        Recorder::open(disk, config.recorder(deps.simulated), watch.now(), rand::random())
            .map_err(refused)?;
    tracing::info!(
        epoch = opened.state.epoch.get(),
        head = opened.state.head,
        recovered = opened.recovered,
        torn = opened.torn,
        damaged_ranges = opened.lost.len(),
        durable = opened.state.durable,
        "the journal is open"
    );
    if let Some(error) = &opened.error {
        tracing::error!(%error, "the journal's disk cannot be written: going on in memory; free or mend the disk");
    }
    let reader = recorder.reader();
    let (metrics, registry) = Metrics::new(reader.clone());
    let session = SessionSettings { has_token: deps.token.is_some(), ..config.session() };
    let core = Core::new(session, endpoint, recorder, metrics.clone(), watch.now());
    Ok(Built {
        driver_parts: Parts { config, deps, core, watch, connector, metrics },
        registry: Arc::new(registry),
        reader,
    })
}

impl Built {
    /// The journal over HTTP, to be mounted by whoever serves HTTP.
    pub fn routes(&self) -> axum::Router {
        serve::routes(self.driver_parts.config.source.clone(), self.reader.clone())
    }

    /// The metrics.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// A handle on the journal, for whoever runs in the same process.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Runs until the shutdown. The loop writes to the journal, and a disk may make a write wait, so it has a thread
    /// of its own.
    ///
    /// # Errors
    /// Only when that thread, or the one of a flush, ended abnormally.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Parts { config, deps, core, watch, connector, metrics } = self.driver_parts;
        let source = config.source.clone();
        let journal = format!("{}/api/v1/journal/{source}", deps.http.trim_end_matches('/'));
        let sampler = Sampler::new(&deps.journal_dir);
        let status =
            StatusBoard::new(deps.node, source.clone(), deps.simulated, journal, sampler, watch.now());
        let client = format!("gateway-{source}");
        let (publisher, bus) = mqtt::connect(deps.bus.clone(), &client, Some(status.will()), Vec::new());
        let mirror = config.mirror.then(|| {
            let (publisher, _) = mqtt::connect(deps.bus, &format!("{client}-mirror"), None, Vec::new());
            Mirror::start(source.clone(), publisher, metrics.clone())
        });
        let batches_topic = Topic::Batches(source).path();
        let flush_every = config.flush;
        let driver = Driver {
            core,
            watch,
            connector,
            publisher,
            bus,
            mirror,
            status,
            metrics,
            batches_topic,
            flush_every,
        };
        let runtime = tokio::runtime::Handle::current();
        Ok(tokio::task::spawn_blocking(move || runtime.block_on(driver.run(shutdown))).await??)
    }
}

/// Why a gateway ended without being asked.
#[derive(Debug, thiserror::Error)]
#[error("a thread of the gateway's ended abnormally: {0}")]
pub struct RunError(#[from] tokio::task::JoinError);
