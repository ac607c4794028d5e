//! Outputs that nobody reads or that cannot be written, and signals to who only listens.

use crate::feed::Feed;
use anyhow::{Result, ensure};
use std::fs::OpenOptions;
use std::time::Duration;
use tickberry_tests::harness::{
    Client, Finished, Host, Process, SOURCE, TempHome, Up, UpOptions, command, eventually, turn,
};

/// A file that takes nothing.
fn full() -> std::fs::File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has one")
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let _turn = turn().await;
    let home = TempHome::new("full-log");
    let feed = Feed::generated(10.0).await;
    let options = UpOptions::new(&home, feed.address());
    let arguments = options.arguments();
    let mut command = command(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.envs(options.environment.iter().cloned()).stdout(full()).stderr(full());
    let mut child = command.spawn().unwrap();
    let client = Client::new(options.http);
    eventually(Duration::from_secs(20), "it streams", async || {
        ensure!(child.try_wait()?.is_none(), "it has ended");
        let stream = client.stream(SOURCE).await?;
        ensure!(stream.stored > 100, "{stream:?}");
        Ok(())
    })
    .await
    .unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// The exit code of a command whose standard output takes nothing.
async fn unwritten(home: &TempHome, arguments: &[&str]) -> Result<i32> {
    let mut command = command(home, arguments);
    command.stdout(full()).stderr(std::process::Stdio::null());
    let status = tokio::time::timeout(Duration::from_secs(30), command.status()).await??;
    Ok(status.code().unwrap_or(-1))
}

#[tokio::test]
async fn what_cannot_be_printed_is_an_error_of_output() {
    let _turn = turn().await;
    let home = TempHome::new("full-out");
    let feed = Feed::generated(10.0).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let (http, mqtt) = (up.options.http.to_string(), up.options.mqtt.to_string());
    let data = home.join("elsewhere").display().to_string();
    for arguments in [
        &["status", "--http", &http][..],
        &["audit", "--http", &http],
        &["check", "--data-dir", &data],
        &["generate", "completions", "bash"],
        &["tap", "--mqtt", &mqtt],
        &["simulate", "--listen", "127.0.0.1:0"],
    ] {
        assert_eq!(unwritten(&home, arguments).await.unwrap(), 74, "{arguments:?}");
    }
    up.stop().await.unwrap();
}

#[tokio::test]
async fn a_tap_that_is_stopped_ends_as_asked() {
    let _turn = turn().await;
    let home = TempHome::new("tap-stop");
    let feed = Feed::generated(10.0).await;
    let mut up = Up::start(&home, &UpOptions::new(&home, feed.address())).await.unwrap();
    let mqtt = up.options.mqtt.to_string();
    let mut tap = Process::start(command(&home, &["tap", "--mqtt", &mqtt]), home.join("tap.log")).unwrap();
    eventually(Duration::from_secs(10), "it prints trades", async || {
        ensure!(tap.log().lines().count() > 3, "{:?}", tap.log());
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(tap.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
    up.stop().await.unwrap();
}

/// Whoever only asks goes by file and environment as well, and refuses what it does not know.
#[tokio::test]
async fn all_commands_take_the_configuration() {
    let _turn = turn().await;
    let home = TempHome::new("all-config");
    let config = home.join("tickberry.toml");
    let http = Host::unique().free();
    std::fs::write(&config, format!("[http]\nconsole = \"{http}\"\n")).unwrap();
    let config = config.display().to_string();
    let finished = Finished::of(command(&home, &["status", "--config", &config])).await.unwrap();
    assert!(finished.code == 69 && finished.err.contains(&http.to_string()), "{finished:?}");
    for name in ["status", "tap", "audit", "simulate", "check"] {
        let mut unknown = command(&home, &[name]);
        unknown.env("TICKBERRY_FOO", "1");
        let finished = Finished::of(unknown).await.unwrap();
        assert!(finished.code == 78 && finished.err.contains("TICKBERRY_FOO"), "{name}: {finished:?}");
        let finished = Finished::of(command(&home, &[name, "--config", "/nowhere.toml"])).await.unwrap();
        assert!(finished.code == 78 && finished.err.contains("/nowhere.toml"), "{name}: {finished:?}");
    }
}
