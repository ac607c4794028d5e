//! A real InfluxDB as the store, set up by `tickberry setup influxdb`, on an address and in a folder of its own, read as
//! any other program would: InfluxQL and Flux.

use super::{Finished, Host, Process, TempHome, command, eventually, servers};
use crate::oracle::{TradeRow, Window, Windows};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The bucket of trades.
pub const TRADES: &str = "tickberry_trades";
/// The bucket of everything else.
pub const MINUTES: &str = "tickberry";

/// A server and its folder. Its process can be killed and started again.
#[derive(Debug)]
pub struct InfluxStore {
    /// The child, while there is one.
    pub process: Option<Process>,
    address: SocketAddr,
    home: PathBuf,
    tokens: PathBuf,
    more: Vec<String>,
    http: reqwest::Client,
}

impl InfluxStore {
    /// Starts one that nobody has set up. `more`: further options of influxd.
    pub async fn start(home: &TempHome, more: &[&str]) -> Result<InfluxStore> {
        let mut influx = InfluxStore {
            process: None,
            address: Host::unique().free(),
            home: home.path().to_owned(),
            tokens: home.join("tokens"),
            more: more.iter().map(|&option| option.to_owned()).collect(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
        };
        influx.run().await?;
        Ok(influx)
    }

    /// One that runs already, elsewhere; its tokens are in a folder.
    pub fn running(address: SocketAddr, tokens: &Path) -> Result<InfluxStore> {
        Ok(InfluxStore {
            process: None,
            address,
            home: tokens.to_owned(),
            tokens: tokens.to_owned(),
            more: Vec::new(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
        })
    }

    /// Starts one, and has `tickberry setup influxdb` make what is needed; ages long enough for recordings.
    pub async fn ready(home: &TempHome, more: &[&str]) -> Result<InfluxStore> {
        let influx = InfluxStore::start(home, more).await?;
        influx.set_up(home, &[]).await?;
        Ok(influx)
    }

    /// Starts its process and waits until it answers.
    pub async fn run(&mut self) -> Result<()> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(servers::influxd()?);
        command.env_clear().env("HOME", &self.home).kill_on_drop(true);
        command.env("INFLUXD_CONFIG_PATH", influx_settings(&self.home)?);
        command.args([
            "--http-bind-address",
            &self.address.to_string(),
            "--reporting-disabled",
            "--log-level",
            "warn",
        ]);
        for (option, file) in
            [("--bolt-path", "bolt"), ("--engine-path", "engine"), ("--sqlite-path", "sqlite")]
        {
            command.arg(option).arg(folder.join(file));
        }
        command.args(&self.more);
        self.process = Some(Process::start(command, self.home.join("influxd.log"))?);
        eventually(Duration::from_secs(60), "influxd answers", async || {
            self.process.as_mut().context("started above")?.must_live()?;
            let answer = self.http.get(format!("{}/health", self.url())).send().await?;
            ensure!(answer.status() == 200, "{}", answer.status());
            Ok(())
        })
        .await
    }

    /// SIGKILL.
    pub async fn kill9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill9().await,
            None => Ok(()),
        }
    }

    /// Its data.
    pub fn folder(&self) -> PathBuf {
        self.home.join("influxd")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where `tickberry setup influxdb` puts the tokens.
    pub fn tokens(&self) -> PathBuf {
        self.tokens.clone()
    }

    /// `tickberry setup influxdb`; what it said.
    pub async fn set_up(&self, home: &TempHome, options: &[&str]) -> Result<Finished> {
        let (url, tokens) = (self.url(), self.tokens().display().to_string());
        let all = [&["setup", "influxdb", "--url", &url, "--tokens", &tokens], options].concat();
        let mut command = command(home, &all);
        command.env("TICKBERRY_AGGREGATOR__STORE__TRADES_AGE", "3650d");
        command.env("TICKBERRY_AGGREGATOR__STORE__MINUTES_AGE", "3650d");
        let finished = Finished::of(command).await?;
        ensure!(finished.code == 0, "{finished:?}");
        Ok(finished)
    }

    /// What makes it the store of an aggregator.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("TICKBERRY_AGGREGATOR__STORE__INFLUXDB__URL".to_owned(), self.url()),
            ("INFLUXDB_TOKEN_FILE".to_owned(), self.tokens().join("influxdb-token").display().to_string()),
        ]
    }

    /// The token that Grafana is to use.
    pub fn grafana_token(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.tokens().join("influxdb-grafana-token"))?.trim().to_owned())
    }

    fn token(&self) -> Result<String> {
        Ok(format!("Token {}", self.grafana_token()?))
    }

    /// The rows of an InfluxQL statement, by column.
    pub async fn influxql(&self, bucket: &str, question: &str) -> Result<Vec<BTreeMap<String, Value>>> {
        let query = [("db", bucket), ("epoch", "ns"), ("q", question)];
        let request = self.http.get(format!("{}/query", self.url())).query(&query);
        let answer = request.header("Authorization", self.token()?).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{question}: {status} {text}");
        let json: Value = serde_json::from_str(&text)?;
        let result = &json["results"][0];
        ensure!(result.get("error").is_none(), "{question}: {result}");
        let mut rows = Vec::new();
        for series in result["series"].as_array().unwrap_or(&Vec::new()) {
            let names: Vec<&str> = list(&series["columns"]).iter().filter_map(Value::as_str).collect();
            for values in list(&series["values"]) {
                let row = names.iter().map(|name| (*name).to_owned()).zip(list(values).iter().cloned());
                rows.push(row.collect());
            }
        }
        Ok(rows)
    }

    /// The rows of a Flux script without commas in texts, by column.
    pub async fn flux(&self, script: &str) -> Result<Vec<BTreeMap<String, String>>> {
        let request = self.http.post(format!("{}/api/v2/query?org=tickberry", self.url()));
        let request = request.header("Authorization", self.token()?).header("Accept", "application/csv");
        let answer =
            request.header("Content-Type", "application/vnd.flux").body(script.to_owned()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{script}: {status} {text}");
        let (mut rows, mut names) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim) {
            let values: Vec<String> = line.split(',').map(str::to_owned).collect();
            match values.get(1).map(String::as_str) {
                None => names.clear(),
                Some("result") => names = values,
                _ if names.len() == values.len() => rows.push(names.iter().cloned().zip(values).collect()),
                _ => anyhow::bail!("a line that is none: {line:?}"),
            }
        }
        Ok(rows)
    }

    /// `trades`, in the order of their identity.
    pub async fn trades(&self) -> Result<Vec<TradeRow>> {
        let rows = self.influxql(TRADES, "SELECT * FROM trades").await?;
        let mut trades: Vec<TradeRow> =
            rows.iter().map(trade).collect::<Option<_>>().context("a trade lacks a field")?;
        trades.sort_by(|a, b| (&a.source, a.epoch, a.offset).cmp(&(&b.source, b.epoch, b.offset)));
        Ok(trades)
    }

    /// `minute_trades`.
    pub async fn minutes(&self) -> Result<Windows> {
        let rows = self.influxql(MINUTES, "SELECT * FROM minute_trades").await?;
        rows.iter().map(window).collect::<Option<_>>().context("a minute lacks a field")
    }

    /// `daily_trades`; what it lacks is taken over from `expected`.
    pub async fn days(&self, expected: &Windows) -> Result<Windows> {
        let rows = self.influxql(MINUTES, "SELECT * FROM daily_trades").await?;
        let day = |row: &BTreeMap<String, Value>| {
            let mut row = row.clone();
            let key = (row.get("symbol")?.as_str()?.to_owned(), row.get("time")?.as_i64()? / 1_000_000);
            let like = expected.get(&key);
            for (name, value) in [("vwap", like.map(|w| w.vwap)), ("avg_price", like.map(|w| w.avg_price))] {
                row.insert(name.to_owned(), value.unwrap_or(0.0).into());
            }
            window(&row)
        };
        rows.iter().map(day).collect::<Option<_>>().context("a day lacks a field")
    }

    /// Everything as text: two of them are equal exactly when the contents are. Without what may differ between two
    /// lives of an aggregator: its name, and how far it had come when.
    pub async fn dump(&self) -> Result<String> {
        let mut text = String::new();
        for (bucket, measurement) in [
            (TRADES, "trades"),
            (MINUTES, "minute_trades"),
            (MINUTES, "daily_trades"),
            (MINUTES, "feed_gaps"),
        ] {
            let rows = self.influxql(bucket, &format!("SELECT * FROM {measurement}")).await?;
            let mut lines: Vec<String> = rows.iter().map(|row| format!("{measurement} {row:?}\n")).collect();
            lines.sort();
            text.extend(lines);
        }
        Ok(text)
    }

    /// Deletes a measurement, as the operator may.
    pub async fn delete(&self, bucket: &str, measurement: &str) -> Result<()> {
        let token = std::fs::read_to_string(self.tokens().join("influxdb-operator-token"))?;
        let body = serde_json::json!({
            "start": "1970-01-01T00:00:00Z", "stop": "2262-01-01T00:00:00Z",
            "predicate": format!("_measurement=\"{measurement}\""),
        });
        let request = self.http.post(format!("{}/api/v2/delete?org=tickberry&bucket={bucket}", self.url()));
        let request = request.header("Authorization", format!("Token {}", token.trim()));
        let answer = request.header("Content-Type", "application/json").body(body.to_string()).send().await?;
        ensure!(answer.status() == 204, "{}", answer.text().await?);
        Ok(())
    }

    /// Writes a line with the token of a file; the status.
    pub async fn write(&self, token: &str, bucket: &str, line: &str) -> Result<u16> {
        let token = std::fs::read_to_string(self.tokens().join(token))?;
        let request = self.http.post(format!("{}/api/v2/write?org=tickberry&bucket={bucket}", self.url()));
        let request =
            request.header("Authorization", format!("Token {}", token.trim())).body(line.to_owned());
        Ok(request.send().await?.status().as_u16())
    }
}

/// A copy of influxdb/config.toml without places, which options of the tests name.
pub(super) fn influx_settings(home: &Path) -> Result<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../influxdb/config.toml");
    let places = ["bolt-path", "engine-path", "http-bind-address"];
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let kept = text.lines().filter(|line| !places.iter().any(|place| line.starts_with(place)));
    let copy = home.join("influxd.toml");
    std::fs::write(&copy, kept.collect::<Vec<_>>().join("\n"))?;
    Ok(copy)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn trade(row: &BTreeMap<String, Value>) -> Option<TradeRow> {
    Some(TradeRow {
        source: row.get("source")?.as_str()?.to_owned(),
        epoch: row.get("epoch")?.as_i64()?,
        offset: row.get("journal_offset")?.as_i64()?,
        symbol: row.get("symbol")?.as_str()?.to_owned(),
        time_ms: row.get("time")?.as_i64()?.div_euclid(1_000_000),
        price: row.get("price")?.as_f64()?,
        volume: row.get("volume")?.as_f64()?,
    })
}

fn window(row: &BTreeMap<String, Value>) -> Option<((String, i64), Window)> {
    let real = |name: &str| row.get(name).and_then(Value::as_f64).ok_or(());
    let window = Window::of_row(row.get("trade_count")?.as_i64()?, real).ok()?;
    Some(((row.get("symbol")?.as_str()?.to_owned(), row.get("time")?.as_i64()? / 1_000_000), window))
}
