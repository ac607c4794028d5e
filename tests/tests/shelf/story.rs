//! The story, step by step; each begins where the last one ended.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::feed::Feed;
use crate::kit::{agree, compare};
use crate::package::Packages;
use crate::{chart, secrets};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tickberry_tests::generate;
use tickberry_tests::harness::influx_store::MINUTES;
use tickberry_tests::harness::lab::{HOSTS, Lab, RUN, address, enter};
use tickberry_tests::harness::{Client, InfluxStore, Journal, SOURCE, TempHome, eventually};
use tickberry_tests::oracle::{Sent, Windows, minutes, recorded, same};

/// Role, and on which host the lab's inventory has it.
const GATEWAY: &str = "pi1";
const CONSOLE: &str = "pi2";
const STORE: &str = "pi3";
const ARM64: &str = "pi4";

/// A restart of the gateway costs less than this.
const RESTART_MS: i64 = 3_000;
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

/// What the store on the shelf holds, asked on its own host.
fn influx() -> Result<InfluxStore> {
    InfluxStore::running("127.0.0.1:8086".parse()?, &Path::new(RUN).join("secrets"))
}

/// Asks on the store's own host.
async fn on_store<T>(ask: impl AsyncFnOnce(InfluxStore) -> Result<T>) -> Result<T> {
    enter(&format!("tickberry-lab-{STORE}"))?;
    let answer = ask(influx()?).await;
    enter("tickberry-lab")?;
    answer
}

/// The gateway's own HTTP.
fn gateway() -> Result<Client> {
    Ok(Client::new(format!("{}:9181", address(GATEWAY)).parse()?))
}

/// The journal, and that the store holds just what is in it; how many trades.
async fn store_and_journal_agree() -> Result<usize> {
    // Gateway and store are for the hosts only, so this asks as one of them.
    on_store(async |influx| {
        eventually(Duration::from_secs(150), "store and journal agree", async || {
            agree(&influx, &gateway()?).await
        })
        .await
    })
    .await
}

async fn journal() -> Result<Journal> {
    on_store(async |_| Journal::read(&gateway()?, SOURCE, 0).await).await
}

/// `tickberry audit` on the shelf, over all there is.
async fn audited(lab: &Lab) -> Result<String> {
    let words = format!("tickberry audit --http {}:8080 --since 3000d", address(CONSOLE));
    let said = lab.on(CONSOLE, &words).await?;
    ensure!(said.contains(" 0 differ") && !said.contains(" 0 minutes equal"), "{said}");
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

/// Trades go on: the journal has more of them than before.
async fn goes_on() -> Result<()> {
    let before = journal().await?.trades.len();
    on_store(async |_| {
        eventually(Duration::from_secs(120), "trades arrive", async || {
            let now = Journal::read(&gateway()?, SOURCE, 0).await?.trades.len();
            ensure!(now > before + 20, "{now}, {before} before");
            Ok(())
        })
        .await
    })
    .await
}

/// Each of these hosts has this version of the package.
async fn installed(lab: &Lab, hosts: &[&str], version: &str) -> Result<()> {
    for host in hosts {
        let have = lab.on(host, "dpkg-query --show --showformat '${Version}' tickberry").await?;
        ensure!(have.split('-').next() == Some(version), "{host} has {have}, not {version}");
    }
    Ok(())
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

/// From the card's image to a host that lets its user in; the seed comes out of the image that `flash` made.
async fn flash(lab: &mut Lab, home: &TempHome) -> Result<String> {
    let (image, card, seed) = (home.join("system.img"), home.join("pi1.img"), home.join("seed"));
    std::fs::create_dir(&seed)?;
    let make = format!(
        "set -e; export PATH=$PATH:/usr/sbin:/sbin; truncate -s 96M {image}
         printf 'start=8192,size=131072,type=c\\nstart=139264,type=83\\n' | sfdisk -q {image}
         mformat -i {image}@@4194304 -F -T 131072 -h 16 -s 63 ::
         echo 'console=tty1 root=LABEL=writable rootwait' >{home}/cmdline.txt
         echo '#cloud-config' >{home}/user-data; : >{home}/meta-data
         mcopy -i {image}@@4194304 {home}/cmdline.txt {home}/user-data {home}/meta-data ::",
        image = image.display(),
        home = home.path().display()
    );
    shell(&make).await?;
    let variables = json!({"flash_host": GATEWAY, "flash_image": image, "flash_to_file": card}).to_string();
    lab.play("flash", &["-e", &variables]).await?.well()?;
    for file in ["user-data", "meta-data", "network-config"] {
        let (card, file) = (card.display(), seed.join(file).display().to_string());
        shell(&format!("mcopy -i {card}@@4194304 ::$(basename {file}) {file}")).await?;
    }
    let user_data = std::fs::read_to_string(seed.join("user-data"))?;
    ensure!(user_data.starts_with("#cloud-config"), "{user_data}");
    // The schema, by the real cloud-init; and then it has to do what is asked of it.
    shell(&format!("{} >/dev/null", put(STORE, &seed.join("user-data"), "/root/user-data"))).await?;
    let schema =
        lab.on(STORE, "cloud-init schema --config-file /root/user-data 2>&1; rm /root/user-data").await?;
    ensure!(schema.contains("Valid cloud-config"), "{schema}");
    shell(&put(STORE, &seed.join("network-config"), "/root/network-config")).await?;
    let network = lab
        .on(
            STORE,
            "cloud-init devel net-convert --network-data /root/network-config --kind yaml --distro debian \
             --output-kind networkd --directory /root/net >/dev/null 2>&1; cat /root/net/etc/systemd/network/*; \
             rm -r /root/net /root/network-config",
        )
        .await?;
    let wanted = format!("Address={}/24", address(GATEWAY));
    ensure!(network.contains(&wanted), "{wanted} is not in what cloud-init makes of it: {network}");
    // What this machine knows of the host before they have met.
    let known = std::fs::read_to_string(Path::new(RUN).join("known_hosts"))?;
    let known: Vec<&str> =
        known.lines().filter_map(|line| line.strip_prefix(&format!("{} ", address(GATEWAY)))).collect();
    lab.host("fresh", GATEWAY, &[&seed.display().to_string()]).await?;
    let key = lab.on(GATEWAY, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").await?;
    ensure!(known.len() == 1 && known[0].starts_with(key.trim()), "known: {known:?}; the host's: {key}");
    let status = lab.on(GATEWAY, "cloud-init status --wait --long; hostname; id pi").await?;
    ensure!(status.contains("status: done") && status.contains(&format!("\n{GATEWAY}\n")), "{status}");
    let keys = lab.on(GATEWAY, "cat /home/pi/.ssh/authorized_keys; sudo -l -U pi").await?;
    let key = std::fs::read_to_string(Path::new(RUN).join("key.pub"))?;
    let key = key.split_whitespace().nth(1).context("a public key")?;
    ensure!(keys.contains(key) && keys.contains("NOPASSWD: ALL"), "{keys}");
    Ok(schema.trim().to_owned())
}

/// One Pi and no Ansible: the package, and `systemctl enable --now`.
async fn alone(lab: &Lab, packages: &Packages) -> Result<()> {
    let package = packages.folder().join(format!("tickberry_{}_arm64.deb", packages.version));
    shell(&put(ARM64, &package, "/root/tickberry.deb")).await?;
    let words = "apt-get install -qq -y /root/tickberry.deb >/dev/null 2>&1 && systemctl enable --quiet --now tickberry";
    lab.on(ARM64, words).await.map(drop)
}

/// Gateway, broker, aggregator and page work in it, on arm64; then it goes, and leaves the host as it was.
async fn alone_no_more(lab: &Lab) -> Result<String> {
    let audit = eventually(Duration::from_secs(120), "minutes of one Pi alone", async || {
        let said = lab.on(ARM64, "tickberry audit 2>&1").await?;
        ensure!(said.contains(" 0 differ") && !said.contains(" 0 minutes equal"), "{said}");
        Ok(said)
    })
    .await?;
    let page = Client::new(format!("{}:8080", address(ARM64)).parse()?);
    page.body("/").await.context("the page of one Pi alone")?;
    let words = "systemctl stop tickberry && tickberry --version && dpkg --print-architecture && \
                 apt-get purge -qq -y tickberry >/dev/null 2>&1 && rm /root/tickberry.deb && test ! -e /var/lib/tickberry";
    let said = lab.on(ARM64, words).await?;
    Ok(format!("{}; {}", said.replace('\n', " ").trim(), audit.lines().last().unwrap_or_default().trim()))
}

fn put(host: &str, from: &Path, to: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lab");
    format!("{} ssh {host} 'cat >{to}' <{}", script.display(), from.display())
}

async fn shell(words: &str) -> Result<()> {
    let mut command = tokio::process::Command::new("bash");
    command.args(["-c", words]);
    let finished = tickberry_tests::harness::Finished::within(Duration::from_secs(60), command).await?;
    ensure!(finished.code == 0, "{words}: {finished:?}");
    Ok(())
}

/// All that happens. What is played, where, and in which order: read it from top to bottom.
pub(crate) async fn tell(lab: &mut Lab, packages: &Packages, steps: &mut Steps) -> Result<()> {
    let home = TempHome::new("shelf");
    let (files, sent) = recordings(&home)?;

    let alone_since = Instant::now();
    alone(lab, packages).await.context("one Pi alone")?;
    let since = Instant::now();
    let schema = flash(lab, &home).await.context("flash")?;
    steps.done("flash, applied by cloud-init", since, schema);
    let audit = alone_no_more(lab).await.context("one Pi alone")?;
    steps.done("one Pi alone, meanwhile", alone_since, audit);

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
        tokio::time::sleep(Duration::from_secs(3)).await;
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
    lab.play("update", &["-e", &newer]).await?.well().context("update")?;
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
        "tickberry_patience": 20, "tickberry_update_watch": 5});
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
    lab.play("destroy", &["-e", "tickberry_purge=true", "-e", &newer]).await?.well().context("destroy")?;
    let left = lab
        .on(STORE, "find /var/lib/influxdb /var/lib/tickberry /etc/tickberry -type f 2>/dev/null | wc -l")
        .await?;
    ensure!(left.trim() == "0", "{left} files are left on {STORE}");
    lab.host("fresh", STORE, &[]).await?;
    lab.play("site", &["-e", &newer]).await?.well().context("site after destroy")?;
    let empty = windows().await?;
    ensure!(empty.is_empty(), "{} windows before anything was restored", empty.len());
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
    lab.on(STORE, "install -D -m 644 /dev/null /var/lib/grafana/plugins-bundled/one").await?;
    let backup = format!("tickberry_backup={RUN}/backups/one");
    lab.play("restore", &["-e", &newer, "-e", &backup]).await?.well().context("restore")?;
    lab.on(STORE, "test -e /var/lib/grafana/plugins-bundled/one").await.context("what no backup has")?;
    let count = store_and_journal_agree().await?;
    let restored = settled(windows().await?, from_ms);
    same(&before, &restored).map_err(anyhow::Error::msg).context("restored")?;
    let audit = audited(lab).await?;
    steps.done(
        "backup, destroy, fresh card, restore",
        since,
        format!("{count} trades, the same {} minutes; {audit}", before.len()),
    );

    let since = Instant::now();
    let hidden = secrets::nowhere(lab).await?;
    steps.done("secrets", since, hidden);
    Ok(())
}

/// What is for the hosts only does not answer to a machine beside them.
async fn closed_to_the_lan() -> Result<()> {
    for (host, port) in [(GATEWAY, 9181), (CONSOLE, 8883), (STORE, 8086)] {
        let place = format!("{}:{port}", address(host));
        let there = tokio::net::TcpStream::connect(&place);
        let answer = tokio::time::timeout(Duration::from_secs(2), there).await;
        ensure!(!matches!(answer, Ok(Ok(_))), "{place} lets anybody in");
    }
    let page = Client::new(format!("{}:8080", address(CONSOLE)).parse()?);
    page.body("/").await.map(drop).context("the page")
}

async fn windows() -> Result<Windows> {
    on_store(async |influx| influx.minutes().await).await
}

/// Those of them that no trade of this time or later can change: trades are late by a second at most here.
fn settled(mut windows: Windows, at_ms: i64) -> Windows {
    windows.retain(|(_, start_ms), _| start_ms + 60_000 + 5_000 <= at_ms);
    windows
}

/// Start and end, in ms, of the gaps between two times.
async fn gaps(influx: &InfluxStore, from_ms: i64, until_ms: i64) -> Result<Vec<(i64, i64)>> {
    let rows = influx.influxql(MINUTES, "SELECT start_ms, end_ms, reason FROM feed_gaps").await?;
    let number =
        |row: &std::collections::BTreeMap<String, Value>, name: &str| row.get(name).and_then(Value::as_i64);
    let all = rows.iter().filter_map(|row| Some((number(row, "start_ms")?, number(row, "end_ms")?)));
    Ok(all.filter(|(start, end)| *start > from_ms && *end < until_ms).collect())
}

/// The gap that the gateway's restart between two times has left: short, and its minute says so.
async fn restart_gap(from_ms: i64, until_ms: i64) -> Result<i64> {
    on_store(async |influx| {
        eventually(Duration::from_secs(90), "the restart is a gap", async || {
            let all = gaps(&influx, 0, i64::MAX).await?;
            let gaps = gaps(&influx, from_ms, until_ms).await?;
            ensure!(!gaps.is_empty(), "no gap between {from_ms} and {until_ms}: {all:?}");
            let longest = gaps.iter().map(|(start, end)| end - start).max().unwrap_or_default();
            ensure!(
                longest > 0 && longest < RESTART_MS,
                "{gaps:?} between {from_ms} and {until_ms}, of {all:?}"
            );
            let minute = gaps[0].0.div_euclid(60_000) * 60_000;
            let question = format!("SELECT coverage FROM minute_trades WHERE time = {minute}ms");
            let rows = influx.influxql(MINUTES, &question).await?;
            let covered: Vec<f64> = rows.iter().filter_map(|row| row.get("coverage")?.as_f64()).collect();
            let shown = !covered.is_empty() && covered.iter().all(|part| (0.9..1.0).contains(part));
            ensure!(shown, "coverage {covered:?} of the minute {minute} with {gaps:?}");
            Ok(longest)
        })
        .await
    })
    .await
}
