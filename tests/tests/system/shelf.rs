//! The commands that ask, at roles in processes of their own.

use crate::feed::Feed;
use anyhow::ensure;
use std::time::Duration;
use tickberry_tests::harness::{
    Client, Finished, Host, PASSWORD, Process, Role, TOKEN, TempHome, command, eventually, raw, turn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn status_audit_and_check_know_the_roles() {
    let _turn = turn().await;
    let home = TempHome::new("roles");
    let feed = Feed::generated(10.0).await;
    let (mut broker, services, taps) = Role::broker(&home).unwrap();
    let mut aggregator = Role::aggregator(&home, "one", services).unwrap();
    let mut gateway = Role::gateway(&home, services, feed.address()).unwrap();
    let page = Host::unique().free();
    let settings = home.join("page.toml");
    let text = format!(
        "[bus]\naddress = \"{services}\"\n[http]\nconsole = \"{page}\"\n[broker]\ntaps = \"{taps}\"\n\
         [gateway]\nfinnhub_url = \"ws://{}\"\n",
        feed.address()
    );
    std::fs::write(&settings, text).unwrap();
    let settings = settings.display().to_string();
    let asked = |name: &str, data: &std::path::Path| {
        let data = data.parent().expect("a role's folder is inside the data directory").display().to_string();
        let arguments: &[&str] = match name {
            "console" | "check" => &[name, "--config", &settings, "--data-dir", &data],
            _ => &[name, "--config", &settings],
        };
        let mut command = command(&home, arguments);
        command.env("BUS_PASSWORD", PASSWORD).env("FINNHUB_TOKEN", TOKEN);
        command
    };
    let mut console = Process::start(asked("console", &aggregator.folder), home.join("page.log")).unwrap();
    let client = Client::new(page);
    eventually(Duration::from_secs(30), "trades are stored", async || {
        console.must_live()?;
        let stream = client.stream("finnhub").await?;
        ensure!(stream.stored > 500, "{stream:?}");
        Ok(())
    })
    .await
    .unwrap();
    let audit = Finished::of(asked("audit", &aggregator.folder)).await.unwrap();
    assert!(audit.code == 0 && audit.out.contains("0 differ"), "{audit:?}");
    // The running gateway's connection is left alone, and so is another who checks.
    let mut other =
        raw::accepted(services, &raw::connect_service("check", "service", PASSWORD)).await.unwrap();
    let check = Finished::of(asked("check", &gateway.folder)).await.unwrap();
    assert!(
        check.code == 0 && check.out.contains("not tried") && check.out.contains("BUS_PASSWORD"),
        "{check:?}"
    );
    assert_eq!(feed.connections(), 1);
    let mut answer = [0; 2];
    other.write_all(&raw::PING).await.unwrap();
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, raw::PONG);
    broker.process.kill9().await.unwrap();
    eventually(Duration::from_secs(20), "what cannot be heard is not blamed on the feed", async || {
        let status = Finished::of(asked("status", &aggregator.folder)).await?;
        ensure!(status.code == 1 && status.out.contains("broker  cannot be heard"), "{status:?}");
        ensure!(!status.out.contains("stalled"), "{status:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(console.sigterm(Duration::from_secs(5)).await.unwrap().code(), Some(0));
    for role in [&mut aggregator, &mut gateway] {
        role.stop().await.unwrap();
    }
}
