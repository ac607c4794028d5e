//! What can be configured, with its defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tickberry_service::config::duration;
use tickberry_store::Retention;
use tickberry_store::influx::{InfluxConfig, TokenSource};
use tickberry_wire::Source;

use crate::Error;
use crate::window::FoldConfig;

/// The `[aggregator]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sources to consume. Empty: every source a gateway announces on the bus.
    pub sources: Vec<SourceConfig>,
    /// How far the watermark stays behind the newest trade; at least the gateway's flush interval and 0.5 s.
    #[serde(with = "duration")]
    pub lateness: Duration,
    /// How long a final window can still be corrected by late trades.
    #[serde(with = "duration")]
    pub kept: Duration,
    /// Time between two transactions. Longer spares the card, shorter makes the store fresher.
    #[serde(with = "duration")]
    pub commit_interval: Duration,
    /// The store.
    pub store: StoreConfig,
}

/// A source given by configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its name.
    pub name: Source,
    /// Its journal's address, up to and without `?from=`. Absent: what its gateway announces.
    #[serde(default)]
    pub journal: Option<String>,
}

/// The `[aggregator.store]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// An InfluxDB instead of the SQLite file, where its address is given.
    pub influxdb: InfluxDb,
    /// The SQLite file. Absent: `tickberry.sqlite3` in the data directory.
    pub path: Option<PathBuf>,
    /// Age at which trades are forgotten.
    #[serde(with = "duration")]
    pub trades_age: Duration,
    /// Bytes of trades beyond which the oldest are forgotten.
    pub trades_bytes: u64,
    /// Age at which minutes, days and gaps are forgotten.
    #[serde(with = "duration")]
    pub minutes_age: Duration,
}

/// The `[aggregator.store.influxdb]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfluxDb {
    /// `http://host:port`. Absent: the store is SQLite.
    pub url: Option<String>,
    /// The organisation.
    pub org: String,
    /// The bucket of trades.
    pub bucket: String,
    /// The bucket of minutes, days and gaps; may be the same.
    pub minutes_bucket: String,
    /// The file with the token; `INFLUXDB_TOKEN_FILE` and `INFLUXDB_TOKEN` go over it.
    pub token_file: Option<PathBuf>,
    /// How long the server may take to flush what it acknowledged: longer than its `storage-wal-fsync-delay`.
    #[serde(with = "duration")]
    pub settle: Duration,
}

impl Default for InfluxDb {
    fn default() -> Self {
        Self {
            url: None,
            org: "tickberry".into(),
            bucket: "tickberry_trades".into(),
            minutes_bucket: "tickberry".into(),
            token_file: None,
            settle: Duration::from_secs(2),
        }
    }
}

impl InfluxDb {
    /// What the store needs to know, if this is the store. `folder`: where refused lines go.
    pub fn store(&self, token: TokenSource, folder: &Path) -> Option<InfluxConfig> {
        Some(InfluxConfig {
            url: self.url.clone()?,
            org: self.org.clone(),
            bucket: self.bucket.clone(),
            minutes_bucket: self.minutes_bucket.clone(),
            token,
            settle: self.settle,
            refused: folder.join("influxdb-refused.lp"),
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            lateness: Duration::from_secs(2),
            kept: Duration::from_secs(3600),
            commit_interval: Duration::from_secs(1),
            store: StoreConfig::default(),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        let Retention { trades, trades_bytes, minutes } = Retention::default();
        Self {
            influxdb: InfluxDb::default(),
            path: None,
            trades_age: trades,
            trades_bytes,
            minutes_age: minutes,
        }
    }
}

impl StoreConfig {
    /// One word for status and metrics.
    pub fn name(&self) -> &'static str {
        if self.influxdb.url.is_some() { "influxdb" } else { "sqlite" }
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention { trades: self.trades_age, trades_bytes: self.trades_bytes, minutes: self.minutes_age }
    }
}

impl Config {
    /// What of it the fold goes by: whoever folds the journal again has to go by the same.
    pub fn fold(&self) -> FoldConfig {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        FoldConfig { lateness_ms: millis(self.lateness), kept_ms: millis(self.kept) }
    }

    /// The smallest allowed lateness: the flush interval of a gateway (1 s) and half a second on the way.
    const LEAST_LATENESS: Duration = Duration::from_millis(1500);

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |key, value: Duration, remedy| {
            Err(Error::Config { key, value: duration::display(value), remedy })
        };
        if self.lateness < Self::LEAST_LATENESS {
            return refuse("lateness", self.lateness, "at least 1.5 s: the flush interval and half a second");
        }
        if !(Duration::from_secs(60)..=Duration::from_secs(86_400)).contains(&self.kept) {
            return refuse("kept", self.kept, "between 1 minute and 1 day");
        }
        if !(Duration::from_millis(50)..=Duration::from_secs(60)).contains(&self.commit_interval) {
            return refuse("commit_interval", self.commit_interval, "between 50 ms and 1 minute");
        }
        let settle = self.store.influxdb.settle;
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&settle) {
            return refuse("store.influxdb.settle", settle, "between 100 ms and 1 minute");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_and_bad_values_name_key_value_and_remedy() {
        Config::default().check().unwrap();
        let second = Duration::from_secs(1);
        for (config, text) in [
            (Config { lateness: second, ..Config::default() }, "aggregator.lateness = 1s: at least 1.5 s"),
            (Config { kept: second, ..Config::default() }, "aggregator.kept = 1s: between"),
            (
                Config { commit_interval: second * 3600, ..Config::default() },
                "aggregator.commit_interval = 1h: between",
            ),
        ] {
            assert!(config.check().unwrap_err().to_string().starts_with(text));
        }
    }
}
