//! `tickberry setup influxdb`, `check`, and a store whose token or bucket is not what it should be.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::feed::Feed;
use crate::kit::options;
use anyhow::{Context, ensure};
use tickberry_tests::harness::{Finished, InfluxStore, SOURCE, TempHome, Up, command, eventually, turn};

#[tokio::test]
async fn it_makes_what_is_missing_and_a_second_run_changes_nothing() {
    let _turn = turn().await;
    let home = TempHome::new("influx-setup");
    let influx = InfluxStore::start(&home, &[]).await.unwrap();
    let made = influx.set_up(&home, &[]).await.unwrap().out;
    assert!(made.contains("made    bucket \"tickberry\", keeps 3650 days"), "{made}");
    let again = influx.set_up(&home, &[]).await.unwrap().out;
    assert!(again.lines().all(|line| line.starts_with("kept ")), "{again}");
    let mut secrets = Vec::new();
    for entry in std::fs::read_dir(influx.tokens()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        secrets.push(std::fs::read_to_string(entry.path()).unwrap().trim().to_owned());
    }
    assert_eq!(secrets.len(), 4);
    assert!(secrets.iter().all(|secret| !made.contains(secret) && secret.len() > 40));
    // Rights: the aggregator's bucket and no other; Grafana writes nothing.
    let line = "m a=1";
    assert_eq!(influx.write("influxdb-token", "tickberry", line).await.unwrap(), 204);
    let other = influx.write("influxdb-token", "_monitoring", line).await.unwrap();
    assert!([401, 403, 404].contains(&other), "{other}");
    let grafana = influx.write("influxdb-grafana-token", "tickberry", line).await.unwrap();
    assert!([401, 403].contains(&grafana), "{grafana}");
    // A token whose text is lost is made anew, and the old one is gone.
    let file = influx.tokens().join("influxdb-token");
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mended = influx.set_up(&home, &[]).await.unwrap().out;
    assert!(mended.contains("changed token \"tickberry aggregator\""), "{mended}");
    std::fs::write(influx.tokens().join("old"), old).unwrap();
    assert_eq!(influx.write("old", "tickberry", line).await.unwrap(), 401);
    assert_eq!(influx.write("influxdb-token", "tickberry", line).await.unwrap(), 204);
    // Without the operator's token it says what it needs, and a bucket is never made to forget unasked.
    let operator = influx.tokens().join("influxdb-operator-token");
    let token = std::fs::read_to_string(&operator).unwrap();
    std::fs::remove_file(&operator).unwrap();
    let refused = influx.set_up(&home, &[]).await.unwrap_err().to_string();
    assert!(refused.contains("code: 77") && refused.contains("INFLUXDB_ADMIN_TOKEN_FILE"), "{refused}");
    let run = |more: &'static [&'static str]| {
        let (url, tokens) = (influx.url(), influx.tokens().display().to_string());
        let arguments = ["setup", "influxdb", "--url", &url, "--tokens", &tokens];
        let mut command = command(&home, &[&arguments[..], more].concat());
        command.env("INFLUXDB_ADMIN_TOKEN", token.trim());
        command
    };
    let kept = Finished::of(run(&[])).await.unwrap();
    assert!(
        kept.code == 0 && kept.out.contains("keeps 3650 days and not 7 days: with --shorten"),
        "{kept:?}"
    );
    let shortened = Finished::of(run(&["--shorten"])).await.unwrap();
    assert!(
        shortened.out.contains("changed bucket \"tickberry_trades\", keeps 7 days instead of 3650 days"),
        "{shortened:?}"
    );
}

/// influxdb/config.toml bounds what a question may cost, and the tests run with it.
#[tokio::test]
async fn an_absurd_question_is_refused() {
    let _turn = turn().await;
    let home = TempHome::new("influx-absurd");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    assert_eq!(influx.write("influxdb-token", "tickberry_trades", "trades price=1").await.unwrap(), 204);
    let each_second = "SELECT count(price) FROM trades WHERE time >= 0 AND time < now() GROUP BY time(1s)";
    let refused = influx.influxql("tickberry_trades", each_second).await.unwrap_err().to_string();
    assert!(refused.contains("max-select-buckets limit exceeded"), "{refused}");
}

/// A token that may only read would be found out by the first trade.
#[tokio::test]
async fn a_token_that_only_reads_does_not_do() {
    let _turn = turn().await;
    let home = TempHome::new("influx-reads");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let check = async |token: &str| {
        let mut command = command(&home, &["check"]);
        command.env("TICKBERRY_AGGREGATOR__STORE__INFLUXDB__URL", influx.url());
        command.env("INFLUXDB_TOKEN_FILE", influx.tokens().join(token));
        let told = Finished::of(command).await.unwrap();
        told.out.lines().find(|line| line.contains("store")).unwrap_or_default().to_owned()
    };
    let line = check("influxdb-grafana-token").await;
    assert!(line.starts_with("FAIL") && line.contains("403, the token may not use bucket"), "{line}");
    let line = check("influxdb-token").await;
    assert!(line.starts_with("ok"), "{line}");
}

#[tokio::test]
async fn a_wrong_token_is_a_state_that_passes_when_it_is_mended() {
    let _turn = turn().await;
    let home = TempHome::new("influx-token");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let file = influx.tokens().join("influxdb-token");
    let token = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "revoked").unwrap();
    let feed = Feed::generated(5.0).await;
    let options = options(&home, feed.address(), &influx);
    let mut up = Up::start(&home, &options).await.unwrap();
    let check = || {
        let mut command = command(&home, &["check"]);
        command.envs(options.environment.iter().cloned());
        command
    };
    let told = Finished::of(check()).await.unwrap();
    let line = told.out.lines().find(|line| line.contains("store")).unwrap_or_default();
    assert!(
        line.starts_with("FAIL") && line.contains("401, the token may not use bucket \"tickberry_trades\""),
        "{told:?}"
    );
    eventually(Duration::from_secs(20), "it is told", async || {
        up.process.must_live()?;
        let stream = up.http.stream(SOURCE).await?;
        ensure!(stream.store == "influxdb" && stream.stored == 0 && stream.head > 20, "{stream:?}");
        ensure!(up.process.log().contains("401, the token may not use"), "not in the log");
        Ok(())
    })
    .await
    .unwrap();
    std::fs::write(&file, token).unwrap();
    let head = up.http.stream(SOURCE).await.unwrap().head;
    up.all_stored(head, Duration::from_secs(60)).await.context("mended").unwrap();
    let told = Finished::of(check()).await.unwrap();
    let line = told.out.lines().find(|line| line.contains("store")).unwrap_or_default();
    assert!(line.starts_with("ok") && line.contains("v2.9.1 answers and takes the token"), "{told:?}");
    up.stop().await.unwrap();
}
