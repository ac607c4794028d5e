//! Configuration: option > environment > file > default, laid over one another as tables and parsed once.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Environment variables of this prefix are configuration: `TICKBERRY_GATEWAY__SYMBOLS` is `gateway.symbols`.
pub const PREFIX: &str = "TICKBERRY_";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}; give another with --config")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path} is not valid TOML: {error}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// An environment variable that means nothing.
    #[error("the environment variable {name} is no configuration key: {why}; unset it or correct its name")]
    Variable {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// A key or value that is not allowed.
    #[error("configuration: {origin}: {message}")]
    Value {
        /// The key, and where it was set.
        origin: String,
        /// What is wrong and what is allowed.
        message: String,
    },
}

/// The tables that are laid over one another, and where each value came from.
#[derive(Debug, Default)]
pub struct Layers {
    table: Table,
    origins: Vec<(String, String)>,
}

impl Layers {
    /// Adds a TOML file.
    ///
    /// # Errors
    /// When it cannot be read or is no TOML.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        self.text(&text, path)
    }

    /// Adds TOML text; `path` names it in errors.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn text(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let table: Table = text
            .parse()
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), error: Box::new(error) })?;
        self.overlay(table, &path.display().to_string());
        Ok(())
    }

    /// Adds the variables that begin with [`PREFIX`]; `__` stands between table and key. A value is taken as TOML
    /// where it is that, else as text.
    ///
    /// # Errors
    /// When a name has an empty part, or runs through a value that is no table.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut variables: Vec<_> =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        for (name, value) in variables {
            let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            if key.split('.').any(str::is_empty) {
                return Err(ConfigError::Variable { name, why: "it has an empty part".to_owned() });
            }
            let parsed = format!("v = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
            let value = parsed.unwrap_or(Value::String(value));
            self.set_from(&key, value, &name);
        }
        Ok(())
    }

    /// Sets one key (`gateway.symbols`) as the option `option` says.
    pub fn set(&mut self, key: &str, value: impl Into<Value>, option: &str) {
        self.set_from(key, value.into(), option);
    }

    fn set_from(&mut self, key: &str, value: Value, origin: &str) {
        let mut parts = key.rsplit('.');
        let last = parts.next().unwrap_or(key);
        let leaf = Table::from_iter([(last.to_owned(), value)]);
        let table =
            parts.fold(leaf, |table, part| Table::from_iter([(part.to_owned(), Value::Table(table))]));
        self.overlay(table, origin);
    }

    fn overlay(&mut self, table: Table, origin: &str) {
        let mut keys = Vec::new();
        leaves(&table, "", &mut keys);
        self.origins.extend(keys.into_iter().map(|key| (key, origin.to_owned())));
        merge(&mut self.table, table);
    }

    /// The value a key has so far, as text if it is text.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        let mut parts = key.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))?.as_str()
    }

    /// Parses what was laid over one another.
    ///
    /// # Errors
    /// At the first unknown key or value that is not allowed, with its path and where it was set.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(Value::Table(self.table)).map_err(|error| {
            let path = error.path().to_string();
            // toml adds a line that says where; the origin says it better.
            let message = error.inner().to_string().lines().next().unwrap_or_default().to_owned();
            let unknown = message.split('`').nth(1).filter(|_| message.starts_with("unknown field"));
            let inside = |key: &str| {
                let whole = unknown.map_or_else(
                    || path.clone(),
                    |field| if path == "." { field.to_owned() } else { join(&path, field) },
                );
                key == whole || key.starts_with(&format!("{whole}.")) || key == path
            };
            let origin = self.origins.iter().rev().find(|(key, _)| inside(key));
            let origin =
                origin.map_or_else(|| path.clone(), |(key, origin)| format!("{key} (set by {origin})"));
            ConfigError::Value { origin, message }
        })
    }
}

fn join(path: &str, field: &str) -> String {
    if path.ends_with(field) { path.to_owned() } else { format!("{path}.{field}") }
}

fn leaves(table: &Table, prefix: &str, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => leaves(table, &path, keys),
            _ => keys.push(path),
        }
    }
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Where the configuration file lies if no option names one: the user's, else the system's, else nowhere.
pub fn default_file(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let user = env("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env("HOME")?).join(".config")))
        .map(|folder| folder.join("tickberry/tickberry.toml"));
    let system = PathBuf::from("/etc/tickberry/tickberry.toml");
    user.into_iter().chain([system]).find(|path| path.exists())
}

/// Durations as people write them: `"5s"`, `"1m 30s"`, `"7d"` (a day has 24 hours). For `#[serde(with = …)]`.
pub mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use jiff::fmt::friendly::{Designator, SpanParser, SpanPrinter};
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Reads a duration's text.
    ///
    /// # Errors
    /// When it is no duration, or negative.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let hint = || {
            format!(
                "{text:?} is no duration; write for example \"500ms\", \"5s\", \"1m 30s\", \"1h\" or \"7d\""
            )
        };
        let trimmed = text.trim();
        if let Some(days) = trimmed.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok()) {
            return Ok(Duration::from_secs(u64::from(days) * 86_400));
        }
        let span: SignedDuration = SpanParser::new().parse_duration(trimmed).map_err(|_| hint())?;
        Duration::try_from(span).map_err(|_| hint())
    }

    /// For serde.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    /// For serde.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&display(*value))
    }

    /// A duration's text, which [`parse`] reads.
    pub fn display(value: Duration) -> String {
        let span = SignedDuration::try_from(value).unwrap_or(SignedDuration::MAX);
        SpanPrinter::new().designator(Designator::Compact).duration_to_string(&span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::time::Duration;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Part {
        #[serde(with = "duration")]
        wait: Duration,
        name: String,
        port: u16,
    }

    impl Default for Part {
        fn default() -> Self {
            Self { wait: Duration::from_secs(5), name: "a".to_owned(), port: 1 }
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Whole {
        part: Part,
    }

    fn load(file: &str, env: &[(&str, &str)], option: Option<(&str, &str)>) -> Result<Whole, ConfigError> {
        let mut layers = Layers::default();
        layers.text(file, Path::new("x.toml"))?;
        layers.environment(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))?;
        if let Some((key, value)) = option {
            layers.set(key, value, "--name");
        }
        layers.parse()
    }

    #[test]
    fn options_over_environment_over_file_over_default() {
        let whole =
            load("[part]\nname = 'file'\nport = 2", &[("TICKBERRY_PART__PORT", "3"), ("HOME", "x")], None)
                .unwrap();
        assert_eq!(whole.part, Part { name: "file".to_owned(), port: 3, ..Part::default() });
        let env = [("TICKBERRY_PART__NAME", "env"), ("TICKBERRY_PART__WAIT", "1m 30s")];
        let whole = load("[part]\nname = 'file'", &env, Some(("part.name", "option"))).unwrap();
        assert_eq!(
            whole.part,
            Part { name: "option".to_owned(), wait: Duration::from_secs(90), ..Part::default() }
        );
    }

    #[test]
    fn errors_name_key_origin_and_remedy() {
        for (file, env, expected) in [
            (
                "[part]\nnmae = 'x'",
                None,
                "part.nmae (set by x.toml): unknown field `nmae`, expected one of `wait`, `name`, `port`",
            ),
            (
                "",
                Some(("TICKBERRY_PRAT__NAME", "x")),
                "prat.name (set by TICKBERRY_PRAT__NAME): unknown field `prat`, expected `part`",
            ),
            ("[part]\nwait = '5 parsecs'", None, "\"5 parsecs\" is no duration; write for example"),
            ("[part]\nport = 70000", None, "part.port (set by x.toml): invalid value: integer `70000`"),
            ("part = ", None, "x.toml is not valid TOML"),
            ("", Some(("TICKBERRY_PART____X", "x")), "TICKBERRY_PART____X is no configuration key"),
        ] {
            let error = load(file, env.as_slice(), None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}\nlacks\n{expected}");
        }
    }

    #[test]
    fn durations_come_back() {
        for seconds in [0, 1, 5, 90, 3600, 86_400, 604_800] {
            let value = Duration::from_secs(seconds);
            assert_eq!(duration::parse(&duration::display(value)), Ok(value));
        }
        assert_eq!(duration::parse("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(duration::parse("1500ms"), Ok(Duration::from_millis(1500)));
        assert!(duration::parse("-5s").is_err() && duration::parse("5").is_err());
    }
}
