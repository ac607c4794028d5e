//! A disk with a volatile cache, as nbdkit serves it.

use super::lab::{Lab, copy_sparse, guarded};
use crate::harness::{Process, TempHome, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// What the disk does when it is told to flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// It writes what is in its cache, and says so then.
    Honest,
    /// It says so.
    Lying,
}

/// An image that outlives cuts, and the cache in front of it, which does not.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    nbdkit: Option<Process>,
}

impl Disk {
    /// An empty ext4 file system.
    pub async fn new(lab: &Lab, home: &TempHome, name: &str) -> Result<Disk> {
        let file = |end: &str| home.join(&format!("{name}.{end}"));
        let disk = Disk { image: file("img"), socket: file("sock"), log: file("log"), nbdkit: None };
        copy_sparse(&lab.empty_disk(), &disk.image).await?;
        Ok(disk)
    }

    /// Starts it with an empty cache.
    pub async fn on(&mut self, card: Card) -> Result<()> {
        if self.socket.exists() {
            std::fs::remove_file(&self.socket)?;
        }
        let mut command = guarded("nbdkit");
        command.arg("--foreground").arg("--unix").arg(&self.socket).args(["--filter=cache", "file"]);
        command.arg(&self.image).arg(match card {
            Card::Honest => "cache=writeback",
            Card::Lying => "cache=unsafe",
        });
        let mut process = Process::start(command, self.log.clone())?;
        eventually(Duration::from_secs(10), "nbdkit listens", async || {
            process.must_live()?;
            ensure!(self.socket.exists(), "no socket");
            Ok(())
        })
        .await?;
        self.nbdkit = Some(process);
        Ok(())
    }

    /// How the machine finds it. The host's cache is left out; the guest sees one that it has to flush.
    pub fn drive(&self) -> String {
        format!("file=nbd+unix:///?socket={},format=raw,if=virtio,cache=none", self.socket.display())
    }

    /// An error if it has ended by itself.
    pub fn must_live(&mut self) -> Result<()> {
        self.nbdkit.as_mut().map_or(Ok(()), |process| process.must_live().context("nbdkit"))
    }

    /// SIGKILL, without waiting.
    pub fn cut(&self) -> Result<()> {
        self.nbdkit.as_ref().map_or(Ok(()), |process| process.signal(Signal::KILL))
    }

    /// Waits until it is gone.
    pub async fn gone(&mut self) -> Result<()> {
        match self.nbdkit.take() {
            Some(mut process) => process.kill9().await,
            None => Ok(()),
        }
    }
}
