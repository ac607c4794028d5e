//! How a process and its host are: memory, processor, temperature, throttling, disk. Read from `/proc` and `/sys`;
//! what a host does not tell is left out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Time between two looks: what is read costs little, but is not worth a look a second.
pub const PERIOD_MS: i64 = 15_000;

/// Bytes of a sector, whatever the disk's own are.
const SECTOR: u64 = 512;
/// Of `/proc/self/stat`; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Under-voltage, frequency capped, throttled, soft temperature limit: now. The higher bits say "since the start".
const THROTTLED_NOW: u32 = 0xf;

/// Part of a service's status.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// When it was looked at, ms since 1970 UTC by the host's clock.
    pub at_ms: i64,
    /// The service's process.
    pub process: Process,
    /// The host it runs on.
    pub host: HostHealth,
}

/// A process.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Memory that is resident.
    pub resident_bytes: Option<u64>,
    /// Time on a processor since it started.
    pub cpu_seconds: Option<f64>,
}

/// A host, and the disk of the data directory.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct HostHealth {
    /// Of the hottest zone.
    pub temperature_celsius: Option<f64>,
    /// 1 while a Pi's firmware slows it down or misses voltage.
    pub throttled: Option<u8>,
    /// What is free for services.
    pub disk_free_bytes: Option<u64>,
    /// The file system's size.
    pub disk_total_bytes: Option<u64>,
    /// Written to the whole disk by everybody since the host started.
    pub written_bytes: Option<u64>,
    /// Memory that could be had.
    pub memory_available_bytes: Option<u64>,
}

/// Looks from time to time.
#[derive(Debug)]
pub struct Sampler {
    proc: PathBuf,
    data_dir: PathBuf,
    /// Found once: the files of this host.
    zones: Vec<PathBuf>,
    throttled: Option<PathBuf>,
    disk: Option<PathBuf>,
    last: Option<Health>,
}

impl Sampler {
    /// Of this process, this host and the disk of `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self::of("/proc".into(), Path::new("/sys"), data_dir)
    }

    fn of(proc: PathBuf, sys: &Path, data_dir: &Path) -> Self {
        let zones = entries(&sys.join("class/thermal"), |name| name.starts_with("thermal_zone"));
        let zones = zones.into_iter().map(|zone| zone.join("temp")).collect();
        let throttled = throttled(sys);
        let disk = disk(sys, data_dir);
        Self { proc, data_dir: data_dir.to_owned(), zones, throttled, disk, last: None }
    }

    /// The last look; a new one if that was [`PERIOD_MS`] ago, or the clock was set.
    pub fn look(&mut self, now_ms: i64) -> Health {
        let fresh = |health: &Health| (0..PERIOD_MS).contains(&(now_ms - health.at_ms));
        match self.last.filter(fresh) {
            Some(health) => health,
            None => *self.last.insert(self.now(now_ms)),
        }
    }

    fn now(&self, at_ms: i64) -> Health {
        let text = |path: &Path| fs::read_to_string(path).ok();
        let kilobytes = |file: &str, key: &str| {
            let text = text(&self.proc.join(file))?;
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        let process = Process {
            resident_bytes: kilobytes("self/status", "VmRSS:"),
            cpu_seconds: text(&self.proc.join("self/stat")).and_then(|stat| cpu_seconds(&stat)),
        };
        let degrees = |path: &PathBuf| text(path)?.trim().parse::<f64>().ok().map(|milli| milli / 1000.0);
        let space = rustix::fs::statvfs(&self.data_dir).ok();
        let host = HostHealth {
            temperature_celsius: self.zones.iter().filter_map(degrees).reduce(f64::max),
            throttled: self.throttled.as_deref().and_then(text).and_then(|bits| throttled_now(&bits)),
            disk_free_bytes: space.as_ref().map(|space| space.f_bavail * space.f_frsize),
            disk_total_bytes: space.map(|space| space.f_blocks * space.f_frsize),
            written_bytes: self.disk.as_deref().and_then(text).and_then(|stat| written(&stat)),
            memory_available_bytes: kilobytes("meminfo", "MemAvailable:"),
        };
        Health { at_ms, process, host }
    }
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let there = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = there
        .filter(|entry| wanted(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The firmware's word on a Pi: `devices/platform/soc/soc:firmware/get_throttled`, with an address in both names on a Pi 5.
fn throttled(sys: &Path) -> Option<PathBuf> {
    let socs = entries(&sys.join("devices/platform"), |name| name.starts_with("soc"));
    let firmware = |soc: PathBuf| entries(&soc, |name| name.ends_with(":firmware"));
    socs.into_iter().flat_map(firmware).map(|folder| folder.join("get_throttled")).find(|file| file.is_file())
}

/// The counters of the whole disk on which a folder is.
fn disk(sys: &Path, folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
    let whole = if device.join("partition").is_file() { device.parent()?.to_owned() } else { device };
    Some(whole.join("stat"))
}

/// User and system time, after the name in parentheses, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after = stat.rsplit_once(')')?.1;
    let ticks: Vec<f64> =
        after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

fn throttled_now(bits: &str) -> Option<u8> {
    let bits = u32::from_str_radix(bits.trim().trim_start_matches("0x"), 16).ok()?;
    Some(u8::from(bits & THROTTLED_NOW != 0))
}

fn written(stat: &str) -> Option<u64> {
    Some(stat.split_whitespace().nth(6)?.parse::<u64>().ok()? * SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_pi_says_all_of_it() {
        let home = tempfile::tempdir().unwrap();
        let (proc, sys) = (home.path().join("proc"), home.path().join("sys"));
        write(proc.join("self/status"), "Name:\tx\nVmRSS:\t   18432 kB\nThreads:\t9\n");
        write(proc.join("self/stat"), "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1 2 3");
        write(proc.join("meminfo"), "MemTotal: 948304 kB\nMemAvailable:     524288 kB\n");
        write(sys.join("class/thermal/thermal_zone0/temp"), "48312\n");
        write(sys.join("class/thermal/thermal_zone1/temp"), "51000\n");
        write(sys.join("class/thermal/cooling_device0/temp"), "99000\n");
        write(sys.join("devices/platform/soc/soc:firmware/get_throttled"), "50005\n");
        let device = fs::metadata(home.path()).unwrap().dev();
        let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        write(sys.join("block/mmcblk0/stat"), "  10 1 80 5  200 3  1600 40 0 90 100\n");
        write(sys.join("block/mmcblk0/mmcblk0p2/partition"), "2\n");
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        std::os::unix::fs::symlink("../../block/mmcblk0/mmcblk0p2", sys.join("dev/block").join(name))
            .unwrap();

        let mut sampler = Sampler::of(proc, &sys, home.path());
        let health = sampler.look(1_000);
        assert_eq!(health.process, Process { resident_bytes: Some(18_432 * 1024), cpu_seconds: Some(3.0) });
        let host = health.host;
        assert_eq!((host.temperature_celsius, host.throttled), (Some(51.0), Some(1)));
        assert_eq!((host.written_bytes, host.memory_available_bytes), (Some(819_200), Some(512 << 20)));
        assert!(host.disk_free_bytes.unwrap() <= host.disk_total_bytes.unwrap());

        write(sys.join("devices/platform/soc/soc:firmware/get_throttled"), "50000\n");
        assert_eq!(sampler.look(15_999), health, "not yet");
        assert_eq!(sampler.look(16_000).host.throttled, Some(0), "what was is not what is");
        assert_eq!(sampler.look(500).at_ms, 500, "the clock was set back");
    }

    #[test]
    fn this_host_says_what_it_can() {
        let health = Sampler::new(&std::env::temp_dir()).look(1);
        assert!(health.process.resident_bytes.unwrap() > 100_000);
        assert!(health.process.cpu_seconds.unwrap() >= 0.0);
        assert!(health.host.disk_total_bytes.unwrap() > 0);
        assert!(health.host.memory_available_bytes.unwrap() > 0);
    }

    #[test]
    fn a_host_that_says_nothing_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        let health = Sampler::of(home.path().join("proc"), &home.path().join("sys"), home.path()).look(1);
        assert_eq!(health.process, Process::default());
        assert_eq!((health.host.temperature_celsius, health.host.throttled), (None, None));
    }
}
