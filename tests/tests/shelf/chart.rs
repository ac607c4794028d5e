//! What a browser on the LAN is told by Grafana.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
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
        for frame in frames {
            rows(symbol, frame, &mut windows).with_context(|| frame.to_string())?;
        }
    }
    Ok(windows)
}

fn rows(symbol: &str, frame: &Value, windows: &mut Windows) -> Result<()> {
    let names: Vec<&str> =
        list(&frame["schema"]["fields"]).iter().filter_map(|f| f["name"].as_str()).collect();
    let column = |name: &str| -> Result<&[Value]> {
        let at = names.iter().position(|have| have.eq_ignore_ascii_case(name));
        Ok(list(&frame["data"]["values"][at.with_context(|| format!("no column {name} in {names:?}"))?]))
    };
    for (i, time) in column("time")?.iter().enumerate() {
        let real = |name: &str| column(name)?[i].as_f64().with_context(|| format!("{name} of row {i}"));
        let window = Window {
            open: real("open")?,
            high: real("high")?,
            low: real("low")?,
            close: real("close")?,
            volume: real("volume")?,
            trade_count: real("trade_count")? as i64,
            vwap: real("vwap")?,
            avg_price: real("avg_price")?,
        };
        windows.insert((symbol.to_owned(), time.as_i64().context("a time")?), window);
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
