//! The gateway's part of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};
use tickberry_service::config::duration;
use tickberry_wire::{Source, Symbol};

use crate::finnhub::SessionSettings;
use crate::journal;
use crate::recorder::RecorderSettings;

/// Everything that can be set. The token is a secret and comes another way.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The feed's name: in topics, in the store, in the journal's address.
    pub source: Source,
    /// What to subscribe to: a list, or names with commas between them.
    #[serde(deserialize_with = "symbols")]
    pub symbols: Vec<Symbol>,
    /// The feed's WebSocket address, without the token.
    pub finnhub_url: String,
    /// A further certificate authority for the feed's TLS, as PEM.
    pub finnhub_ca: Option<PathBuf>,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Time between two flushes of the journal: what a power cut may cost.
    #[serde(with = "duration")]
    pub flush: Duration,
    /// The aggregators' allowed lateness; so long after the last window's end ticks go on.
    #[serde(with = "duration")]
    pub lateness: Duration,
    /// Whether each trade is also published as JSON.
    pub mirror: bool,
    /// Address, `host:port`, at which other machines reach the journal. Absent: the one the gateway's HTTP is bound to.
    pub announce: Option<String>,
    /// Without any frame for this long the connection is closed and made anew.
    #[serde(with = "duration")]
    pub stall_after: Duration,
    /// Without a trade for this long the feed is called quiet.
    #[serde(with = "duration")]
    pub quiet_after: Duration,
    /// Shortest delay before connecting again.
    #[serde(with = "duration")]
    pub backoff_first: Duration,
    /// Longest delay before connecting again.
    #[serde(with = "duration")]
    pub backoff_max: Duration,
    /// Shortest delay when another process seems to use the token.
    #[serde(with = "duration")]
    pub surplus_after: Duration,
    /// Delay when the token is refused.
    #[serde(with = "duration")]
    pub refused_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let symbol = |name| Symbol::new(name).expect("a short name is a symbol");
        Self {
            source: Source::new("finnhub").expect("a short name is a source"),
            symbols: vec![symbol("BINANCE:BTCUSDT"), symbol("BINANCE:ETHUSDT")],
            finnhub_url: "wss://ws.finnhub.io".to_owned(),
            finnhub_ca: None,
            journal_bytes: journal::Config::default().ring_bytes,
            flush: Duration::from_secs(1),
            lateness: Duration::from_secs(2),
            mirror: true,
            announce: None,
            stall_after: Duration::from_secs(150),
            quiet_after: Duration::from_secs(60),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            surplus_after: Duration::from_secs(60),
            refused_after: Duration::from_secs(300),
        }
    }
}

/// A value that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gateway.{key}: {message}")]
pub struct ConfigError {
    /// Its key.
    pub key: &'static str,
    /// What is wrong with it, and what would work.
    pub message: String,
}

/// The status tells of each symbol in one message, and a message has 64 KiB. Finnhub's free plan has 50.
const MAX_SYMBOLS: usize = 400;
/// The journal's segments are this part of it.
const SEGMENTS: u64 = 16;

impl Config {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// At the first value that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, message: String| Err(ConfigError { key, message });
        if self.symbols.is_empty() {
            return refuse("symbols", "name at least one, for example [\"BINANCE:BTCUSDT\"]".to_owned());
        }
        if self.symbols.len() > MAX_SYMBOLS {
            return refuse(
                "symbols",
                format!(
                    "{} symbols are too many; name at most {MAX_SYMBOLS}, and the others at another gateway with a source of its own",
                    self.symbols.len()
                ),
            );
        }
        let mut sorted = self.symbols.clone();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse("symbols", format!("{} is named twice; name it once", twice[0]));
        }
        for (key, value, least) in [
            ("flush", self.flush, 10),
            ("stall_after", self.stall_after, 1_000),
            ("quiet_after", self.quiet_after, 1_000),
            ("backoff_first", self.backoff_first, 10),
            ("backoff_max", self.backoff_max, 10),
            ("surplus_after", self.surplus_after, 10),
            ("refused_after", self.refused_after, 10),
        ] {
            if value < Duration::from_millis(least) {
                return refuse(key, format!("{value:?} is too short; use at least {least}ms"));
            }
        }
        if self.flush > Duration::from_secs(60) {
            return refuse("flush", format!("{:?} is too long; use at most 60s", self.flush));
        }
        if self.lateness < self.flush + Duration::from_millis(500) {
            let least = duration::display(self.flush + Duration::from_millis(500));
            return refuse(
                "lateness",
                format!("{:?} is shorter than flush + 500ms; use at least {least}", self.lateness),
            );
        }
        self.journal().check().map_err(|message| ConfigError { key: "journal_bytes", message })
    }

    /// The journal's sizes: sixteen segments of 4 MiB by default; a segment is a sixteenth, as far as that can be.
    pub(crate) fn journal(&self) -> journal::Config {
        let page = 4096;
        let sixteenth = (self.journal_bytes / SEGMENTS).next_multiple_of(page);
        let segment_bytes = sixteenth.clamp(journal::Config::MIN_SEGMENT_BYTES, 4 << 20);
        journal::Config { ring_bytes: self.journal_bytes, segment_bytes, ..journal::Config::default() }
    }

    pub(crate) fn session(&self) -> SessionSettings {
        let ms = |duration: Duration| duration.as_millis() as u64;
        SessionSettings {
            symbols: self.symbols.clone(),
            stall_ms: ms(self.stall_after),
            quiet_ms: ms(self.quiet_after),
            backoff_first_ms: ms(self.backoff_first),
            backoff_max_ms: ms(self.backoff_max.max(self.backoff_first)),
            surplus_ms: ms(self.surplus_after),
            refused_ms: ms(self.refused_after),
            ..SessionSettings::default()
        }
    }

    pub(crate) fn recorder(&self, simulated: bool) -> RecorderSettings {
        RecorderSettings {
            journal: self.journal(),
            simulated,
            // The last window's end, the lateness, and something for the ticks' own rhythm.
            lateness_ms: self.lateness.as_millis() as u64,
            retry_disk_ms: 60_000,
        }
    }
}

/// A list of names, or one text with commas.
fn symbols<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Symbol>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Text(String),
    }
    let names = match Names::deserialize(deserializer) {
        Ok(Names::List(names)) => names,
        Ok(Names::Text(text)) => {
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
        Err(_) => {
            return Err(de::Error::custom("use a list of names, [\"AAPL\", \"MSFT\"], or \"AAPL,MSFT\""));
        }
    };
    names.iter().map(|name| Symbol::new(name.trim()).map_err(de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_work_and_unknown_keys_do_not() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(config("{}").unwrap().check(), Ok(()));
        assert!(config(r#"{"symbol":"A"}"#).unwrap_err().contains("unknown field `symbol`"));
        assert!(config(r#"{"source":"No"}"#).unwrap_err().contains("\"No\""));
    }

    #[test]
    fn symbols_are_a_list_or_a_text() {
        let names =
            |json| config(json).map(|c| c.symbols.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(r#"{"symbols":["A","B"]}"#).unwrap(), ["A", "B"]);
        assert_eq!(names(r#"{"symbols":"A, B,"}"#).unwrap(), ["A", "B"]);
        assert!(names(r#"{"symbols":5}"#).unwrap_err().contains("use a list of names"));
    }

    #[test]
    fn what_cannot_work_is_named_with_the_remedy() {
        for (json, part) in [
            (r#"{"symbols":[]}"#, "gateway.symbols: name at least one"),
            (r#"{"symbols":"A,B,A"}"#, "gateway.symbols: A is named twice"),
            (r#"{"flush":"1ms"}"#, "gateway.flush: 1ms is too short; use at least 10ms"),
            (r#"{"flush":"2s"}"#, "gateway.lateness: 2s is shorter than flush + 500ms"),
            (r#"{"journal_bytes":1000}"#, "gateway.journal_bytes: "),
        ] {
            let error = config(json).unwrap().check().unwrap_err().to_string();
            assert!(error.starts_with(part), "{json}: {error}");
        }
    }
}
