//! From packages to a chart, on a shelf of virtual Pis that boots once and lives through all of it: flash, site, recorded trades,
//! site again, hosts that lose power, update, a broken update, backup, destroy, restore. Each step is checked against the oracle.
//!
//! `cargo test -p tickberry-tests --test shelf`, as root; `TB_DEBS` names the folder of the packages (default `target/dist`),
//! `TB_KEEP` leaves the lab running.

#[path = "../influx/kit.rs"]
#[allow(dead_code, reason = "the tests of the store share it; not all of it is needed here")]
mod kit;

mod ask;
mod chart;
mod feed;
mod first;
mod package;
mod secrets;
mod story;

use anyhow::Result;
use std::process::ExitCode;
use tickberry_tests::harness::lab::{Lab, down, lab, nothing_left};

/// Role, and on which host the lab's inventory has it.
const GATEWAY: &str = "pi1";
const CONSOLE: &str = "pi2";
const STORE: &str = "pi3";
const ARM64: &str = "pi4";
/// Stands beside the shelf; arm64, too.
const BESIDE: &str = "pi5";

/// The lab itself: ended in the middle of everything, it leaves nothing.
async fn a_lab_that_crashes_leaves_nothing() -> Result<()> {
    // There is one lab a machine, and one that was ended with its test may be there still.
    down().await?;
    let mut command = lab(&["up"]);
    command.env("TICKBERRY_LAB_HOSTS", "pi1 pi2").env("TICKBERRY_LAB_AGGREGATOR", "pi2");
    let mut up = command.spawn()?;
    // Somewhere between the first host's start and the last one's answer.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    up.kill().await?;
    anyhow::ensure!(nothing_left().await.is_err(), "it was ended before it had made anything");
    // A second one finds what the first has left, and ends well.
    down().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("shelf: namespaces and mounts need root");
        return ExitCode::from(69);
    }
    let result = async {
        let packages = package::Packages::find()?;
        a_lab_that_crashes_leaves_nothing().await?;
        let mut lab = Lab::up(packages.folder()).await?;
        let mut steps = story::Steps::default();
        let told = story::tell(&mut lab, &packages, &mut steps).await;
        steps.print();
        told?;
        lab.down().await
    };
    match Box::pin(result).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shelf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
