//! What is booted, as `scripts/powercut-lab` leaves it, and children that cannot outlive this process.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The folder with kernel, first file system and empty disk.
#[derive(Debug, Clone)]
pub struct Lab(PathBuf);

impl Lab {
    /// The folder that `TB_LAB` names.
    pub fn find() -> Result<Lab> {
        let folder = std::env::var_os("TB_LAB").context("TB_LAB is not set: use make powercut")?;
        let lab = Lab(folder.into());
        for file in [lab.kernel(), lab.initrd(), lab.empty_disk()] {
            ensure!(file.is_file(), "{} is not there: use make powercut", file.display());
        }
        Ok(lab)
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.0.join("vmlinuz")
    }

    /// The first file system: busybox, drivers and the program.
    pub fn initrd(&self) -> PathBuf {
        self.0.join("initrd")
    }

    /// An ext4 file system without files.
    pub fn empty_disk(&self) -> PathBuf {
        self.0.join("empty.img")
    }
}

/// A command that dies with this process, however that dies.
pub fn guarded(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Copies a file with holes.
pub async fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let status = guarded("cp").arg("--sparse=always").args([from, to]).status().await?;
    ensure!(status.success(), "{} could not be copied to {}: {status}", from.display(), to.display());
    Ok(())
}
