//! A real Grafana with the project's files as they are shipped.

use super::{Host, Process, TempHome, eventually, servers};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How often it may be started before it is up for the first time.
const FIRST_STARTS: usize = 3;

const PASSWORD: &str = "admin-password-of-the-tests";

/// The folder `grafana/` of the project.
pub fn project_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

/// What Grafana's environment says to the provisioning, and which provisioning it is.
#[derive(Debug, Clone)]
pub struct GrafanaOptions {
    /// The folder of provisioning files.
    pub provisioning: PathBuf,
    /// The bucket of the data source.
    pub bucket: String,
    /// The data source's token.
    pub token: String,
    /// Where alerts go.
    pub alert_url: String,
}

impl GrafanaOptions {
    /// The files as they are, and alerts to nobody.
    pub fn new(bucket: &str, token: &str) -> GrafanaOptions {
        GrafanaOptions {
            provisioning: project_files().join("provisioning"),
            bucket: bucket.to_owned(),
            token: token.to_owned(),
            alert_url: "http://127.0.0.1:9/".to_owned(),
        }
    }
}

/// Grafana, up.
#[derive(Debug)]
pub struct Grafana {
    /// The child.
    pub process: Process,
    address: SocketAddr,
    http: reqwest::Client,
}

impl Grafana {
    /// Starts one with its files in `home`, its data in the InfluxDB at `url`.
    pub async fn start(home: &TempHome, url: &str, options: &GrafanaOptions) -> Result<Grafana> {
        let address = Host::unique().at(3000);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let mut process = Grafana::launch(home, url, options, address)?;
        // Its very first start fails now and then on a table it has just filled itself, and leaves nothing of it
        // behind; its unit starts it again, and so do we.
        for _ in 1..FIRST_STARTS {
            if !ended_early(&mut process, address, &http).await? {
                break;
            }
            eprintln!("Grafana ended at its first start; it is started again");
            process = Grafana::launch(home, url, options, address)?;
        }
        let mut grafana = Grafana { process, address, http };
        eventually(Duration::from_secs(90), "Grafana is up", async || {
            grafana.process.must_live()?;
            grafana.get("/api/health").await
        })
        .await?;
        Ok(grafana)
    }

    fn launch(home: &TempHome, url: &str, options: &GrafanaOptions, address: SocketAddr) -> Result<Process> {
        let files = project_files();
        let mut command = Command::new(servers::grafana()?);
        command.args(["server", "--homepath"]).arg(servers::grafana_home()?);
        command.arg("--config").arg(files.join("grafana.ini"));
        command.env_clear().env("HOME", home.path()).current_dir(home.path());
        for (name, value) in [
            ("GF_SERVER_HTTP_ADDR", address.ip().to_string()),
            ("GF_SECURITY_ADMIN_PASSWORD", PASSWORD.to_owned()),
            // As in the releases in which the server asks InfluxDB, not the browser.
            ("GF_FEATURE_TOGGLES_ENABLE", "influxdbBackendMigration".to_owned()),
            ("GF_LOG_LEVEL", "info".to_owned()),
            ("TICKBERRY_INFLUXDB_URL", url.to_owned()),
            ("TICKBERRY_INFLUXDB_BUCKET", options.bucket.clone()),
            ("TICKBERRY_INFLUXDB_TOKEN", options.token.clone()),
            ("TICKBERRY_ALERT_URL", options.alert_url.clone()),
        ] {
            command.env(name, value);
        }
        for (name, path) in [
            ("GF_PATHS_DATA", home.join("grafana")),
            ("GF_PATHS_LOGS", home.join("grafana-logs")),
            ("GF_PATHS_PLUGINS", home.join("grafana-plugins")),
            ("GF_PATHS_PROVISIONING", options.provisioning.clone()),
            ("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", files.join("dashboards/market.json")),
            ("TICKBERRY_DASHBOARDS", files.join("dashboards")),
        ] {
            command.env(name, path);
        }
        command.kill_on_drop(true).stdin(Stdio::null());
        Process::start(command, home.join("grafana.log"))
    }

    /// The JSON of a 200, asked by the admin.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let (status, value) =
            self.answer(self.http.get(self.url(path)).basic_auth("admin", Some(PASSWORD))).await?;
        ensure!(status == 200, "GET {path}: {status} {value}");
        Ok(value)
    }

    /// Status and JSON, asked by the admin.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let request = self.http.post(self.url(path)).basic_auth("admin", Some(PASSWORD));
        self.answer(request.header("Content-Type", "application/json").body(body.to_string())).await
    }

    /// Status and JSON of what somebody on the LAN asks.
    pub async fn anonymous(&self, path: &str) -> Result<(u16, Value)> {
        self.answer(self.http.get(self.url(path))).await
    }

    /// Status and JSON of what somebody on the LAN posts, as a page with dashboards does.
    pub async fn query(&self, body: &Value) -> Result<(u16, Value)> {
        let request = self.http.post(self.url("/api/ds/query")).header("Content-Type", "application/json");
        self.answer(request.body(body.to_string())).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value)> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Whether it ended before anything answered at its address.
async fn ended_early(process: &mut Process, address: SocketAddr, http: &reqwest::Client) -> Result<bool> {
    eventually(Duration::from_secs(90), "Grafana answers, or has ended", async || {
        if process.must_live().is_err() {
            return Ok(true);
        }
        http.get(format!("http://{address}/api/health")).send().await?;
        Ok(false)
    })
    .await
}
