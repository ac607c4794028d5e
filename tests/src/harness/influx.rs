//! A real InfluxDB.

use super::influx_store::influx_settings;
use super::{Host, Process, TempHome, eventually, servers};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The organisation.
pub const ORG: &str = "shelf";
/// A token that may do everything.
pub const OPERATOR: &str = "the-operator-token-of-the-tests";

/// InfluxDB, set up, without buckets.
#[derive(Debug)]
pub struct Influx {
    /// The child.
    pub process: Process,
    /// Where it answers.
    pub address: SocketAddr,
    http: reqwest::Client,
    org_id: String,
}

impl Influx {
    /// Starts one with its files in `home`.
    pub async fn start(home: &TempHome) -> Result<Influx> {
        let address = Host::unique().at(8086);
        let mut command = Command::new(servers::influxd()?);
        command.env_clear().env("HOME", home.path()).current_dir(home.path());
        command.env("INFLUXD_CONFIG_PATH", influx_settings(home.path())?);
        command.args(["--http-bind-address", &address.to_string(), "--reporting-disabled"]);
        for (option, file) in [
            ("--bolt-path", "influxd.bolt"),
            ("--sqlite-path", "influxd.sqlite"),
            ("--engine-path", "engine"),
        ] {
            command.arg(option).arg(home.join(file));
        }
        command.kill_on_drop(true).stdin(Stdio::null());
        let process = Process::start(command, home.join("influxd.log"))?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let mut influx = Influx { process, address, http, org_id: String::new() };
        eventually(Duration::from_secs(60), "InfluxDB is up", async || {
            influx.process.must_live()?;
            influx.get("/health").await
        })
        .await?;
        let setup = json!({"username": "tests", "password": "password-of-the-tests", "org": ORG,
            "bucket": "unused", "retentionPeriodSeconds": 0, "token": OPERATOR});
        let made = influx.post("/api/v2/setup", &setup).await?;
        influx.org_id = made["org"]["id"].as_str().context("no id of the organisation")?.to_owned();
        Ok(influx)
    }

    /// Makes a bucket that keeps everything; its id.
    pub async fn bucket(&self, name: &str) -> Result<String> {
        self.bucket_kept(name, 0).await
    }

    /// Makes a bucket that forgets after so many seconds, or never (0); its id.
    pub async fn bucket_kept(&self, name: &str, seconds: u64) -> Result<String> {
        let rules = json!([{"type": "expire", "everySeconds": seconds}]);
        let body = json!({"orgID": self.org_id, "name": name, "retentionRules": rules});
        let made = self.post("/api/v2/buckets", &body).await?;
        Ok(made["id"].as_str().context("no id of the bucket")?.to_owned())
    }

    /// A token that reads these buckets, by id, and does nothing else.
    pub async fn reader(&self, buckets: &[&str]) -> Result<String> {
        let permissions: Vec<Value> = buckets
            .iter()
            .map(|id| json!({"action": "read", "resource": {"type": "buckets", "id": id, "orgID": self.org_id}}))
            .collect();
        let body = json!({"orgID": self.org_id, "description": "Grafana reads", "permissions": permissions});
        let made = self.post("/api/v2/authorizations", &body).await?;
        Ok(made["token"].as_str().context("no token in the answer")?.to_owned())
    }

    /// Writes lines with times in ns, 5,000 a request.
    pub async fn write(&self, bucket: &str, lines: &[String]) -> Result<()> {
        let path = format!("/api/v2/write?org={ORG}&bucket={bucket}&precision=ns");
        for part in lines.chunks(5_000) {
            let request = self.http.post(self.url(&path)).body(part.join("\n"));
            let response = request.header("Authorization", format!("Token {OPERATOR}")).send().await?;
            let status = response.status().as_u16();
            ensure!(status == 204, "a write to {bucket}: {status} {}", response.text().await?);
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.answer(path, self.http.get(self.url(path))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.post(self.url(path)).header("Content-Type", "application/json");
        self.answer(path, request.body(body.to_string())).await
    }

    async fn answer(&self, path: &str, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.header("Authorization", format!("Token {OPERATOR}")).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    /// Its address as others are told it.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base())
    }
}
