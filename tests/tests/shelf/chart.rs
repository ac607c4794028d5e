//! What a browser on the LAN is told by Grafana.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tickberry_tests::oracle::{Window, Windows};

const COLUMNS: [&str; 8] = ["open", "high", "low", "close", "volume", "trade_count", "vwap", "avg_price"];

/// Asks Grafana, as anybody may, for the windows of a symbol.
pub(crate) async fn windows(grafana: &str, symbols: &[&str]) -> Result<Windows> {
    let http = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(30)).build()?;
    let mut windows = Windows::new();
    for symbol in symbols {
        let query = format!(
            "SELECT {} FROM minute_trades WHERE \"source\" = 'finnhub' AND \"symbol\" = '{symbol}' AND $timeFilter",
            COLUMNS.join(", ")
        );
        let body = json!({"from": "946684800000", "to": "4102444800000", "queries": [{"refId": "A",
            "datasource": {"type": "influxdb", "uid": "tickberry"}, "rawQuery": true, "query": query,
            "resultFormat": "table", "intervalMs": 60_000, "maxDataPoints": 100_000}]});
        let answer = http.post(format!("{grafana}/api/ds/query")).header("Content-Type", "application/json");
        let answer = answer.body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{status} {text}");
        let said: Value = serde_json::from_str(&text)?;
        let frames = said["results"]["A"]["frames"].as_array().context("no frames")?;
        let mut cells = BTreeMap::new();
        for frame in frames {
            columns(frame, &mut cells).with_context(|| frame.to_string())?;
        }
        rows(symbol, &cells, &mut windows)?;
    }
    Ok(windows)
}

/// By time and column.
type Cells = BTreeMap<i64, BTreeMap<String, f64>>;

/// One frame holds a column, which its own name says, or all of them.
fn columns(frame: &Value, cells: &mut Cells) -> Result<()> {
    let fields = list(&frame["schema"]["fields"]);
    let of_frame = frame["schema"]["name"].as_str().and_then(|name| Some(name.rsplit_once('.')?.1));
    let values = list(&frame["data"]["values"]);
    ensure!(fields.len() == values.len() && fields.len() > 1, "{} fields", fields.len());
    for (field, column) in fields.iter().zip(values).skip(1) {
        let name = field["name"].as_str().context("a name")?;
        let name = if name == "value" { of_frame.context("a frame's name")? } else { name };
        for (time, value) in list(&values[0]).iter().zip(list(column)) {
            let row = cells.entry(time.as_i64().context("a time")?).or_default();
            row.insert(name.to_owned(), value.as_f64().with_context(|| format!("{name}: {value}"))?);
        }
    }
    Ok(())
}

fn rows(symbol: &str, cells: &Cells, windows: &mut Windows) -> Result<()> {
    for (time, row) in cells {
        let real =
            |name: &str| row.get(name).copied().with_context(|| format!("no {name} at {time}: {row:?}"));
        let window = Window::of_row(real("trade_count")? as i64, real)?;
        windows.insert((symbol.to_owned(), *time), window);
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
