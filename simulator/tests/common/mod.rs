//! A client that knows nothing but WebSocket and JSON, and a simulator to point it at.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tickberry_simulator::{Config, Control, Simulator};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Running {
    pub url: String,
    pub control: Control,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<()>,
}

pub async fn start(config: Config) -> Running {
    let simulator = Simulator::build(config).await.expect("the simulator is built");
    let (url, control, shutdown) = (simulator.url(), simulator.control(), CancellationToken::new());
    let run = simulator.run(shutdown.clone());
    Running { url, control, shutdown, task: tokio::spawn(async move { run.await.expect("it runs") }) }
}

impl Running {
    pub async fn client(&self) -> Client {
        self.try_client("key").await.expect("the client connects")
    }

    pub async fn try_client(&self, key: &str) -> Result<Client, Error> {
        let url = format!("{}/?token={key}", self.url);
        let (ws, _) = tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(url))
            .await
            .expect("an answer in time")?;
        Ok(Client { ws })
    }

    pub async fn subscribed(&self, symbols: &[&str]) -> Client {
        let mut client = self.client().await;
        client.subscribe(symbols).await;
        client
    }
}

pub struct Client {
    pub ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub async fn say(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.expect("said");
    }

    pub async fn subscribe(&mut self, symbols: &[&str]) {
        for symbol in symbols {
            self.say(&format!(r#"{{"type":"subscribe","symbol":"{symbol}"}}"#)).await;
        }
    }

    /// The next message, or `None` at the end of the connection, however it ends.
    pub async fn message(&mut self) -> Option<Message> {
        match tokio::time::timeout(PATIENCE, self.ws.next()).await.expect("a message in time") {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }

    pub async fn text(&mut self) -> String {
        let message = self.message().await.expect("not the end");
        message.into_text().expect("text").to_string()
    }

    /// The trades of the next trade frame; other frames are skipped.
    pub async fn trades(&mut self) -> Option<Vec<serde_json::Value>> {
        loop {
            let message = self.message().await?;
            let Ok(text) = message.into_text() else { continue };
            let Ok(mut frame) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            if frame["type"] == "trade" {
                return Some(frame["data"].as_array_mut().map(std::mem::take).expect("data"));
            }
        }
    }
}

/// Where recorded data lies, or `None` with a word about it.
pub fn data(name: &str) -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("TB_DATA").map_or(default, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: no {name} in ../shared/data or $TB_DATA");
    None
}

pub const BTC: &str = "binance_spot_btcusdt_20240808_trades.csv.gz";
pub const ETH: &str = "binance_spot_ethusdt_20240808_trades.csv.gz";
