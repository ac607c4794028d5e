//! A disk that cannot be written is a state: the process lives, says so, and heals by itself when the disk does.
//!
//! The disks are small ones in memory, in a mount namespace of the process's own. Those with a real file system on a
//! loop device need root.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tickberry_tests::harness::{
    Browser, Client, Database, Journal, Process, SOURCE, TempHome, UpOptions, binary, eventually, turn,
};
use tickberry_tests::oracle::{matched, minutes, same};
use tickberry_tests::skipped;
use tokio::process::Command;

/// How a small disk is made: a part of a shell script that mounts `$DATA`, with `$LAB` to put things in.
struct Disk {
    /// A loop device and a real file system need root; memory does not.
    root: bool,
    mount: String,
}

impl Disk {
    /// A file system in memory.
    fn memory(options: &str) -> Disk {
        Disk { root: false, mount: format!("mount -t tmpfs -o {options} none \"$DATA\"") }
    }

    /// Ext4 on a loop device.
    fn ext4() -> Disk {
        let mount = "mkdir \"$LAB\" && mount -t tmpfs none \"$LAB\" && truncate -s 100M \"$LAB/image\" &&
            mkfs.ext4 -q -e remount-ro \"$LAB/image\" && mount -o loop \"$LAB/image\" \"$DATA\"";
        Disk { root: true, mount: mount.to_owned() }
    }

    /// The same, on an ext4 that is mounted at `$LAB` itself, to make it fail below.
    fn ext4_on_ext4() -> Disk {
        let mount = "mkdir \"$LAB\" && mount -t tmpfs none \"$LAB\" && truncate -s 160M \"$LAB/outer\" &&
            mkfs.ext4 -q -e remount-ro \"$LAB/outer\" && mount -o loop \"$LAB/outer\" \"$LAB\" &&
            truncate -s 100M \"$LAB/image\" && mkfs.ext4 -q -e remount-ro \"$LAB/image\" &&
            mount -o loop \"$LAB/image\" \"$DATA\"";
        Disk { root: true, mount: mount.to_owned() }
    }

    /// Then this, before the process starts.
    fn and(mut self, script: &str) -> Disk {
        self.mount += &format!(" && {{ {script}; }}");
        self
    }
}

/// The directory is no new one. (A new one that cannot be written is refused.)
const USED: &str = "printf 1234567 > \"$DATA/lock\" && printf real > \"$DATA/kind\" && mkdir -p \"$DATA/journal/finnhub\" && sync -f \"$DATA\"";

/// A running `up` whose data directory is a file system of its own.
struct Small {
    lab: PathBuf,
    process: Process,
    http: Client,
    options: UpOptions,
}

impl Small {
    /// None, with a line that says so, where namespaces can't be made.
    async fn start(home: &TempHome, feed: &Feed, disk: Disk) -> Option<Small> {
        let probe = if disk.root {
            // Mounting needs the right to; a loop device is not to be had in every container.
            "mount -t tmpfs none /mnt && truncate -s 1M /mnt/i && mkfs.ext4 -q /mnt/i && mount -o loop /mnt/i /mnt"
        } else {
            "true"
        };
        let namespace = if disk.root { "-m" } else { "-rm" };
        let probe = Command::new("unshare").args([namespace, "sh", "-c", probe]).output().await;
        if !probe.is_ok_and(|output| output.status.success()) {
            let what =
                if disk.root { "a loop device cannot be mounted" } else { "`unshare -rm` is not possible" };
            skipped(&format!("{what} here"));
            return None;
        }
        let options = UpOptions::new(home, feed.address());
        std::fs::create_dir_all(&options.data_dir).unwrap();
        let lab = home.join("lab");
        let script = format!("{} && exec \"$0\" \"$@\"", disk.mount);
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-c", &script]).arg(binary()).args(options.arguments());
        command.env_clear().env("HOME", home.path()).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("DATA", &options.data_dir).env("LAB", &lab);
        command.envs(options.environment.iter().cloned()).kill_on_drop(true);
        let process = Process::start(command, home.join("up.log")).unwrap();
        let mut small = Small { lab, process, http: Client::new(options.http), options };
        eventually(Duration::from_secs(30), "it answers", async || {
            small.process.must_live()?;
            small.http.body("/health/live").await
        })
        .await
        .unwrap();
        Some(small)
    }

    /// A path in the process's mount namespace, as seen from outside.
    fn inside(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.process.pid().unwrap());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    }

    fn data(&self) -> PathBuf {
        self.inside(&self.options.data_dir)
    }

    /// Where the disk's image is.
    fn lab(&self) -> PathBuf {
        self.inside(&self.lab)
    }

    /// Fills what is left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.data().join("ballast")).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn empty(&self) {
        std::fs::remove_file(self.data().join("ballast")).unwrap();
    }

    /// A copy of the database while nothing is written to it.
    fn database(&self, to: &Path) -> Result<Database> {
        std::fs::create_dir_all(to)?;
        for name in ["tickberry.sqlite3", "tickberry.sqlite3-wal"] {
            let from = self.data().join(name);
            if from.is_file() {
                std::fs::copy(from, to.join(name))?;
            }
        }
        Database::open(to)
    }

    /// Journal and store agree on every trade and window.
    async fn agrees(&mut self, copy: &Path) -> Result<()> {
        let journal = Journal::read(&self.http, SOURCE, 0).await?;
        let database = self.database(copy)?;
        matched(&journal.sent(), &database.trades()?).map_err(anyhow::Error::msg)?;
        same(&minutes(&journal.exact()?), &database.minutes()?).map_err(anyhow::Error::msg)
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_store_and_nothing_is_lost() {
    let _turn = turn().await;
    let home = TempHome::new("full");
    let feed = Feed::generated(20.0).await;
    let Some(mut small) = Small::start(&home, &feed, Disk::memory("size=40m")).await else { return };
    eventually(Duration::from_secs(60), "it streams", async || {
        small.process.must_live()?;
        let stream = small.http.stream(SOURCE).await?;
        ensure!(stream.stored > 500, "{stream:?}");
        Ok(())
    })
    .await
    .unwrap();
    small.fill();
    // That the store is behind alone may be a busy machine.
    let still = eventually(Duration::from_secs(60), "the store stands still and says why", async || {
        small.process.must_live()?;
        let stream = small.http.stream(SOURCE).await?;
        let status = small.http.text("/api/v1/status").await?;
        ensure!(stream.head > stream.stored + 3_000 && status.contains("message"), "{status}");
        Ok(stream.head)
    })
    .await
    .unwrap();
    small.empty();
    eventually(Duration::from_secs(60), "it heals by itself", async || {
        small.process.must_live()?;
        let stream = small.http.stream(SOURCE).await?;
        ensure!(stream.stored > still, "{stream:?}, full at {still}");
        Ok(())
    })
    .await
    .unwrap();
    feed.silence();
    let copy = home.join("copy");
    eventually(Duration::from_secs(30), "journal and store agree", async || small.agrees(&copy).await)
        .await
        .unwrap();
    assert_eq!(small.process.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn without_any_space_it_lives_and_says_that_nothing_is_durable() {
    let _turn = turn().await;
    let home = TempHome::new("no-space");
    let feed = Feed::generated(5.0).await;
    // One megabyte is left: less than a segment.
    let disk = Disk::memory("size=16m").and("head -c 15M /dev/zero > \"$DATA/ballast\"");
    let Some(mut small) = Small::start(&home, &feed, disk).await else { return };
    small.says_that_nothing_is_durable().await;
    small.shows_that_nothing_is_durable(&home).await;
    small.empty();
    small.heals().await;
    small.stops().await;
}

#[tokio::test]
async fn without_an_inode_it_lives_and_says_that_nothing_is_durable() {
    let _turn = turn().await;
    let home = TempHome::new("no-inodes");
    let feed = Feed::generated(5.0).await;
    let take_all = "i=0; while mkdir \"$DATA/ballast-$i\" 2>/dev/null; do i=$((i+1)); done";
    let disk = Disk::memory("size=64m,nr_inodes=64").and(USED).and(take_all);
    let Some(mut small) = Small::start(&home, &feed, disk).await else { return };
    small.says_that_nothing_is_durable().await;
    for entry in std::fs::read_dir(small.data()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("ballast") {
            std::fs::remove_dir(entry.path()).unwrap();
        }
    }
    small.heals().await;
    small.stops().await;
}

#[tokio::test]
async fn on_a_file_system_that_turned_read_only_it_lives() {
    let _turn = turn().await;
    let home = TempHome::new("read-only");
    let feed = Feed::generated(5.0).await;
    let Some(small) = Small::start(&home, &feed, Disk::ext4()).await else { return };
    let data = small.data();
    dies(small, &data).await;
}

#[tokio::test]
async fn on_a_device_that_gives_io_errors_it_lives() {
    let _turn = turn().await;
    let home = TempHome::new("io-errors");
    let feed = Feed::generated(5.0).await;
    let Some(small) = Small::start(&home, &feed, Disk::ext4_on_ext4()).await else { return };
    // What fails is the file system the device's image is on.
    let lab = small.lab();
    dies(small, &lab).await;
}

/// The file system at `path` fails for good while trades stream in.
async fn dies(mut small: Small, path: &Path) {
    eventually(Duration::from_secs(60), "it streams", async || {
        small.process.must_live()?;
        let stream = small.http.stream(SOURCE).await?;
        ensure!(stream.stored > 50, "{stream:?}");
        Ok(())
    })
    .await
    .unwrap();
    let device = std::fs::metadata(path).unwrap();
    let device = {
        use std::os::unix::fs::MetadataExt;
        let (major, minor) = (rustix::fs::major(device.dev()), rustix::fs::minor(device.dev()));
        let link = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).unwrap();
        link.file_name().unwrap().to_string_lossy().into_owned()
    };
    assert!(device.starts_with("loop"), "{device}: nothing else is to be hurt");
    std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    small.says_that_nothing_is_durable().await;
    small.stops().await;
}

impl Small {
    /// Trades come on, and status, metrics and `tickberry status` say that they are not safe.
    async fn says_that_nothing_is_durable(&mut self) {
        let Small { process, http, .. } = self;
        let mut before = None;
        eventually(Duration::from_secs(60), "live, and not durable", async || {
            process.must_live()?;
            let status = http.json("/api/v1/status").await?;
            ensure!(status["feeds"][0]["durable"] == false, "{status}");
            let head = status["streams"][0]["head"].as_u64().context("no head")?;
            ensure!(head > *before.get_or_insert(head) + 50, "{status}");
            ensure!(http.metric("tickberry_gateway_journal_durable").await? == Some(0.0));
            Ok(())
        })
        .await
        .unwrap();
        let output = Command::new(binary())
            .args(["status", "--http", &self.options.http.to_string()])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("journal not durable"), "{text}");
        assert_eq!(output.status.code(), Some(1), "{text}");
    }

    async fn shows_that_nothing_is_durable(&self, home: &TempHome) {
        let Some(browser) = Browser::start(home).await.unwrap() else { return };
        browser.page.goto(format!("http://{}/", self.options.http)).await.unwrap();
        eventually(Duration::from_secs(30), "the page says it", async || {
            let text = browser.ask("return document.body.innerText").await?;
            ensure!(text.as_str().is_some_and(|text| text.contains("Journal not durable")), "{text}");
            Ok(())
        })
        .await
        .unwrap();
        browser.quit().await.unwrap();
    }

    /// The disk is as it should be again, and so is all else after a while.
    async fn heals(&mut self) {
        let Small { process, http, .. } = self;
        eventually(Duration::from_secs(90), "durable again, without a restart", async || {
            process.must_live()?;
            let status = http.json("/api/v1/status").await?;
            ensure!(status["feeds"][0]["durable"] != false, "{status}");
            let stream = http.stream(SOURCE).await?;
            ensure!(stream.stored > 0 && stream.stored + 2_000 > stream.head, "{stream:?}");
            Ok(())
        })
        .await
        .context("it did not heal")
        .unwrap();
    }

    async fn stops(mut self) {
        assert_eq!(self.process.sigterm(Duration::from_secs(10)).await.unwrap().code(), Some(0));
    }
}
