//! A TCP proxy for MQTT that loses, doubles and delays whole PUBLISH packets and cuts connections.
//!
//! The shell: sockets and time. What happens to a packet is decided in [`trouble`], where it lies in
//! [`packet`]; both are pure.

pub mod packet;
pub mod trouble;

use anyhow::Result;
use packet::Packets;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trouble::{Fate, Trouble};

/// What was done to packets so far.
#[derive(Debug, Default)]
pub struct Count {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Packets passed as they were.
    pub passed: AtomicU64,
    /// Packets thrown away.
    pub lost: AtomicU64,
    /// Packets sent twice.
    pub doubled: AtomicU64,
    /// Packets sent later, behind younger ones.
    pub delayed: AtomicU64,
    /// Connections cut.
    pub cut: AtomicU64,
}

/// A running proxy. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    count: Arc<Count>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `listen` and brings every connection to `target`, with trouble on both directions.
    pub async fn start(listen: SocketAddr, target: SocketAddr, trouble: Trouble) -> Result<Proxy> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let count = Arc::new(Count::default());
        let task = tokio::spawn(accept(listener, target, trouble, count.clone()));
        Ok(Proxy { address, count, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done.
    pub fn count(&self) -> &Count {
        &self.count
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, trouble: Trouble, count: Arc<Count>) {
    // Owned here, so that all connections end with the proxy.
    let mut pairs = tokio::task::JoinSet::new();
    let trouble = Arc::new(Mutex::new(trouble));
    while let Ok((client, _)) = listener.accept().await {
        count.connections.fetch_add(1, Ordering::Relaxed);
        let (trouble, count) = (trouble.clone(), count.clone());
        pairs.spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // The end of one direction ends both.
            tokio::select! {
                () = direction(from_client, to_server, &trouble, &count) => {}
                () = direction(from_server, to_client, &trouble, &count) => {}
            }
        });
        while pairs.try_join_next().is_some() {}
    }
}

async fn direction(mut from: OwnedReadHalf, to: OwnedWriteHalf, trouble: &Mutex<Trouble>, count: &Count) {
    let (sender, queue) = mpsc::channel(1024);
    let reading = async move {
        let mut packets = Packets::default();
        let mut buffer = vec![0; 65_536];
        loop {
            for packet in packets.by_ref() {
                let fate = trouble.lock().unwrap_or_else(PoisonError::into_inner).fate(&packet);
                for due in pass(fate, count) {
                    let Some(after) = due else { return };
                    if sender.send((Instant::now() + after, packet.clone())).await.is_err() {
                        return;
                    }
                }
            }
            match from.read(&mut buffer).await {
                Ok(n) if n > 0 => packets.push(&buffer[..n]),
                _ => return,
            }
        }
    };
    tokio::join!(reading, write(queue, to));
}

/// When a packet is sent, once for each time it is; None cuts the connection.
fn pass(fate: Fate, count: &Count) -> Vec<Option<Duration>> {
    let (counter, dues) = match fate {
        Fate::Pass => (&count.passed, vec![Some(Duration::ZERO)]),
        Fate::Lose => (&count.lost, vec![]),
        Fate::Double => (&count.doubled, vec![Some(Duration::ZERO); 2]),
        Fate::Delay(by) => (&count.delayed, vec![Some(by)]),
        Fate::Cut => (&count.cut, vec![None]),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    dues
}

/// Sends what is due; what has been delayed goes out behind younger packets.
async fn write(mut queue: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    let mut waiting: Vec<(Instant, Vec<u8>)> = Vec::new();
    loop {
        let next = waiting.iter().map(|(due, _)| *due).min();
        let far = Instant::now() + Duration::from_secs(3600);
        tokio::select! {
            packet = queue.recv() => match packet {
                Some((due, bytes)) if due <= Instant::now() => {
                    if to.write_all(&bytes).await.is_err() { return; }
                }
                Some(later) => waiting.push(later),
                None => return,
            },
            () = tokio::time::sleep_until(next.unwrap_or(far)), if next.is_some() => {
                let now = Instant::now();
                for (_, bytes) in waiting.extract_if(.., |(due, _)| *due <= now) {
                    if to.write_all(&bytes).await.is_err() { return; }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
