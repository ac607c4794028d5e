//! A disk without space is a state: the process lives, says so, and heals by itself when space returns.
//!
//! The disk is a small one in memory, in a mount namespace of the process's own: no root needed.

use crate::feed::Feed;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tickberry_tests::harness::{
    Client, Database, Journal, Process, SOURCE, TempHome, UpOptions, binary, eventually, turn,
};
use tickberry_tests::oracle::{matched, minutes, same};
use tickberry_tests::skipped;
use tokio::process::Command;

/// A running `up` whose data directory is a file system of its own.
struct Small {
    process: Process,
    http: Client,
    options: UpOptions,
}

impl Small {
    /// None, with a line that says so, where namespaces can't be made.
    async fn start(home: &TempHome, feed: &Feed, megabytes: u32, before: &str) -> Option<Small> {
        let probe = Command::new("unshare").args(["-rm", "true"]).output().await;
        if !probe.is_ok_and(|output| output.status.success()) {
            skipped("`unshare -rm` is not possible here");
            return None;
        }
        let options = UpOptions::new(home, feed.address());
        std::fs::create_dir_all(&options.data_dir).unwrap();
        let data = options.data_dir.display();
        let script =
            format!("mount -t tmpfs -o size={megabytes}m none '{data}' && {before} exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).arg(binary()).args(options.arguments());
        command.env_clear().env("HOME", home.path()).env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(options.environment.iter().cloned()).kill_on_drop(true);
        let process = Process::start(command, home.join("up.log")).unwrap();
        let mut small = Small { process, http: Client::new(options.http), options };
        eventually(Duration::from_secs(30), "it answers", async || {
            small.process.must_live()?;
            small.http.body("/health/live").await
        })
        .await
        .unwrap();
        Some(small)
    }

    /// The data directory as seen from outside.
    fn data(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.process.pid().unwrap());
        Path::new(&root).join(self.options.data_dir.strip_prefix("/").unwrap())
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
    let Some(mut small) = Small::start(&home, &feed, 40, "").await else { return };
    let stored = async |small: &mut Small, what: &str, wanted: fn(u64, u64) -> bool| {
        eventually(Duration::from_secs(60), what, async || {
            small.process.must_live()?;
            let stream = small.http.stream(SOURCE).await?;
            ensure!(wanted(stream.head, stream.stored), "{stream:?}");
            Ok(stream)
        })
        .await
        .unwrap()
    };
    stored(&mut small, "it streams", |_, stored| stored > 500).await;
    small.fill();
    let stream = stored(&mut small, "the store stands still", |head, stored| head > stored + 3_000).await;
    let status = small.http.text("/api/v1/status").await.unwrap();
    assert!(status.contains("message"), "the status says what is wrong: {status}");
    small.empty();
    let still = stream.head;
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
    let ballast = format!("head -c 15M /dev/zero > '{}/data/ballast' &&", home.path().display());
    let Some(mut small) = Small::start(&home, &feed, 16, &ballast).await else { return };
    let Small { process, http, .. } = &mut small;
    eventually(Duration::from_secs(30), "live, and not durable", async || {
        process.must_live()?;
        let status = http.json("/api/v1/status").await?;
        ensure!(status["streams"][0]["head"].as_u64() > Some(50), "{status}");
        ensure!(status["feeds"][0]["durable"] == false, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    small.empty();
    let Small { process, http, .. } = &mut small;
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
    assert_eq!(small.process.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
}
