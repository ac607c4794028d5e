//! MQTT 3.1.1 packets by hand: what a well-behaved client would never send.

use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A fixed header before `body`.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    while left >= 128 {
        packet.push((left % 128) as u8 | 0x80);
        left /= 128;
    }
    packet.push(left as u8);
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// CONNECT.
pub fn connect(id: &str, clean: bool, keep_alive_s: u16) -> Vec<u8> {
    let flags = [4, if clean { 2 } else { 0 }];
    packet(0x10, &[&text("MQTT")[..], &flags, &keep_alive_s.to_be_bytes(), &text(id)].concat())
}

/// CONNECT of a service, with the secret they share.
pub fn connect_service(id: &str, username: &str, password: &str) -> Vec<u8> {
    let parts = [&text("MQTT")[..], &[4, 0xc2, 0, 30], &text(id), &text(username), &text(password)];
    packet(0x10, &parts.concat())
}

/// SUBSCRIBE.
pub fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1], &text(filter)[..], &[qos]].concat())
}

/// PUBLISH with QoS 0.
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&text(topic), payload].concat())
}

/// PINGREQ.
pub const PING: [u8; 2] = [0xc0, 0];

/// PINGRESP.
pub const PONG: [u8; 2] = [0xd0, 0];

/// DISCONNECT.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A connection that got its CONNACK.
pub async fn connected(address: SocketAddr, id: &str, clean: bool) -> Result<TcpStream> {
    accepted(address, &connect(id, clean, 30)).await
}

/// A connection whose CONNECT got its CONNACK.
pub async fn accepted(address: SocketAddr, connect: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(connect).await?;
    let mut answer = [0; 4];
    tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut answer)).await??;
    ensure!(answer[0] == 0x20 && answer[3] == 0, "CONNACK {answer:?}");
    Ok(socket)
}
