//! The shelf of virtual Pis that `scripts/lab` boots: real systemd hosts, in a network of their own.

use super::{Finished, eventually};
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;

/// Its hosts; one more stands beside it, in no inventory.
pub const HOSTS: [&str; 4] = ["pi1", "pi2", "pi3", "pi4"];
/// Where it notes what runs.
pub const RUN: &str = "/run/tickberry-lab";
/// Where its disks are.
const DISKS: &str = "/var/tmp/tickberry-lab";

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lab")
}

/// A command of `scripts/lab`.
pub fn lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(script());
    command.args(arguments).kill_on_drop(true).stdin(std::process::Stdio::null());
    command
}

/// Where a host answers.
pub fn address(host: &str) -> String {
    format!("10.77.0.1{}", host.trim_start_matches("pi"))
}

/// What a playbook did.
#[derive(Debug)]
pub struct Played {
    /// The exit code.
    pub code: i32,
    /// All it said.
    pub out: String,
    /// Of each host the counts of the recap.
    pub recap: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Played {
    fn of(finished: Finished) -> Played {
        let recap = finished.out.rsplit_once("PLAY RECAP").map_or("", |(_, recap)| recap);
        let host = |line: &str| {
            let (host, counts) = line.split_once(" : ")?;
            let count = |word: &str| {
                let (name, number) = word.split_once('=')?;
                Some((name.to_owned(), number.parse().ok()?))
            };
            Some((host.trim().to_owned(), counts.split_whitespace().filter_map(count).collect()))
        };
        let recap = recap.lines().filter_map(host).collect();
        Played { code: finished.code, out: format!("{}{}", finished.out, finished.err), recap }
    }

    /// An error, with what went wrong, unless it went well on every host.
    pub fn well(&self) -> Result<()> {
        let wrong = self.out.lines().position(|line| line.starts_with("fatal:") || line.contains("FAILED!"));
        let from = wrong.unwrap_or_else(|| self.out.lines().count().saturating_sub(40));
        let table = self.out.lines().filter(|line| line.contains("FAIL  "));
        let words: Vec<&str> = table.chain(self.out.lines().skip(from).take(60)).collect();
        ensure!(self.code == 0, "it ended with {}:\n{}", self.code, words.join("\n"));
        Ok(())
    }

    /// An error unless each host was asked and nothing was changed.
    pub fn nothing_changed(&self) -> Result<()> {
        self.well()?;
        for host in HOSTS {
            let counts =
                self.recap.get(host).with_context(|| format!("{host} is not in {:?}", self.recap))?;
            let changed = self.out.lines().filter(|line| line.starts_with(&format!("changed: [{host}]")));
            let changed: Vec<&str> = changed.collect();
            ensure!(counts["changed"] == 0 && counts["ok"] > 5, "{host}: {counts:?} {changed:?}");
        }
        Ok(())
    }
}

/// The lab, up. Dropped, it is ended.
#[derive(Debug)]
pub struct Lab {
    said: Vec<String>,
    watched: Arc<Mutex<BTreeSet<String>>>,
    watching: Arc<AtomicBool>,
    outside: std::fs::File,
}

impl Lab {
    /// Boots all hosts; packages are looked for in `debs`. This thread is on the lab's network then.
    pub async fn up(debs: &Path) -> Result<Lab> {
        let mut command = lab(&["up"]);
        command.env("TICKBERRY_DEBS", debs);
        let (watched, watching) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        let outside = std::fs::File::open("/proc/thread-self/ns/net")?;
        let mut made = Lab { said: Vec::new(), watched, watching, outside };
        let finished = Finished::within(Duration::from_secs(20 * 60), command).await?;
        ensure!(finished.code == 0, "{finished:?}");
        made.said.push(format!("{}{}", finished.out, finished.err));
        made.watch();
        enter("tickberry-lab")?;
        Ok(made)
    }

    /// Notes the command line of every process of this machine, and so of every host, as `ps` would show it.
    #[expect(clippy::disallowed_methods, reason = "a look at intervals: nothing is waited for")]
    fn watch(&self) {
        let (watched, watching) = (self.watched.clone(), self.watching.clone());
        std::thread::spawn(move || {
            while watching.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    // Processes end meanwhile.
                    let Ok(words) = std::fs::read(entry.path().join("cmdline")) else { continue };
                    if !words.is_empty() {
                        let words = String::from_utf8_lossy(&words).replace('\0', " ");
                        watched.lock().unwrap_or_else(PoisonError::into_inner).insert(words);
                    }
                }
                std::thread::sleep(Duration::from_millis(40));
            }
        });
    }

    /// Every command line seen so far.
    pub fn command_lines(&self) -> Vec<String> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What playbooks said so far, with `-vvv`.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Plays a playbook to its end, as loudly as a person who looks for a fault would.
    pub async fn play(&mut self, verb: &str, more: &[&str]) -> Result<Played> {
        let finished = Finished::within(
            Duration::from_secs(15 * 60),
            lab(&[&["playbook", verb, "-vvv"], more].concat()),
        );
        let played = Played::of(finished.await.with_context(|| verb.to_owned())?);
        self.said.push(played.out.clone());
        Ok(played)
    }

    /// Runs something on a host, as root; what it said.
    pub async fn on(&self, host: &str, words: &str) -> Result<String> {
        let finished = Finished::within(Duration::from_secs(180), lab(&["ssh", host, words])).await?;
        ensure!(finished.code == 0, "{host}: {words}: {finished:?}");
        Ok(finished.out)
    }

    /// `kill`, `boot` or `fresh`.
    pub async fn host(&self, verb: &str, host: &str, more: &[&str]) -> Result<()> {
        let command = lab(&[&[verb, host], more].concat());
        let finished = Finished::within(Duration::from_secs(240), command).await?;
        ensure!(finished.code == 0, "{verb} {host}: {finished:?}");
        Ok(())
    }

    /// The contents of every file of secrets the playbooks made.
    pub fn secrets(&self) -> Result<Vec<(String, String)>> {
        let mut secrets = Vec::new();
        for entry in std::fs::read_dir(Path::new(RUN).join("secrets"))? {
            let entry = entry?;
            let text = std::fs::read_to_string(entry.path())?.trim().to_owned();
            ensure!(text.len() >= 12, "{} is no secret: {} characters", entry.path().display(), text.len());
            secrets.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
        Ok(secrets)
    }

    /// Ends it; an error if anything is left.
    pub async fn down(mut self) -> Result<()> {
        self.watching.store(false, Ordering::Relaxed);
        enter_file(&self.outside, "the network outside")?;
        down().await?;
        self.said.clear();
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.watching.store(false, Ordering::Relaxed);
        if std::env::var_os("TB_KEEP").is_some() {
            eprintln!("the lab goes on: scripts/lab ssh HOST, scripts/lab down");
            return;
        }
        // Its consoles go with it.
        let _here = enter_file(&self.outside, "the network outside");
        if let Err(error) = std::process::Command::new(script()).arg("down").status() {
            eprintln!("scripts/lab down: {error}");
        }
    }
}

/// `scripts/lab down`, and a look whether anything is left.
pub async fn down() -> Result<()> {
    let finished = Finished::within(Duration::from_secs(120), lab(&["down"])).await?;
    ensure!(finished.code == 0, "{finished:?}");
    // A folder of groups goes when the kernel has forgotten the last process in it.
    eventually(Duration::from_secs(5), "nothing of the lab is left", async || nothing_left().await).await
}

/// An error if there is anything of a lab on this machine.
pub async fn nothing_left() -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["netns", "list"]);
    let namespaces = Finished::of(command).await?.out;
    ensure!(!namespaces.contains("tickberry-lab"), "namespaces: {namespaces}");
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    ensure!(!mounts.contains("tickberry-lab"), "mounts: {mounts}");
    for folder in [RUN, DISKS, "/sys/fs/cgroup/systemd/tickberry-lab", "/sys/fs/cgroup/tickberry-lab"] {
        ensure!(!Path::new(folder).exists(), "{folder} is there");
    }
    let emulation = "/proc/sys/fs/binfmt_misc/tickberry-lab-aarch64";
    ensure!(!Path::new(emulation).exists(), "{emulation} is there");
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let ours = words.contains(DISKS) || words.contains(RUN);
        ensure!(!ours, "a process: {words}");
    }
    Ok(())
}

/// Connections that this thread makes from now on leave from there: `tickberry-lab`, or `tickberry-lab-HOST`.
pub fn enter(namespace: &str) -> Result<()> {
    let path = Path::new("/run/netns").join(namespace);
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    enter_file(&file, namespace)
}

fn enter_file(file: &std::fs::File, name: &str) -> Result<()> {
    let entered = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
    entered.with_context(|| format!("entering {name}"))
}
