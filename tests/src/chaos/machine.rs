//! A role as a process that is killed and started again, with the same files and addresses each time.

use crate::harness::{Client, Process, TempHome, command};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A process, or the place of one that is away.
#[derive(Debug)]
pub struct Machine {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    /// Its HTTP.
    pub http: Client,
    /// Where it keeps its files.
    pub folder: PathBuf,
    process: Option<Process>,
}

impl Machine {
    /// A role by a name; it is not started yet.
    pub fn new(
        home: &TempHome,
        role: &str,
        name: &str,
        http: SocketAddr,
        settings: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Result<Machine> {
        let (config, data) = (home.join(&format!("{name}.toml")), home.join(name));
        std::fs::write(&config, format!("node = \"{name}\"\n{settings}[http]\n{role} = \"{http}\"\n"))?;
        let (config, data_dir) = (config.display().to_string(), data.display().to_string());
        let arguments = [role, "--config", &config, "--data-dir", &data_dir].map(str::to_owned).to_vec();
        Ok(Machine {
            name: name.to_owned(),
            arguments,
            environment,
            log: home.join(&format!("{name}.log")),
            http: Client::new(http),
            folder: data.join(role),
            process: None,
        })
    }

    /// Starts it, unless it runs.
    pub fn start(&mut self, home: &TempHome) -> Result<()> {
        if self.process.is_none() {
            let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
            let mut command = command(home, &arguments);
            command.envs(self.environment.iter().map(|(key, value)| (key, value)));
            self.process = Some(Process::start(command, self.log.clone())?);
        }
        Ok(())
    }

    /// SIGKILL. True if there was something to kill: an end of its own is an error.
    pub async fn kill(&mut self) -> Result<bool> {
        self.must_live()?;
        let Some(mut process) = self.process.take() else { return Ok(false) };
        process.kill9().await.with_context(|| format!("killing {}", self.name))?;
        Ok(true)
    }

    /// SIGSTOP or SIGCONT, where there is a process.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.must_live()?;
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    /// An error if it has ended by itself.
    pub fn must_live(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.must_live().with_context(|| self.name.clone()),
            None => Ok(()),
        }
    }

    /// Whether there is a process.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }
}
