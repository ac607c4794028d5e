//! `make demo`, shortened: its own figures, and that nothing of it stays.

use anyhow::Context;
use std::path::Path;
use std::time::Duration;
use tickberry_tests::harness::{Finished, Host, TempHome, binary, turn};
use tokio::process::Command;

/// The script, with its kills close to each other.
fn demo(home: &TempHome, program: &Path, seconds: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo");
    let mut command = Command::new(script);
    command.env("DEMO_PROGRAM", program).env("DEMO_HTTP", Host::unique().at(8080).to_string());
    command.env("DEMO_SECONDS", seconds).env("DEMO_EVERY", "3").env("DEMO_DEAD", "0");
    command.env("TMPDIR", home.path()).kill_on_drop(true);
    command
}

/// (received, committed, stored, lost, doubled) of the lines of the ledger.
fn ledger(out: &str) -> Vec<[u64; 5]> {
    let numbers = |line: &str| {
        let (_, rest) = line.split_once("killed").or_else(|| line.split_once("stopped"))?;
        let numbers: Vec<u64> = rest.split_whitespace().map_while(|word| word.parse().ok()).collect();
        numbers.try_into().ok()
    };
    out.lines().filter_map(numbers).collect()
}

#[tokio::test]
async fn the_demo_keeps_its_ledger_through_every_kill() {
    let _turn = turn().await;
    let home = TempHome::new("demo");
    let finished = Finished::within(Duration::from_secs(120), demo(&home, &binary(), "10")).await.unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let lines = ledger(&finished.out);
    assert_eq!(lines.len(), 3 + 1, "broker, aggregator, both, and the end: {finished:?}");
    for [received, committed, stored, lost, doubled] in &lines {
        assert!(stored <= committed && committed <= received && *stored > 0, "{finished:?}");
        assert_eq!((*lost, *doubled), (0, 0), "{finished:?}");
    }
    let [received, _, stored, ..] = lines[3];
    assert_eq!(received, stored, "{finished:?}");
    let trades: u64 = finished
        .out
        .split_once(" trades, 0 lost, 0 doubled")
        .and_then(|(before, _)| before.rsplit_once(' ').and_then(|(_, number)| number.parse().ok()))
        .context("trades are audited")
        .unwrap();
    assert!(trades <= stored && stored < trades + 20, "some records are no trades: {finished:?}");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A ledger that cannot be wrong says nothing: an audit that finds a loss fails the demo, and nothing runs on.
#[tokio::test]
async fn the_demo_fails_where_the_audit_does() {
    let _turn = turn().await;
    let home = TempHome::new("demo-fails");
    let liar = home.join("tickberry");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != audit ] || {{ echo 'simulated: 9 trades, 1 lost, 0 doubled'; exit 1; }}\nexec {} \"$@\"\n",
        binary().display()
    );
    std::fs::write(&liar, script).unwrap();
    std::fs::set_permissions(&liar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let finished = Finished::within(Duration::from_secs(60), demo(&home, &liar, "10")).await.unwrap();
    assert!(finished.code == 1 && finished.out.contains("1 lost"), "{finished:?}");
    assert!(
        finished.err.contains("not what the journal says") && finished.err.contains("kept in"),
        "{finished:?}"
    );
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    let ours = home.path().display().to_string();
    let left: Vec<_> = processes.filter(|line| line.contains(&ours)).collect();
    assert!(left.is_empty(), "{left:?}");
}
