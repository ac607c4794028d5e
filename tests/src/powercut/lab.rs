//! What is booted, as `scripts/powercut-lab` leaves it, and children that cannot outlive this process.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The folder with kernel, first file system and empty disk.
#[derive(Debug, Clone)]
pub struct Lab(PathBuf, Processor);

/// What the machine calculates with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// A PC.
    Amd64,
    /// A Pi's.
    Arm64,
}

impl Processor {
    /// The emulator's name, and its arguments for such a machine.
    pub fn qemu(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Amd64 => ("qemu-system-x86_64", &["-machine", "pc", "-cpu", "Nehalem,+rdrand"]),
            // What a Pi 4 has.
            Self::Arm64 => ("qemu-system-aarch64", &["-machine", "virt", "-cpu", "cortex-a72"]),
        }
    }

    /// What only this one's kernel is told: where its console is, and not to wait for what is calculated.
    pub fn kernel_words(self) -> &'static str {
        match self {
            Self::Amd64 => "console=ttyS0 no_timer_check tsc=reliable",
            Self::Arm64 => "console=ttyAMA0",
        }
    }
}

impl Lab {
    /// The folder that `TB_LAB` names.
    pub fn find() -> Result<Lab> {
        let folder = std::env::var_os("TB_LAB").context("TB_LAB is not set: use make powercut")?;
        let folder = PathBuf::from(folder);
        let machine = std::fs::read_to_string(folder.join("machine")).unwrap_or_default();
        let processor = match machine.trim() {
            "amd64" => Processor::Amd64,
            "arm64" => Processor::Arm64,
            other => {
                bail!("{}/machine says {other:?}, not amd64 or arm64: use make powercut", folder.display())
            }
        };
        let lab = Lab(folder, processor);
        for file in [lab.kernel(), lab.initrd(), lab.empty_disk()] {
            ensure!(file.is_file(), "{} is not there: use make powercut", file.display());
        }
        Ok(lab)
    }

    /// What it is for.
    pub fn processor(&self) -> Processor {
        self.1
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
