//! Logs go to standard error, one line an event; systemd's journal adds the time itself.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::exit::{Code, Failure};

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,tickberry_gateway=debug`.
    pub level: String,
    /// Text for people, or JSON for machines.
    pub format: Format,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Text }
    }
}

/// rumqttd tells of every ordinary disconnect as an error; its lost-segment warnings stay.
const QUIET: &str = "rumqttd::router=error,rumqttd::link=off,rumqttc=error";

/// Starts logging for the whole process.
///
/// # Errors
/// 78 when the level is no filter.
pub fn init(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level)).map_err(|error| {
        let level = &config.level;
        Failure::new(
            Code::Config,
            format!("log.level {level:?} is no filter ({error}); use error, warn, info, debug or trace"),
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written (its reader died, its disk is full) is told on standard error, where that panics.
        .log_internal_errors(false)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let in_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let result = match (config.format, in_systemd) {
        (Format::Json, _) => builder.json().try_init(),
        (Format::Text, true) => builder.without_time().try_init(),
        (Format::Text, false) => builder.try_init(),
    };
    result.map_err(|error| Failure::new(Code::Failure, format!("logging was started already: {error}")))
}
