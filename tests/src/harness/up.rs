//! `tickberry up` on addresses of its own.

use super::{Client, Database, Host, Process, Stream, TempHome, command, eventually};
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The name of a feed that is not said to be simulated.
pub const SOURCE: &str = "finnhub";
/// The token the gateway gets; it must never be seen in a log.
pub const TOKEN: &str = "c0ffee-secret-token-of-the-tests";

/// What `up` is told.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--http`.
    pub http: SocketAddr,
    /// `--mqtt`.
    pub mqtt: SocketAddr,
    /// `--finnhub-url`.
    pub finnhub_url: String,
    /// `--symbols`.
    pub symbols: String,
    /// More options.
    pub more: Vec<String>,
    /// More environment.
    pub environment: Vec<(String, String)>,
}

impl UpOptions {
    /// Ports of a host of its own, data in `home`, and a feed at `feed`.
    pub fn new(home: &TempHome, feed: SocketAddr) -> UpOptions {
        let host = Host::unique();
        UpOptions {
            data_dir: home.join("data"),
            http: host.free(),
            mqtt: host.free(),
            finnhub_url: format!("ws://{feed}"),
            symbols: crate::generate::SYMBOLS.join(","),
            more: Vec::new(),
            environment: vec![("FINNHUB_TOKEN".to_owned(), TOKEN.to_owned())],
        }
    }

    /// The arguments.
    pub fn arguments(&self) -> Vec<String> {
        let pairs = [
            ("--data-dir", self.data_dir.display().to_string()),
            ("--http", self.http.to_string()),
            ("--mqtt", self.mqtt.to_string()),
            ("--finnhub-url", self.finnhub_url.clone()),
            ("--symbols", self.symbols.clone()),
        ];
        let own = pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]);
        ["up".to_owned()].into_iter().chain(own).chain(self.more.iter().cloned()).collect()
    }
}

/// A running `tickberry up`.
#[derive(Debug)]
pub struct Up {
    /// The child.
    pub process: Process,
    /// Its API.
    pub http: Client,
    /// What it was told.
    pub options: UpOptions,
}

impl Up {
    /// Starts it and waits until it says that it is ready.
    pub async fn start(home: &TempHome, options: &UpOptions) -> Result<Up> {
        let mut up = Up::spawn(home, options)?;
        up.ready().await?;
        Ok(up)
    }

    /// Starts it. Its log is `up.log`, one file for all its lives in this home.
    pub fn spawn(home: &TempHome, options: &UpOptions) -> Result<Up> {
        let arguments = options.arguments();
        let mut command = command(home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command.envs(options.environment.iter().cloned());
        let process = Process::start(command, home.join("up.log"))?;
        Ok(Up { process, http: Client::new(options.http), options: options.clone() })
    }

    /// Waits until it is ready; an end before that is an error with the log.
    pub async fn ready(&mut self) -> Result<()> {
        let Up { process, http, .. } = self;
        eventually(Duration::from_secs(30), "up is ready", async || {
            process.must_live()?;
            http.ready().await
        })
        .await
    }

    /// Waits until the store holds everything the journal had when it had at least `records`. (Not until both
    /// are equal: in the minute after the last trade ticks may go on.)
    pub async fn all_stored(&mut self, records: u64, deadline: Duration) -> Result<Stream> {
        let Up { process, http, .. } = self;
        let mut goal = None;
        eventually(deadline, &format!("{records} records are stored"), async || {
            process.must_live()?;
            let stream = http.stream(SOURCE).await?;
            ensure!(stream.head >= records, "{stream:?}");
            let goal = *goal.get_or_insert(stream.head);
            ensure!(stream.stored >= goal, "{stream:?}, goal {goal}");
            Ok(stream)
        })
        .await
    }

    /// Its SQLite file.
    pub fn database(&self) -> Result<Database> {
        Database::open(&self.options.data_dir)
    }

    /// SIGTERM: it must end with 0 within 5 seconds.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.process.sigterm(Duration::from_secs(5)).await?;
        ensure!(status.code() == Some(0), "stopped as asked, but it ended with {status}");
        Ok(())
    }
}
