//! The one configuration of all roles.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use tickberry_service::config::{ConfigError, Layers, default_file};
use tickberry_service::exit::{Code, Failure};
use tickberry_service::{log, secret};

use crate::cli::{Role, Up};
use crate::place;

/// What the file may say; the commented `tickberry.toml` beside the README shows every key.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// Journal, SQLite file and lock.
    pub(crate) data_dir: Option<PathBuf>,
    /// This host's name on the topics.
    pub(crate) node: Option<String>,
    /// `[log]`
    pub(crate) log: log::Config,
    /// `[http]`
    pub(crate) http: Http,
    /// `[bus]`
    pub(crate) bus: Bus,
    /// `[gateway]`
    pub(crate) gateway: tickberry_gateway::Config,
    /// `[broker]`
    pub(crate) broker: tickberry_broker::Config,
    /// `[aggregator]`
    pub(crate) aggregator: tickberry_aggregator::Config,
    /// `[console]`
    pub(crate) console: tickberry_console::Config,
    /// `[simulator]`
    pub(crate) simulator: tickberry_simulator::Config,
}

/// `[http]`: where each role serves. `up` serves everything at the console's address.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Journal and metrics of a gateway.
    pub(crate) gateway: SocketAddr,
    /// Metrics of a broker.
    pub(crate) broker: SocketAddr,
    /// Metrics of an aggregator.
    pub(crate) aggregator: SocketAddr,
    /// Page and API.
    pub(crate) console: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            gateway: loopback(9181),
            broker: loopback(9182),
            aggregator: loopback(9183),
            console: loopback(8080),
        }
    }
}

/// `[bus]`: where services find the broker. The password is a secret of its own (`BUS_PASSWORD`).
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bus {
    /// `host:port` of the broker's service listener.
    pub(crate) address: String,
}

impl Default for Bus {
    fn default() -> Self {
        Self { address: "127.0.0.1:8883".to_owned() }
    }
}

/// A process's settings: the file's, what the environment adds to it, and secrets.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What was configured.
    pub(crate) file: File,
    /// The feed's token.
    pub(crate) token: Option<SecretString>,
    /// The services' password at the broker.
    pub(crate) bus_password: Option<SecretString>,
    /// No token and no feed address: the simulator takes the feed's place.
    pub(crate) simulated: bool,
    /// Nobody asked for the page's address.
    pub(crate) default_http: bool,
    /// Nobody asked for the taps' address.
    pub(crate) default_mqtt: bool,
    /// Where the state lies.
    pub(crate) data_dir: PathBuf,
    /// This host's name on the topics.
    pub(crate) node: String,
}

/// Settings of `up`.
pub(crate) fn load(config: Option<&Path>, options: &Up) -> Result<Settings, Failure> {
    let mut layers = layers(config)?;
    let set = |layers: &mut Layers, key: &str, value: Option<String>, option: &str| {
        if let Some(value) = value {
            layers.set(key, value, option);
        }
    };
    set(&mut layers, "http.console", options.http.map(|address| address.to_string()), "--http");
    set(&mut layers, "broker.taps", options.mqtt.map(|address| address.to_string()), "--mqtt");
    set(&mut layers, "gateway.symbols", options.symbols.clone(), "--symbols");
    set(&mut layers, "gateway.finnhub_url", options.finnhub_url.clone(), "--finnhub-url");
    set(&mut layers, "gateway.finnhub_ca", options.finnhub_ca.as_deref().map(text), "--finnhub-ca");
    settings(layers, &options.role)
}

/// Settings of a single role.
pub(crate) fn load_role(config: Option<&Path>, role: Role) -> Result<Settings, Failure> {
    let mut settings = load_check(config, role)?;
    // A role of its own never simulates, whatever secrets this host has for other roles.
    if settings.simulated && settings.file.data_dir.is_none() {
        settings.data_dir = data_dir(&settings.file, false)?;
    }
    Ok(settings)
}

/// Settings for `check`, as `up` would find them.
pub(crate) fn load_check(config: Option<&Path>, role: Role) -> Result<Settings, Failure> {
    settings(layers(config)?, &role)
}

/// What the file and the environment say, for who only asks or simulates.
pub(crate) fn load_file(config: Option<&Path>) -> Result<File, Failure> {
    layers(config)?.parse().map_err(|error| Failure::new(Code::Config, error))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn layers(config: Option<&Path>) -> Result<Layers, Failure> {
    let refuse = |error: ConfigError| Failure::new(Code::Config, error);
    let mut layers = Layers::default();
    if let Some(path) = config.map(Path::to_owned).or_else(|| default_file(env)) {
        layers.file(&path).map_err(refuse)?;
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    layers.environment(variables).map_err(refuse)?;
    Ok(layers)
}

fn data_dir(file: &File, simulated: bool) -> Result<PathBuf, Failure> {
    file.data_dir.clone().or_else(|| place::data_dir(env, simulated)).ok_or_else(|| {
        Failure::new(Code::Usage, "there is no HOME to keep data in; give a directory with --data-dir")
    })
}

fn settings(mut layers: Layers, role: &Role) -> Result<Settings, Failure> {
    if let Some(path) = &role.data_dir {
        layers.set("data_dir", text(path), "--data-dir");
    }
    let refuse = |error: &dyn std::fmt::Display| Failure::new(Code::Config, error);
    let token = secret::find("FINNHUB_TOKEN", "finnhub-token", env).map_err(|error| refuse(&error))?;
    let bus_password = secret::find("BUS_PASSWORD", "bus-password", env).map_err(|error| refuse(&error))?;
    let simulated = token.is_none() && layers.text_at("gateway.finnhub_url").is_none();
    let default_http = layers.text_at("http.console").is_none();
    let default_mqtt = layers.text_at("broker.taps").is_none();
    let file: File = layers.parse().map_err(|error| refuse(&error))?;
    log::init(&file.log)?;
    let data_dir = data_dir(&file, simulated)?;
    let node = file.node.clone().unwrap_or_else(place::node);
    Ok(Settings { file, token, bus_password, simulated, default_http, default_mqtt, data_dir, node })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../tickberry.toml");

    fn parse(text: &str) -> Result<File, ConfigError> {
        let mut layers = Layers::default();
        layers.text(text, Path::new("tickberry.toml"))?;
        layers.parse()
    }

    /// The example without the comment signs in front of its keys and tables. `#?` stands before keys that have no
    /// default; with them it must parse, without them it must be the default.
    fn uncommented(with_optional: bool) -> String {
        let line = |line: &str| {
            let code = line.strip_prefix("#? ").filter(|_| with_optional).or_else(|| line.strip_prefix("# "));
            let is_code = |code: &&str| {
                code.starts_with('[') || code.split(" = ").next().is_some_and(is_key) && code.contains(" = ")
            };
            code.filter(is_code).unwrap_or_default().to_owned() + "\n"
        };
        EXAMPLE.lines().map(line).collect()
    }

    fn is_key(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    }

    #[test]
    fn the_example_shows_the_defaults() {
        assert_eq!(format!("{:#?}", parse(&uncommented(false)).unwrap()), format!("{:#?}", File::default()));
        parse(&uncommented(true)).unwrap();
    }

    #[test]
    fn the_example_shows_every_key() {
        let tables: Vec<String> = uncommented(true)
            .lines()
            .filter_map(|line| Some(line.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
            .collect();
        assert!(tables.len() >= 9, "{tables:?}");
        for table in &tables {
            // serde's complaint about a key that is none names those that are.
            let error = parse(&format!("[{table}]\nno_such_key = 1")).unwrap_err().to_string();
            let section = uncommented(true);
            let section = section.split(&format!("[{table}]\n")).nth(1).unwrap_or_default();
            let section = section.split("\n[").next().unwrap_or_default();
            for key in error
                .lines()
                .next()
                .unwrap_or_default()
                .split("expected")
                .nth(1)
                .unwrap_or_default()
                .split('`')
                .skip(1)
                .step_by(2)
            {
                let is_table = tables.contains(&format!("{table}.{key}"));
                assert!(is_table || section.contains(&format!("{key} = ")), "[{table}] lacks {key}: {error}");
            }
        }
    }
}
