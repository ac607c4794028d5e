//! The roles as processes of their own, as on a shelf: gateway, broker, any number of aggregators.

use super::{Client, Database, Host, Process, TempHome, command, up::TOKEN};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

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
    arguments: Vec<String>,
    log: PathBuf,
}

impl Role {
    fn start(home: &TempHome, role: &str, name: &str, http: SocketAddr, settings: &str) -> Result<Role> {
        Role::start_in(home, home.join(name), role, name, http, settings)
    }

    fn start_in(
        home: &TempHome,
        data_dir: PathBuf,
        role: &str,
        name: &str,
        http: SocketAddr,
        settings: &str,
    ) -> Result<Role> {
        let config = home.join(&format!("{name}.toml"));
        let text = format!("node = \"{name}\"\n[http]\n{role} = \"{http}\"\n{settings}");
        std::fs::write(&config, text)?;
        let (config, data) = (config.display().to_string(), data_dir.display().to_string());
        let arguments = [role, "--config", &config, "--data-dir", &data].map(str::to_owned).to_vec();
        let log = home.join(&format!("{name}.log"));
        let process = Process::start(Role::command(home, &arguments), log.clone())?;
        // Each role keeps to a folder of its own below the data directory.
        Ok(Role { process, http: Client::new(http), folder: data_dir.join(role), arguments, log })
    }

    fn command(home: &TempHome, arguments: &[String]) -> Command {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(home, &arguments);
        command.env("BUS_PASSWORD", PASSWORD);
        if arguments[0] == "gateway" {
            command.env("FINNHUB_TOKEN", TOKEN);
        }
        command
    }

    /// Starts it again as it was, after its process has ended.
    pub fn start_again(&mut self, home: &TempHome) -> Result<()> {
        self.process = Process::start(Role::command(home, &self.arguments), self.log.clone())?;
        Ok(())
    }

    /// A page beside an aggregator; gives its address.
    pub fn console(home: &TempHome, bus: SocketAddr, aggregator: &Role) -> Result<(Role, SocketAddr)> {
        let page = Host::unique().free();
        let data_dir = aggregator.folder.parent().context("a role's folder is in the data directory")?;
        let settings = format!("[bus]\naddress = \"{bus}\"\n");
        let role = Role::start_in(home, data_dir.into(), "console", "console", page, &settings)?;
        Ok((role, page))
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
