//! The HTTP API, as another program would read it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// One entry of `streams` in `/api/v1/status`; keys not named here may be there.
#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    /// Feed.
    pub source: String,
    /// The gateway's life.
    pub epoch: i64,
    /// Next offset to be given.
    pub head: u64,
    /// Next offset that is not yet durable.
    pub committed: u64,
    /// Next offset the aggregator needs.
    pub consumed: u64,
    /// Below it the store holds every trade and its windows.
    pub stored: u64,
    /// Which store.
    pub store: String,
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client for the server at `address`.
    pub fn new(address: SocketAddr) -> Client {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        Client { base: format!("http://{address}"), http: http.expect("a client without TLS needs nothing") }
    }

    /// The status code and the body.
    pub async fn get(&self, path: &str) -> Result<(u16, Vec<u8>)> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await.with_context(|| format!("the body of {path}"))?.to_vec()))
    }

    /// A number in a header of the answer.
    pub async fn number_in_header(&self, path: &str, name: &str) -> Result<u64> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await?;
        let value = response.headers().get(name).with_context(|| format!("GET {path}: no header {name}"))?;
        Ok(value.to_str()?.parse()?)
    }

    /// The body of a 200.
    pub async fn body(&self, path: &str) -> Result<Vec<u8>> {
        let (status, body) = self.get(path).await?;
        ensure!(status == 200, "GET {path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// The text of a 200.
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.body(path).await?)?)
    }

    /// The JSON of a 200.
    pub async fn json(&self, path: &str) -> Result<serde_json::Value> {
        let text = self.text(path).await?;
        serde_json::from_str(&text).with_context(|| format!("GET {path}: {text}"))
    }

    /// Ok when the server says that it is ready.
    pub async fn ready(&self) -> Result<()> {
        self.body("/health/ready").await.map(drop)
    }

    /// The stream of a source.
    pub async fn stream(&self, source: &str) -> Result<Stream> {
        let status = self.json("/api/v1/status").await?;
        let streams: Vec<Stream> = serde_json::from_value(status["streams"].clone())
            .with_context(|| format!("streams of the status {status}"))?;
        let of_source = streams.into_iter().find(|s| s.source == source);
        of_source.with_context(|| format!("no stream {source:?} in the status {status}"))
    }

    /// The state of a source's feed.
    pub async fn feed_state(&self, source: &str) -> Result<String> {
        let status = self.json("/api/v1/status").await?;
        let feeds = status["feeds"].as_array().context("no feeds in the status")?;
        let feed = feeds.iter().find(|f| f["source"] == source);
        let state = feed.and_then(|f| f["state"].as_str());
        Ok(state.with_context(|| format!("no feed {source:?} in the status {status}"))?.to_owned())
    }

    /// The sum of a metric over all its labels; None where it is not there.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let text = self.text("/metrics").await?;
        let values: Vec<f64> = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }
}
