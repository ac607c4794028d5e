//! The socket side: accepts, shakes hands, and does what sessions say.

mod connection;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, Hub};
use crate::generated::session;
use crate::recorded::{MAX_TRADES, RecordingError, load, merge, shuffle};
use crate::trade::{Scheduled, Trade};

/// Connections, handshakes included, at a time.
const MAX_CONNECTIONS: usize = 256;

/// Why a simulator doesn't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address can't be listened on.
    #[error(
        "simulator: can't listen on {address}: {error}; choose another address, or port 0 for any free one"
    )]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A setting makes no sense.
    #[error("simulator: {0}")]
    Config(String),
    /// A recording can't be played.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// A simulator that listens already. Clients that connect before [`run`](Simulator::run) are kept waiting.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    address: SocketAddr,
    hub: Arc<Hub>,
}

impl Simulator {
    /// Checks the configuration, loads the recordings and binds the address.
    pub async fn build(config: Config) -> Result<Simulator, SimulatorError> {
        if let Some(fault) = config.fault() {
            return Err(SimulatorError::Config(fault));
        }
        let schedule = schedule(&config)?;
        let bind_error = |error| SimulatorError::Bind { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Simulator { listener, address, hub: Arc::new(Hub::new(config, schedule)) })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to give a client as Finnhub's URL; the client adds `?token=`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The handle on what it does.
    pub fn control(&self) -> Control {
        Control(self.hub.clone())
    }

    /// Serves until told to stop; then closes all connections.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SimulatorError> {
        let clock = Arc::new(Clock::new(self.hub.config.generated.pretend_ms));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    let (hub, clock, shutdown) = (self.hub.clone(), clock.clone(), shutdown.clone());
                    connections.spawn(connection::serve(stream, hub, clock, shutdown));
                }
                Ok((stream, peer)) => {
                    tracing::warn!(%peer, "more than {MAX_CONNECTIONS} connections: this one is dropped");
                    drop(stream);
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others may be closed meanwhile.
                    tracing::warn!(%error, "can't accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

/// The recording of this configuration in the order in which it is played, or `None` if it has none: what a test
/// compares with what arrived.
pub fn schedule(config: &Config) -> Result<Option<Arc<[Scheduled]>>, RecordingError> {
    let recorded = &config.recorded;
    let trades: Vec<Trade> = if let Some(spec) = &recorded.session {
        let to_ms = spec.from_ms.saturating_add(i64::try_from(spec.length.as_millis()).unwrap_or(i64::MAX));
        let trades = session(config.seed, &spec.symbols, spec.from_ms, to_ms, config.generated.rate);
        trades.into_iter().map(|scheduled| scheduled.trade).collect()
    } else if recorded.files.is_empty() {
        return Ok(None);
    } else {
        merge(recorded.files.iter().map(PathBuf::as_path).map(load).collect::<Result<_, _>>()?)
    };
    match trades.len() {
        0 => Err(RecordingError::Empty),
        n if n > MAX_TRADES => Err(RecordingError::TooLong),
        _ => Ok(Some(shuffle(trades, recorded.shuffle, config.seed).into())),
    }
}
