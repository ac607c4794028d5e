//! The feed: the simulator on the lab's own address, where the gateway expects it.

use anyhow::Result;
use std::path::PathBuf;
use tickberry_simulator::{Config, Control, Simulator, Speed};
use tokio_util::sync::CancellationToken;

const ADDRESS: &str = "10.77.0.1:9999";

/// A running simulator.
pub(crate) struct Feed {
    control: Control,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Feed {
    async fn start(config: Config) -> Result<Feed> {
        let simulator = Simulator::build(Config { listen: ADDRESS.parse()?, ..config }).await?;
        let (control, shutdown) = (simulator.control(), CancellationToken::new());
        let run = simulator.run(shutdown.clone());
        let running = tokio::spawn(async move {
            let _ended = run.await;
        });
        Ok(Feed { control, shutdown, running })
    }

    /// Recordings, as fast as they are read.
    pub(crate) async fn recorded(files: Vec<PathBuf>) -> Result<Feed> {
        let mut config = Config::default();
        config.recorded.files = files;
        config.recorded.speed = Speed::Max;
        Feed::start(config).await
    }

    /// Trades of now.
    pub(crate) async fn live() -> Result<Feed> {
        Feed::start(Config::default()).await
    }

    /// Ends it, and frees its port.
    pub(crate) async fn end(self) {
        self.control.drop_connections();
        self.shutdown.cancel();
        let _ended = self.running.await;
    }
}
