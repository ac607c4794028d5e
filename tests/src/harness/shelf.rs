//! The roles as processes of their own, as on a shelf: gateway, broker, any number of aggregators.

use super::{Client, Database, Host, Process, TempHome, command, up::TOKEN};
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What services say to the broker.
pub const PASSWORD: &str = "a-shared-secret-of-the-tests";

/// A role in a process of its own.
#[derive(Debug)]
pub struct Role {
    /// The child.
    pub process: Process,
    /// Its HTTP.
    pub http: Client,
    /// Where it keeps its files.
    pub folder: PathBuf,
}

impl Role {
    fn start(home: &TempHome, role: &str, name: &str, http: SocketAddr, settings: &str) -> Result<Role> {
        let data_dir = home.join(name);
        let config = home.join(&format!("{name}.toml"));
        let text = format!("node = \"{name}\"\n[http]\n{role} = \"{http}\"\n{settings}");
        std::fs::write(&config, text)?;
        let (config, data) = (config.display().to_string(), data_dir.display().to_string());
        let mut command = command(home, &[role, "--config", &config, "--data-dir", &data]);
        command.env("BUS_PASSWORD", PASSWORD);
        if role == "gateway" {
            command.env("FINNHUB_TOKEN", TOKEN);
        }
        let process = Process::start(command, home.join(&format!("{name}.log")))?;
        // Each role keeps to a folder of its own below the data directory.
        Ok(Role { process, http: Client::new(http), folder: data_dir.join(role) })
    }

    /// A broker; gives the address for services and the one for taps.
    pub fn broker(home: &TempHome) -> Result<(Role, SocketAddr, SocketAddr)> {
        let host = Host::unique();
        let (services, taps) = (host.free(), host.free());
        let settings = format!("[broker]\nservices = \"{services}\"\ntaps = \"{taps}\"\n");
        Ok((Role::start(home, "broker", "broker", host.free(), &settings)?, services, taps))
    }

    /// A gateway of both default symbols that reaches its broker at `bus`.
    pub fn gateway(home: &TempHome, bus: SocketAddr, feed: SocketAddr) -> Result<Role> {
        let settings = format!("[bus]\naddress = \"{bus}\"\n[gateway]\nfinnhub_url = \"ws://{feed}\"\n");
        Role::start(home, "gateway", "gateway", Host::unique().free(), &settings)
    }

    /// An aggregator with a store of its own that reaches its broker at `bus`.
    pub fn aggregator(home: &TempHome, name: &str, bus: SocketAddr) -> Result<Role> {
        let settings = format!("[bus]\naddress = \"{bus}\"\n");
        Role::start(home, "aggregator", name, Host::unique().free(), &settings)
    }

    /// Its SQLite file.
    pub fn database(&self) -> Result<Database> {
        Database::open(&self.folder)
    }

    /// SIGTERM: it must end with 0 within 5 seconds.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.process.sigterm(Duration::from_secs(5)).await?;
        ensure!(status.code() == Some(0), "stopped as asked, but it ended with {status}");
        Ok(())
    }
}
