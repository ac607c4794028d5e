//! The binary as a child process.

use super::TempHome;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// `tickberry`, as built beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TB_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let path = folder.join("tickberry");
    assert!(path.is_file(), "{} is not there: run `cargo build` first", path.display());
    path
}

/// The binary with nothing of our own environment but PATH; `home` is its HOME.
pub fn command(home: &TempHome, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().env("HOME", home.path()).current_dir(home.path());
    command.env("RUST_BACKTRACE", "1").kill_on_drop(true).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// What a command that ended has left.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// Runs a command to its end, 20 seconds at most.
    pub async fn of(command: Command) -> Result<Finished> {
        Finished::within(Duration::from_secs(20), command).await
    }

    /// Runs a command to its end, for so long at most.
    pub async fn within(deadline: Duration, mut command: Command) -> Result<Finished> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let words = format!("{:?}", command.as_std());
        let output = tokio::time::timeout(deadline, command.output()).await;
        let output = output.with_context(|| format!("{words} did not end within {deadline:?}"))??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Finished {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        })
    }
}

/// A running child with its output in a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; both its outputs are appended to `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Process> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command.stdout(file.try_clone()?).stderr(file).spawn();
        Ok(Process { child: child.with_context(|| format!("starting {:?}", command.as_std()))?, log })
    }

    /// Everything it has said so far (with what earlier ones said to the same file).
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// An error with the log's end if it has ended by itself.
    pub fn must_live(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended with {status}; its log ends:\n{}", self.tail());
        }
        Ok(())
    }

    /// Waits for its end, at most for `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = tokio::time::timeout(deadline, self.child.wait()).await;
        Ok(status.with_context(|| format!("it did not end within {deadline:?}; log:\n{}", self.tail()))??)
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill9(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM; at most `deadline` later it must have ended.
    pub async fn sigterm(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(deadline).await
    }

    /// SIGKILL to its whole process group, which must be one of its own.
    pub fn kill_group(&self) -> Result<()> {
        let pid = Pid::from_raw(self.pid()? as i32).context("a process id is above 0")?;
        Ok(kill_process_group(pid, Signal::KILL)?)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()? as i32).context("a process id is above 0")?;
        Ok(kill_process(pid, signal)?)
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}
