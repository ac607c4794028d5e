//! A webhook: what Grafana posts to it.

use crate::harness::Host;
use anyhow::{Context, Result};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One alert of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `firing` or `resolved`.
    pub status: String,
    /// The rule's title.
    pub rule: String,
    /// The summary, filled in.
    pub summary: String,
}

/// A server that keeps what it was told.
#[derive(Debug)]
pub struct Hook {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Notice>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Hook {
    /// On a host of its own.
    pub async fn start() -> Result<Hook> {
        let listener = TcpListener::bind(Host::unique().at(0)).await?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // What is broken off is posted again.
                if let Ok(notices) = message(stream).await {
                    keep.lock().unwrap_or_else(PoisonError::into_inner).extend(notices);
                }
            }
        });
        Ok(Hook { address, heard, task })
    }

    /// Everything so far.
    pub fn heard(&self) -> Vec<Notice> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn message(mut stream: TcpStream) -> Result<Vec<Notice>> {
    let mut bytes = Vec::new();
    let body = loop {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "it ended early");
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length:")).context("no length")?;
        let end = head + 4 + length.trim().parse::<usize>()?;
        if bytes.len() >= end {
            break bytes[head + 4..end].to_vec();
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
    let message: Value = serde_json::from_slice(&body)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = message["alerts"].as_array().context("no alerts")?.iter().map(|alert| Notice {
        status: text(&alert["status"]),
        rule: text(&alert["labels"]["alertname"]),
        summary: text(&alert["annotations"]["summary"]),
    });
    Ok(alerts.collect())
}
