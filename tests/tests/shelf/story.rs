//! The story, step by step; each begins where the last one ended.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ask::{
    audited, closed_to_the_lan, gaps, goes_on, installed, journal, on_store, restart_gap, settled,
    store_and_journal_agree, windows,
};
use crate::feed::Feed;
use crate::first::{alone, alone_no_more, flash, shell};
use crate::kit::compare;
use crate::package::Packages;
use crate::{ARM64, CONSOLE, GATEWAY, STORE, chart, secrets};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use tickberry_tests::generate;
use tickberry_tests::harness::lab::{HOSTS, Lab, RUN, address};
use tickberry_tests::harness::{TempHome, eventually};
use tickberry_tests::oracle::{Sent, minutes, recorded, same};

/// A program that says it is ready, and then does nothing: for systemd all is well with it.
const BROKEN: &str = r#"#!/bin/sh
[ -n "$NOTIFY_SOCKET" ] || exit 1
exec python3 -c '
import os, socket, time
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    time.sleep(60)
'
"#;

/// What each step took, and what it found.
#[derive(Default)]
pub(crate) struct Steps(Vec<(String, Duration, String)>);

impl Steps {
    fn done(&mut self, name: &str, since: Instant, found: impl Into<String>) {
        let found = found.into();
        eprintln!("shelf: {name}: {:.0} s; {found}", since.elapsed().as_secs_f64());
        self.0.push((name.to_owned(), since.elapsed(), found));
    }

    /// A line a step.
    pub(crate) fn print(&self) {
        println!("{:<34} {:>5}  found", "step", "s");
        for (name, took, found) in &self.0 {
            println!("{name:<34} {:>5.0}  {found}", took.as_secs_f64());
        }
    }
}

fn now_ms() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64)
}

/// Times and numbers of the recordings, or of generated trades where they are not there.
fn recordings(home: &TempHome) -> Result<(Vec<std::path::PathBuf>, Vec<Sent>)> {
    if let Some(files) = recorded::files() {
        let sent = files.iter().map(|file| recorded::read(file)).collect::<Result<Vec<_>>>()?;
        return Ok((files, sent.concat()));
    }
    let sent = generate::trades(1, generate::START_MS, 12_000);
    let mut files = Vec::new();
    for symbol in generate::SYMBOLS {
        let file = home.join(&format!("{}.csv.gz", symbol.replace(':', "-")));
        generate::record(&file, symbol, &sent)?;
        files.push(file);
    }
    Ok((files, sent))
}

/// All that happens. What is played, where, and in which order: read it from top to bottom.
pub(crate) async fn tell(lab: &mut Lab, packages: &Packages, steps: &mut Steps) -> Result<()> {
    let home = TempHome::new("shelf");
    let (files, sent) = recordings(&home)?;

    let since = Instant::now();
    let (alone, flashed) = tokio::join!(alone(packages), flash(lab, &home));
    alone.context("one Pi alone")?;
    steps.done("flash, applied by cloud-init", since, flashed.context("flash")?);

    let since = Instant::now();
    let feed = Feed::recorded(files).await?;
    lab.play("site", &[]).await?.well().context("site")?;
    installed(lab, &HOSTS, &packages.version).await?;
    let machine =
        lab.on(ARM64, "dpkg --print-architecture; systemctl is-active tickberry-aggregator").await?;
    ensure!(machine == "arm64\nactive\n", "{machine}");
    closed_to_the_lan().await?;
    steps.done("site on bare hosts", since, format!("{} hosts, the aggregator on arm64", HOSTS.len()));
    let since = Instant::now();
    let audit = alone_no_more(lab).await.context("one Pi alone")?;
    steps.done("one Pi alone, meanwhile", since, audit);

    let since = Instant::now();
    on_store(async |influx| {
        eventually(Duration::from_secs(180), "the store has what was played", async || {
            compare(&influx, &sent).await
        })
        .await
    })
    .await?;
    let count = store_and_journal_agree().await?;
    let wanted = minutes(&journal().await?.exact()?);
    let seen = chart::windows(&format!("http://{}:3000", address(STORE)), &generate::SYMBOLS).await?;
    same(&wanted, &seen).map_err(anyhow::Error::msg).context("Grafana")?;
    let audit = audited(lab).await?;
    steps.done(
        "recorded trades",
        since,
        format!("{count} trades, {} minutes in Grafana; {audit}", seen.len()),
    );

    let since = Instant::now();
    lab.on(GATEWAY, "nft add table ip others").await?;
    lab.play("site", &[]).await?.nothing_changed().context("site again")?;
    lab.on(GATEWAY, "nft list table ip others").await.context("a table of somebody else's")?;
    lab.play("verify", &[]).await?.well().context("verify")?;
    let audit = audited(lab).await?;
    steps.done("site again, verify", since, format!("changed=0 on every host; {audit}"));

    feed.end().await;
    let feed = Feed::live().await?;
    for host in [ARM64, CONSOLE, STORE, GATEWAY] {
        let since = Instant::now();
        goes_on().await?;
        lab.host("kill", host, &[]).await?;
        if host == ARM64 {
            let said = lab.play("verify", &[]).await?;
            let line = said.out.lines().find(|line| line.contains(host) && line.contains("FAIL"));
            ensure!(
                said.code != 0 && line.is_some(),
                "verify finds nothing wrong without {host}: {}",
                said.out
            );
        }
        lab.host("boot", host, &[]).await?;
        goes_on().await.with_context(|| format!("after {host} lost power"))?;
        steps.done(&format!("{host} loses power"), since, "on again, trades go on");
    }
    let since = Instant::now();
    feed.end().await;
    let count = store_and_journal_agree().await?;
    let audit = audited(lab).await?;
    steps.done("healed", since, format!("{count} trades, each once; {audit}"));

    let since = Instant::now();
    let feed = Feed::live().await?;
    goes_on().await?;
    let before = journal().await?;
    let (newer, from_ms) = (packages.again(&home.join(""), "9.0.0", None)?, now_ms()?);
    let newer = json!({ "tickberry_deb": newer }).to_string();
    lab.play("update", &["-e", &newer, "-e", "tickberry_update_watch=5"]).await?.well().context("update")?;
    installed(lab, &HOSTS, "9.0.0").await?;
    goes_on().await?;
    let until_ms = now_ms()?;
    let after = journal().await?;
    let missing = before.trades.iter().filter(|(id, trade)| after.trades.get(*id) != Some(*trade)).count();
    ensure!(missing == 0, "{missing} of {} journaled trades are missing", before.trades.len());
    let gap = restart_gap(from_ms, until_ms).await?;
    feed.end().await;
    store_and_journal_agree().await?;
    let audit = audited(lab).await?;
    steps.done(
        "update",
        since,
        format!("{} trades still there; gap of {gap} ms, shown as coverage; {audit}", before.trades.len()),
    );

    let since = Instant::now();
    let feed = Feed::live().await?;
    goes_on().await?;
    let broken = json!({"tickberry_deb": packages.again(&home.join(""), "9.1.0", Some(BROKEN))?,
        "tickberry_patience": 15, "tickberry_update_watch": 5});
    let played = lab.play("update", &["-e", &broken.to_string()]).await?;
    ensure!(played.code != 0, "a program that does not work was taken for a good one");
    // The aggregators come before the broker, and were well.
    installed(lab, &[ARM64], "9.1.0").await?;
    installed(lab, &[CONSOLE, STORE, GATEWAY], "9.0.0").await?;
    goes_on().await?;
    feed.end().await;
    let count = store_and_journal_agree().await?;
    let audit = audited(lab).await?;
    steps.done(
        "a broken update",
        since,
        format!("the broker is back at 9.0.0, nothing after it was touched; {count} trades; {audit}"),
    );

    let since = Instant::now();
    let hidden = secrets::nowhere(lab).await?;
    steps.done("secrets", since, hidden);

    let since = Instant::now();
    let feed = Feed::live().await?;
    goes_on().await?;
    let from_ms = now_ms()?;
    lab.play("backup", &["-e", "tickberry_backup_name=one"]).await?.well().context("backup")?;
    goes_on().await?;
    let until_ms = now_ms()?;
    for host in HOSTS {
        lab.on(host, "test ! -e /var/cache/tickberry/backup").await.context("the backup leaves something")?;
    }
    feed.end().await;
    store_and_journal_agree().await?;
    let gaps = on_store(async |influx| gaps(&influx, from_ms, until_ms).await).await?;
    ensure!(gaps.is_empty(), "the backup has cost trades: {gaps:?}");
    // Of what came while it was copied a part is in it.
    let before = settled(windows().await?, from_ms);
    ensure!(!before.is_empty(), "nothing that a backup could keep");
    steps.done("backup under load", since, "no gap");

    let since = Instant::now();
    lab.play("destroy", &["-e", "tickberry_purge=true", "-e", &newer]).await?.well().context("destroy")?;
    let left = lab
        .on(STORE, "find /var/lib/influxdb /var/lib/tickberry /etc/tickberry -type f 2>/dev/null | wc -l")
        .await?;
    ensure!(left.trim() == "0", "{left} files are left on {STORE}");
    lab.host("fresh", STORE, &[]).await?;
    lab.play("site", &["-e", &newer]).await?.well().context("site after destroy")?;
    let empty = windows().await?;
    ensure!(empty.is_empty(), "{} windows before anything was restored", empty.len());
    steps.done("destroy, fresh card, site", since, "nothing is left of what was stored");

    let since = Instant::now();
    let started = "systemctl show --property=ActiveEnterTimestamp tickberry-gateway";
    let before_restore = lab.on(GATEWAY, started).await?;
    shell(&format!(
        "cp -r {RUN}/backups/one {RUN}/backups/cut; truncate -s 100 {RUN}/backups/cut/{STORE}-influxdb.tar.gz"
    ))
    .await?;
    let cut = format!("tickberry_backup={RUN}/backups/cut");
    let played = lab.play("restore", &["-e", &newer, "-e", &cut]).await?;
    ensure!(played.code != 0, "a backup with half an archive was taken for a whole one");
    ensure!(lab.on(GATEWAY, started).await? == before_restore, "it was stopped for a backup that is none");
    steps.done("half a backup", since, "nothing was stopped for it");

    let since = Instant::now();
    lab.on(STORE, "install -D -m 644 /dev/null /var/lib/grafana/plugins-bundled/one").await?;
    let backup = format!("tickberry_backup={RUN}/backups/one");
    lab.play("restore", &["-e", &newer, "-e", &backup]).await?.well().context("restore")?;
    lab.on(STORE, "test -e /var/lib/grafana/plugins-bundled/one").await.context("what no backup has")?;
    let count = store_and_journal_agree().await?;
    let restored = settled(windows().await?, from_ms);
    same(&before, &restored).map_err(anyhow::Error::msg).context("restored")?;
    let audit = audited(lab).await?;
    steps.done("restore", since, format!("{count} trades, the same {} minutes; {audit}", before.len()));

    let since = Instant::now();
    let hidden = secrets::nowhere(lab).await?;
    steps.done("secrets", since, hidden);
    Ok(())
}
