//! Every alert fires, and resolves, at a webhook. Only times are shortened: the rules are the files'.

use crate::lab::{BUCKET, Lab, lines};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tickberry_tests::grafana::{Hook, Moment, SYMBOL, calm, pipeline};
use tickberry_tests::harness::{TempHome, eventually, project_files, turn};
use tickberry_tests::influxql::Point;

const DEADLINE: Duration = Duration::from_secs(120);

/// A copy of the provisioning with the shortest times Grafana takes.
fn shortened(to: &Path) {
    let from = project_files().join("provisioning");
    for folder in ["datasources", "dashboards", "alerting"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for entry in std::fs::read_dir(from.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let mut text = std::fs::read_to_string(entry.path()).unwrap();
            for (long, short) in [
                (" interval: 30s", " interval: 10s"),
                ("for: 1m", "for: 0s"),
                ("group_wait: 10s", "group_wait: 1s"),
                ("group_interval: 1m", "group_interval: 1s"),
            ] {
                text = text.replace(long, short);
            }
            std::fs::write(to.join(folder).join(entry.file_name()), text).unwrap();
        }
    }
}

/// A minute that has just begun.
fn minute(now_ms: i64, open: f64, close: f64, coverage: f64) -> Point {
    let tags = [("source", "finnhub"), ("symbol", SYMBOL)];
    Point::new("minute_trades", &tags, now_ms * 1_000_000)
        .float("open", open)
        .float("close", close)
        .float("coverage", coverage)
        .integer("final", 1)
}

struct Scene {
    lab: Lab,
    hook: Hook,
    now_ms: i64,
    /// How many notices were there when the act began.
    since: usize,
}

impl Scene {
    /// Writes over what was said of the same moment before.
    async fn act(&mut self, moment: &Moment, minute: Point) {
        self.since = self.hook.heard().len();
        let mut points = pipeline(moment);
        points.push(minute);
        self.lab.influx.write(BUCKET, &lines(&points)).await.unwrap();
    }

    /// Waits until these rules have all been heard of in this act.
    async fn heard(&mut self, status: &str, rules: &[&str]) -> BTreeSet<String> {
        let rules: BTreeSet<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let Scene { lab, hook, since, .. } = self;
        eventually(DEADLINE, &format!("{rules:?} {status}"), async || -> Result<BTreeSet<String>> {
            lab.grafana.process.must_live()?;
            let all = hook.heard().split_off(*since);
            let of_status = all.iter().filter(|notice| notice.status == status);
            let heard: BTreeSet<String> = of_status.map(|notice| notice.rule.clone()).collect();
            ensure!(heard.is_superset(&rules), "heard of {heard:?}");
            Ok(heard)
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn every_alert_fires_and_resolves() {
    let _turn = turn().await;
    let home = TempHome::new("grafana-alerts");
    let hook = Hook::start().await.unwrap();
    let provisioning = home.join("provisioning");
    shortened(&provisioning);
    let url = format!("http://{}/", hook.address);
    let lab = Lab::start(&home, |options| {
        options.provisioning = provisioning;
        options.alert_url = url;
    })
    .await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut scene = Scene { lab, hook, now_ms, since: 0 };

    // Nobody writes anything.
    let silent = ["Feed silent", "Store behind"];
    let heard = scene.heard("firing", &silent).await;
    assert_eq!(heard.len(), silent.len(), "{heard:?}");

    let quiet = calm(scene.now_ms);
    let fair = minute(now_ms, 61_000.0, 61_100.0, 1.0);
    scene.act(&quiet, fair.clone()).await;
    scene.heard("resolved", &silent).await;

    let trouble = Moment {
        silent: 181.0,
        behind: 60.5,
        temperature: 80.5,
        throttled: 1,
        free: 99_000,
        ..quiet.clone()
    };
    let mut all = vec![
        "Feed silent",
        "Store behind",
        "Minute not wholly covered",
        "Pi too hot",
        "Pi throttled",
        "Disk nearly full",
        "Price above",
        "Price moved",
    ];
    scene.act(&trouble, minute(now_ms, 190_000.0, 200_001.0, 0.999)).await;
    scene.heard("firing", &all).await;
    let told = scene.hook.heard();
    let words = |rule: &str| told.iter().rfind(|notice| notice.rule == rule).unwrap().summary.clone();
    assert!(words("Price above").contains(SYMBOL), "{}", words("Price above"));
    assert!(words("Pi too hot").contains("pi"), "{}", words("Pi too hot"));

    scene.act(&quiet, minute(now_ms, 20_500.0, 19_999.0, 1.0)).await;
    scene.heard("firing", &["Price below"]).await;
    scene.heard("resolved", &all).await;

    scene.act(&quiet, fair).await;
    scene.heard("resolved", &["Price below"]).await;
    all.push("Price below");
    let rules: BTreeSet<String> =
        scene.lab.rules().await.iter().map(|rule| rule["title"].as_str().unwrap().to_owned()).collect();
    assert_eq!(rules, all.iter().map(|rule| (*rule).to_owned()).collect(), "a rule without a test");
}
