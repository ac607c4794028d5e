//! InfluxDB, filled, and Grafana beside it.

use serde_json::Value;
use tickberry_tests::generate;
use tickberry_tests::grafana::{
    Asked, Buckets, TRADES_BUCKET, dashboards, market, now_ms, of_dashboard, of_rule, series,
};
use tickberry_tests::harness::{Grafana, GrafanaOptions, Influx, TempHome};
use tickberry_tests::influxql::Point;

/// The bucket of the data source.
pub(crate) const BUCKET: &str = "tickberry";

/// Both servers. (Grafana is first: it ends first.)
pub(crate) struct Lab {
    pub(crate) grafana: Grafana,
    pub(crate) influx: Influx,
    /// What the data source uses.
    pub(crate) token: String,
}

impl Lab {
    /// With both buckets, empty, and a token that reads only them.
    pub(crate) async fn start(home: &TempHome, change: impl FnOnce(&mut GrafanaOptions)) -> Lab {
        let influx = Influx::start(home).await.unwrap();
        let minutes = influx.bucket(BUCKET).await.unwrap();
        let trades = influx.bucket(TRADES_BUCKET).await.unwrap();
        let token = influx.reader(&[&minutes, &trades]).await.unwrap();
        let mut options = GrafanaOptions::new(BUCKET, &token);
        change(&mut options);
        let grafana = Grafana::start(home, &influx.base(), &options).await.unwrap();
        Lab { grafana, influx, token }
    }

    /// Writes both buckets.
    pub(crate) async fn fill(&self, data: &Buckets) {
        self.influx.write(BUCKET, &lines(&data.minutes)).await.unwrap();
        self.influx.write(TRADES_BUCKET, &lines(&data.trades)).await.unwrap();
    }

    /// The rules as Grafana has them.
    pub(crate) async fn rules(&self) -> Vec<Value> {
        let rules = self.grafana.get("/api/v1/provisioning/alert-rules").await.unwrap();
        rules.as_array().unwrap().clone()
    }

    /// Every query of every dashboard and rule.
    pub(crate) async fn asked(&self) -> Vec<Asked> {
        let mut all = Vec::new();
        for (_, board) in dashboards().unwrap() {
            all.extend(of_dashboard(&board).unwrap());
        }
        for rule in self.rules().await {
            all.extend(of_rule(&rule).unwrap());
        }
        all
    }
}

/// Some minutes of everything, not long ago: a panel asks for the last hour. They begin at the same place of every step.
pub(crate) fn data() -> Buckets {
    const LONGEST_STEP_MS: i64 = 480_000;
    let steps = (now_ms() - 1_200_000 - generate::START_MS) / LONGEST_STEP_MS;
    let start_ms = generate::START_MS + steps * LONGEST_STEP_MS;
    let mut data = market(11, start_ms, 30_000).unwrap();
    let last = data.trades.iter().map(|point| point.time_ns).max().unwrap() / 1_000_000;
    data.minutes.extend(series(12, start_ms, last));
    data
}

pub(crate) fn lines(points: &[Point]) -> Vec<String> {
    points.iter().map(Point::line).collect()
}
