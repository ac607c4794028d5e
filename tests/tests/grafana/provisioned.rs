//! What a start of Grafana makes of the files.

use crate::lab::Lab;
use serde_json::Value;
use tickberry_tests::grafana::dashboards;
use tickberry_tests::harness::{TempHome, turn};

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let mut all: Vec<&str> = list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn everything_is_there_after_a_start() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-provisioned");
    let lab = Lab::start(&home, |_| ()).await;
    let grafana = &lab.grafana;

    let source = grafana.get("/api/datasources/uid/tickberry").await.unwrap();
    assert_eq!((&source["type"], &source["readOnly"]), (&"influxdb".into(), &true.into()), "{source}");
    let health = grafana.get("/api/datasources/uid/tickberry/health").await.unwrap();
    assert_eq!(health["status"], "OK", "{health}");

    for (file, board) in dashboards().unwrap() {
        let path = format!("/api/dashboards/uid/{}", board["uid"].as_str().unwrap());
        let loaded = grafana.get(&path).await.unwrap();
        assert_eq!(loaded["meta"]["provisioned"], true, "{file}");
        assert_eq!(loaded["dashboard"]["panels"], board["panels"], "{file}");
        let (status, seen) = grafana.anonymous(&path).await.unwrap();
        assert_eq!(
            (status, &seen["meta"]["canEdit"]),
            (200, &false.into()),
            "{file}: viewers look, and no more"
        );
    }
    let (status, _) = grafana.anonymous("/api/admin/settings").await.unwrap();
    assert!([401, 403].contains(&status), "{status}: settings are not for everybody");

    let rules = lab.rules().await;
    assert_eq!(rules.len(), 9);
    for uid in texts(&rules.clone().into(), "uid") {
        let rule = grafana.get(&format!("/api/v1/provisioning/alert-rules/{uid}")).await.unwrap();
        let marks = (&rule["provenance"], &rule["labels"]["service"]);
        assert_eq!(marks, (&"file".into(), &"tickberry".into()), "{rule}");
    }
    let points = grafana.get("/api/v1/provisioning/contact-points").await.unwrap();
    assert!(texts(&points, "uid").contains(&"tickberry-webhook"), "{points}");
    let policies = grafana.get("/api/v1/provisioning/policies").await.unwrap();
    assert_eq!(policies["receiver"], "tickberry", "{policies}");

    let settings = grafana.get("/api/admin/settings").await.unwrap();
    assert_eq!(settings["dashboards"]["min_refresh_interval"], "1s");
    assert_eq!(settings["server"]["enable_gzip"], "false");
    let log = grafana.process.log();
    // What this server lacks, or misses in folders of older releases.
    let known = ["javascript files", "user_profile.png", "provisioning.plugins", "provisioning.notifiers"];
    let wrong = |line: &&str| line.contains("level=error") && !known.iter().any(|known| line.contains(known));
    let errors: Vec<&str> = log.lines().filter(wrong).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(!log.contains(&lab.token), "the token is in the log");
}

#[tokio::test]
async fn a_token_that_may_not_read_is_not_called_healthy() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-refused");
    let lab = Lab::start(&home, |options| options.token = "not-a-token".to_owned()).await;
    let (status, health) = lab.grafana.anonymous("/api/health").await.unwrap();
    assert_eq!(status, 200, "{health}");
    let health = lab.grafana.get("/api/datasources/uid/tickberry/health").await;
    let words = format!("{:#}", health.unwrap_err());
    assert!(words.contains("401") || words.to_lowercase().contains("unauthorized"), "{words}");
}
