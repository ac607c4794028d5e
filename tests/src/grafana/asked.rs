//! Every query of a dashboard or a rule.

use super::data::{SOURCE, SYMBOL, TRADES_BUCKET};
use crate::harness::project_files;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A panel.
    Panel,
    /// A variable.
    Variable,
    /// An annotation.
    Annotation,
    /// An alert rule.
    Alert,
}

/// A query, and who asks it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Dashboard or rule group, title, and which of its queries.
    pub name: String,
    /// What asks.
    pub kind: Kind,
    /// The query with the dashboard's variables put in.
    pub query: String,
    /// How its series are named.
    pub alias: String,
    /// `time_series` or `table`.
    pub format: String,
    /// The shortest step, in ms.
    pub interval_ms: i64,
    /// The most steps it is shown in.
    pub steps: i64,
    /// Asked at every refresh; an annotation may wait until somebody switches it on.
    pub always: bool,
}

/// A dashboard's JSON.
pub fn dashboard(name: &str) -> Result<Value> {
    let path = project_files().join("dashboards").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// All dashboards there are, by file name.
pub fn dashboards() -> Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(project_files().join("dashboards"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        all.push((name.clone(), dashboard(&name)?));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// Every query in a dashboard; a query that this does not find is found by the count of `"query"` in its text.
pub fn of_dashboard(board: &Value) -> Result<Vec<Asked>> {
    let title = text(&board["title"])?;
    let mut all = Vec::new();
    for panel in list(&board["panels"]) {
        for target in list(&panel["targets"]) {
            all.push(Asked {
                name: format!("{title} / {} / {}", text(&panel["title"])?, text(&target["refId"])?),
                kind: Kind::Panel,
                query: filled(text(&target["query"])?),
                alias: target["alias"].as_str().unwrap_or_default().to_owned(),
                format: text(&target["resultFormat"])?.to_owned(),
                interval_ms: panel["interval"].as_str().map_or(Ok(1_000), milliseconds)?,
                steps: panel["maxDataPoints"].as_i64().unwrap_or(300),
                always: true,
            });
        }
    }
    let other = |name: &Value, kind: Kind, query: &Value| -> Result<Asked> {
        Ok(Asked {
            name: format!("{title} / {}", text(name)?),
            kind,
            query: filled(text(query)?),
            alias: String::new(),
            format: "table".to_owned(),
            interval_ms: 1_000,
            steps: 300,
            always: true,
        })
    };
    for variable in list(&board["templating"]["list"]).iter().filter(|v| v["type"] == "query") {
        all.push(other(&variable["name"], Kind::Variable, &variable["query"])?);
    }
    for annotation in list(&board["annotations"]["list"]) {
        let asked = other(&annotation["name"], Kind::Annotation, &annotation["target"]["query"])?;
        all.push(Asked { always: annotation["enable"] == true, ..asked });
    }
    Ok(all)
}

/// The query of a rule as Grafana's API shows rules.
pub fn of_rule(rule: &Value) -> Result<Vec<Asked>> {
    let queries = list(&rule["data"]).iter().filter(|data| data["datasourceUid"] != "__expr__");
    let asked = queries.map(|data| {
        Ok(Asked {
            name: format!("{} / {}", text(&rule["ruleGroup"])?, text(&rule["title"])?),
            kind: Kind::Alert,
            query: text(&data["model"]["query"])?.to_owned(),
            alias: String::new(),
            format: text(&data["model"]["resultFormat"])?.to_owned(),
            interval_ms: data["model"]["intervalMs"].as_i64().context("no intervalMs")?,
            steps: 300,
            always: true,
        })
    });
    asked.collect()
}

/// With values for the dashboard's variables, as the browser puts them in.
fn filled(query: &str) -> String {
    let values = [("$source", SOURCE), ("$symbol", SYMBOL), ("$trades_bucket", TRADES_BUCKET)];
    values.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} should be a text"))
}

fn milliseconds(text: &str) -> Result<i64> {
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        other => bail!("{other:?} in {text:?} is no unit that is understood here"),
    };
    Ok(number.parse::<i64>()? * factor)
}
