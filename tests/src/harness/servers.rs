//! Where `scripts/servers` has put the real servers.

use anyhow::{Result, ensure};
use std::path::PathBuf;

/// `influxd`, or what TB_INFLUXD names.
pub fn influxd() -> Result<PathBuf> {
    found("TB_INFLUXD", "bin/influxd")
}

/// `grafana`, or what TB_GRAFANA names.
pub fn grafana() -> Result<PathBuf> {
    found("TB_GRAFANA", "bin/grafana")
}

/// Grafana's home folder, or what TB_GRAFANA_HOME names.
pub fn grafana_home() -> Result<PathBuf> {
    found("TB_GRAFANA_HOME", "grafana-home")
}

fn found(variable: &str, place: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let path = cache.or(home).unwrap_or_default().join("tickberry/servers").join(place);
    ensure!(path.exists(), "{} is not there: run scripts/servers", path.display());
    Ok(path)
}
