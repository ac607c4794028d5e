//! The simulator in the test's own process, so that the test holds its levers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tickberry_simulator::{Config, Control, SecondConnection, Simulator, Speed};
use tickberry_tests::generate;
use tickberry_tests::harness::{Host, TempHome};
use tickberry_tests::oracle::Sent;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a recording is played.
#[derive(Debug, Clone)]
pub(crate) struct Play {
    /// Trades a frame.
    pub(crate) frame: usize,
    /// Disorder of arrival.
    pub(crate) shuffle: Duration,
    /// Copies that follow each frame.
    pub(crate) copies: u32,
}

/// A running simulator; dropped, it ends.
pub(crate) struct Feed {
    address: SocketAddr,
    control: Control,
    _running: DropGuard,
}

impl Feed {
    async fn start(config: Config) -> Feed {
        let config = Config { listen: Host::unique().at(0), ..config };
        let simulator = Simulator::build(config).await.expect("the simulator binds");
        let (address, control) = (simulator.address(), simulator.control());
        let shutdown = CancellationToken::new();
        tokio::spawn(simulator.run(shutdown.clone()));
        Feed { address, control, _running: shutdown.drop_guard() }
    }

    /// Generated trades of now, at a multiple of the measured activity.
    pub(crate) async fn generated(rate: f64) -> Feed {
        let mut config = Config { second_connection: SecondConnection::DropFirst, ..Config::default() };
        config.generated.rate = rate;
        Feed::start(config).await
    }

    /// Recordings, as fast as they are read.
    pub(crate) async fn recorded(files: Vec<PathBuf>, play: &Play) -> Feed {
        let mut config = Config { frame_trades: play.frame, ..Config::default() };
        config.recorded.files = files;
        config.recorded.speed = Speed::Max;
        config.recorded.shuffle = play.shuffle;
        config.repeat_frames = play.copies;
        config.repeat_probability = 1.0;
        Feed::start(config).await
    }

    /// Recordings at a multiple of real speed.
    pub(crate) async fn recorded_times(files: Vec<PathBuf>, times: f64) -> Feed {
        let mut config = Config::default();
        config.recorded.files = files;
        config.recorded.speed = Speed::Times(times);
        Feed::start(config).await
    }

    /// Recordings at once, moved in time so that they end now.
    pub(crate) async fn recorded_now(files: Vec<PathBuf>) -> Feed {
        let mut config = Config::default();
        config.recorded.files = files;
        config.recorded.speed = Speed::Max;
        config.recorded.shift_to_now = true;
        Feed::start(config).await
    }

    /// A feed that has never heard of any trade: only what is injected is sent.
    pub(crate) async fn silent<'a>(symbols: impl Iterator<Item = &'a str>) -> Feed {
        let silent = symbols.map(str::to_owned).collect();
        Feed::start(Config { silent, ..Config::default() }).await
    }

    /// A feed that knows no key.
    pub(crate) async fn refusing() -> Feed {
        let feed = Feed::start(Config::default()).await;
        feed.control.refuse(Some(401));
        feed
    }

    /// Trades as recordings in a home.
    pub(crate) fn files(home: &TempHome, sent: &[Sent]) -> Vec<PathBuf> {
        let file = |symbol: &&str| {
            let path = home.join(&format!("{}.csv.gz", symbol.replace(':', "-")));
            generate::record(&path, symbol, sent).expect("the home can be written");
            path
        };
        generate::SYMBOLS.iter().map(file).collect()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its levers.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Connections it ever let in.
    pub(crate) fn connections(&self) -> u64 {
        self.control.counts().connections
    }

    /// No more trades: connections end and none is let in any more.
    pub(crate) fn silence(&self) {
        self.control.refuse(Some(401));
        self.control.drop_connections();
    }
}
