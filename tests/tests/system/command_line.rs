//! Wrong use and trouble at the start: one clear line, and the exit code that scripts rely on.

use anyhow::{Result, ensure};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tickberry_tests::harness::{Finished, Host, TempHome, Up, UpOptions, command, eventually, turn};

/// `up` with more options; it must end by itself. The feed's address answers nobody.
async fn up(home: &TempHome, change: impl FnOnce(&mut UpOptions)) -> Result<Finished> {
    let mut options = UpOptions::new(home, Host::unique().free());
    change(&mut options);
    let arguments = options.arguments();
    let mut command = command(home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.envs(options.environment);
    Finished::of(command).await
}

/// The code, and an error text that says all of `words` within a few lines.
fn refused(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, code, "{finished:?}");
    for word in words {
        assert!(finished.err.contains(word), "{word:?} is not in: {}", finished.err);
    }
    assert!(!finished.err.contains("panicked"), "{}", finished.err);
    assert!(finished.err.trim().lines().count() <= 6, "not one clear line: {}", finished.err);
}

#[tokio::test]
async fn a_wrong_option_is_wrong_use() {
    let _turn = turn().await;
    let home = TempHome::new("option");
    let finished = up(&home, |o| o.more.push("--colour-of-the-sky".to_owned())).await.unwrap();
    refused(&finished, 64, &["--colour-of-the-sky"]);
    let finished = Finished::of(command(&home, &["fly"])).await.unwrap();
    refused(&finished, 64, &["fly"]);
    let finished = up(&home, |o| o.more.extend(["--symbols".to_owned()])).await.unwrap();
    refused(&finished, 64, &["--symbols"]);
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_is_taken() {
    let _turn = turn().await;
    let home = TempHome::new("port");
    let taken = TcpListener::bind(Host::unique().at(0)).unwrap();
    let address = taken.local_addr().unwrap();
    let finished = up(&home, |o| o.http = address).await.unwrap();
    refused(&finished, 69, &[&address.to_string()]);
    let finished = up(&home, |o| o.mqtt = address).await.unwrap();
    refused(&finished, 69, &[&address.to_string()]);
}

#[tokio::test]
async fn a_default_port_that_is_taken_moves_on_and_the_banner_says_so() {
    let _turn = turn().await;
    let home = TempHome::new("default-port");
    // Either this takes 8080 or somebody else has it already: taken it is.
    let _taken = TcpListener::bind("127.0.0.1:8080").ok();
    let options = UpOptions::new(&home, Host::unique().free());
    let data = options.data_dir.display().to_string();
    let arguments = ["up", "--data-dir", &data, "--finnhub-url", &options.finnhub_url];
    let mut command = command(&home, &arguments);
    command.envs(options.environment.clone());
    let mut process = tickberry_tests::harness::Process::start(command, home.join("up.log")).unwrap();
    let moved = eventually(Duration::from_secs(20), "the banner names another port", async || {
        process.must_live()?;
        let log = process.log();
        let port = (8081..8180).find(|port| log.contains(&format!("127.0.0.1:{port}")));
        ensure!(port.is_some(), "the log is {log:?}");
        Ok(port)
    });
    let port = moved.await.unwrap().unwrap();
    let client = tickberry_tests::harness::Client::new(([127, 0, 0, 1], port).into());
    eventually(Duration::from_secs(20), "it answers there", async || client.ready().await).await.unwrap();
    assert_eq!(process.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_copy_on_one_directory_is_locked_out() {
    let _turn = turn().await;
    let home = TempHome::new("lock");
    let options = UpOptions::new(&home, Host::unique().free());
    let mut first = Up::start(&home, &options).await.unwrap();
    let data = options.data_dir.clone();
    let finished = up(&home, |o| o.data_dir = data.clone()).await.unwrap();
    refused(&finished, 69, &[&data.display().to_string()]);
    first.process.must_live().unwrap();
    first.process.kill9().await.unwrap();
    let mut next = Up::start(&home, &options).await.expect("a lock ends with its process");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written() {
    let _turn = turn().await;
    let home = TempHome::new("unwritable");
    // Root may write anywhere but into a file's inside and into /proc.
    let file = home.join("file");
    std::fs::write(&file, "no directory").unwrap();
    let finished = up(&home, |o| o.data_dir = file.join("data")).await.unwrap();
    refused(&finished, 74, &["file/data"]);
    let finished = up(&home, |o| o.data_dir = "/proc/tickberry".into()).await.unwrap();
    refused(&finished, 74, &["/proc/tickberry"]);
    let closed = home.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(closed.join("probe"), "").is_err() {
        let finished = up(&home, |o| o.data_dir = closed.clone()).await.unwrap();
        refused(&finished, 74, &["closed"]);
    }
}

#[tokio::test]
async fn unknown_settings_are_refused_by_name() {
    let _turn = turn().await;
    let home = TempHome::new("settings");
    let config = home.join("tickberry.toml");
    std::fs::write(&config, "[gateway]\nsymbls = [\"BINANCE:BTCUSDT\"]\n").unwrap();
    let more = ["--config".to_owned(), config.display().to_string()];
    let finished = up(&home, |o| o.more.extend(more.clone())).await.unwrap();
    refused(&finished, 78, &["symbls"]);
    std::fs::write(&config, "[gateway\n").unwrap();
    let finished = up(&home, |o| o.more.extend(more.clone())).await.unwrap();
    refused(&finished, 78, &["tickberry.toml"]);
    let variable = ("TICKBERRY_GATEWAY__SYMBLS".to_owned(), "A".to_owned());
    let finished = up(&home, |o| o.environment.push(variable)).await.unwrap();
    refused(&finished, 78, &["TICKBERRY_GATEWAY__SYMBLS"]);
    let finished = up(&home, |o| {
        o.more.extend(["--config".to_owned(), home.join("not-there.toml").display().to_string()]);
    });
    refused(&finished.await.unwrap(), 78, &["not-there.toml"]);
}

#[tokio::test]
async fn a_token_never_goes_out_in_the_clear() {
    let _turn = turn().await;
    let home = TempHome::new("clear");
    let finished = up(&home, |o| o.finnhub_url = "ws://192.0.2.1:80".to_owned()).await.unwrap();
    assert!(matches!(finished.code, 64 | 77 | 78), "{finished:?}");
    assert!(finished.err.contains("wss://"), "{finished:?}");
    assert!(!finished.err.contains(tickberry_tests::harness::TOKEN), "{finished:?}");
}

/// Without a token and without a URL `up` runs the simulator, and its directory is for simulated data only.
#[tokio::test]
async fn simulated_and_real_data_never_mix() {
    let _turn = turn().await;
    let home = TempHome::new("kinds");
    let mut options = UpOptions::new(&home, Host::unique().free());
    let (http, mqtt) = (options.http.to_string(), options.mqtt.to_string());
    let data = options.data_dir.display().to_string();
    let arguments = ["up", "--data-dir", &data, "--http", &http, "--mqtt", &mqtt];
    let mut simulated =
        tickberry_tests::harness::Process::start(command(&home, &arguments), home.join("simulated.log"))
            .unwrap();
    let client = tickberry_tests::harness::Client::new(options.http);
    eventually(Duration::from_secs(30), "the simulator's trades are stored", async || {
        simulated.must_live()?;
        let stream = client.stream("simulated").await?;
        ensure!(stream.stored > 10, "{stream:?}");
        let status = client.json("/api/v1/status").await?;
        ensure!(status["feeds"][0]["simulated"] == true, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(simulated.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
    let used: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().path()).collect();
    options.data_dir =
        used.into_iter().find(|p| p.join("tickberry.sqlite3").is_file()).expect("a data directory");
    let folder = options.data_dir.clone();
    let finished = up(&home, |o| o.data_dir = folder.clone()).await.unwrap();
    refused(&finished, 64, &["simulated"]);

    let mut real = UpOptions::new(&home, Host::unique().free());
    real.data_dir = home.join("real");
    Up::start(&home, &real).await.unwrap().stop().await.unwrap();
    let data = real.data_dir.display().to_string();
    let arguments = ["up", "--data-dir", &data, "--http", &http, "--mqtt", &mqtt];
    let finished = Finished::of(command(&home, &arguments)).await.unwrap();
    // With the suffix the simulator appends, this is another directory: then it runs until it is stopped.
    refused(&finished, 64, &["real"]);
}
