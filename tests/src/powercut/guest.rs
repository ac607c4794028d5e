//! One life of the virtual machine, from the boot to the cut.

use super::disk::Disk;
use super::lab::{Lab, guarded};
use crate::harness::{Client, Database, Host, Process, TempHome, eventually};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::Duration;

/// Where the first process lets files be read.
const FILES: u16 = 8081;
/// The kernel of a machine that is calculated, not real: no waiting for timers, no self-defence, no colours.
const KERNEL: &str = "quiet panic=-1 mitigations=off nokaslr audit=0";
/// What must not be said on the console, whatever else is.
const ALARMS: [&str; 6] =
    ["POWERCUT FAILED", "panicked at", "Kernel panic", "EXT4-fs error", "ERROR", "Out of memory"];

/// A machine that runs.
#[derive(Debug)]
pub struct Guest {
    qemu: Process,
    /// The program's HTTP.
    pub http: Client,
    /// The program's taps.
    pub mqtt: SocketAddr,
    files: Client,
}

impl Guest {
    /// Switches the machine on; its disks are on. Its console goes to `serial-NUMBER.log`.
    pub fn boot(
        lab: &Lab,
        home: &TempHome,
        disks: &[Disk],
        settings: &[(&str, String)],
        number: u32,
    ) -> Result<Guest> {
        let host = Host::unique();
        let (http, mqtt, files) = (host.free(), host.free(), host.free());
        let settings: String =
            settings.iter().map(|(key, value)| format!(" TICKBERRY_{key}={value}")).collect();
        let forward = |at: SocketAddr, port: u16| format!(",hostfwd=tcp:{at}-:{port}");
        let network =
            ["user,id=n,ipv6=off", &forward(http, 8080), &forward(mqtt, 1883), &forward(files, FILES)]
                .concat();
        let (emulator, machine) = lab.processor().qemu();
        let mut command = guarded(emulator);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
        ]);
        command.args(machine).args(["-accel", "tcg,tb-size=256", "-m", "256"]);
        command.arg("-kernel").arg(lab.kernel()).arg("-initrd").arg(lab.initrd());
        command.arg("-append").arg(format!("{} {KERNEL}{settings}", lab.processor().kernel_words()));
        for disk in disks {
            command.arg("-drive").arg(disk.drive());
        }
        command.arg("-netdev").arg(network).args(["-device", "virtio-net-pci,netdev=n,romfile="]);
        let qemu = Process::start(command, home.join(&format!("serial-{number:03}.log")))?;
        Ok(Guest { qemu, http: Client::new(http), mqtt, files: Client::new(files) })
    }

    /// What the machine's console says.
    pub fn serial(&self) -> String {
        self.qemu.log()
    }

    /// An error if it has ended, or if its console says that something went wrong; `expected` may be said.
    pub fn must_be_well(&mut self, expected: Option<&str>) -> Result<()> {
        let serial = self.serial();
        let alarm = |line: &&str| ALARMS.iter().any(|alarm| line.contains(alarm));
        let as_expected = |line: &str| expected.is_some_and(|words| line.contains(words));
        if let Some(line) = serial.lines().find(|line| alarm(line) && !as_expected(line)) {
            bail!("the machine's console says: {line}");
        }
        self.qemu.must_live().context("the machine")
    }

    /// Waits until the program has been started.
    pub async fn up(&mut self) -> Result<()> {
        eventually(Duration::from_secs(60), "the machine starts the program", async || {
            self.must_be_well(None)?;
            ensure!(self.serial().contains("POWERCUT UP"), "not yet");
            Ok(())
        })
        .await
    }

    /// Waits until the program is ready; `expected` may be said on the console.
    pub async fn ready(&mut self, expected: Option<&str>) -> Result<()> {
        self.up().await?;
        eventually(Duration::from_secs(60), "the program is ready", async || {
            self.must_be_well(expected)?;
            // Before the program listens, the connection stands and nobody answers.
            tokio::time::timeout(Duration::from_millis(700), self.http.ready()).await?
        })
        .await
    }

    /// A copy of the store in a folder of ours. It is whole only if nothing is written meanwhile.
    pub async fn database(&self, folder: &str, home: &TempHome) -> Result<Database> {
        let copy = home.join("copy");
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        std::fs::create_dir(&copy)?;
        for name in ["tickberry.sqlite3", "tickberry.sqlite3-wal"] {
            let (status, body) = self.files.get(&format!("/{folder}/{name}")).await?;
            ensure!(status == 200 || name.ends_with("-wal"), "{name}: {status}");
            if status == 200 {
                std::fs::write(copy.join(name), body)?;
            }
        }
        Database::open(&copy)
    }

    /// SIGKILL to the machine and to the caches of its disks.
    pub async fn cut(mut self, disks: &mut [Disk]) -> Result<()> {
        self.qemu.signal(Signal::KILL)?;
        disks.iter().try_for_each(Disk::cut)?;
        self.qemu.kill9().await?;
        for disk in disks {
            disk.gone().await?;
        }
        Ok(())
    }
}
