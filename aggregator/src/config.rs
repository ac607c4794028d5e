//! What can be configured, with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tickberry_service::config::duration;
use tickberry_store::Retention;
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
        Self { path: None, trades_age: trades, trades_bytes, minutes_age: minutes }
    }
}

impl StoreConfig {
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
