//! From an accepted socket to a client that we know, or to a refusal it can read.

use crate::auth::{Credentials, Refusal, Rights};
use crate::codec::{self, Connect, Malformed, Version};
use crate::listener::Door;
use crate::topic;
use bytes::BytesMut;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why there was no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// Closed, reset, or not in time: nobody to answer.
    #[error("{0}")]
    Gone(&'static str),
    #[error(transparent)]
    Malformed(Malformed),
    #[error("refused: {0:?}")]
    Refused(Refusal),
}

impl Failed {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Failed::Gone(reason) => reason,
            Failed::Malformed(_) => "malformed",
            Failed::Refused(Refusal::Version) => "version",
            Failed::Refused(Refusal::ClientId) => "client_id",
            Failed::Refused(Refusal::Unavailable) => "full",
            Failed::Refused(Refusal::BadCredentials) => "credentials",
            Failed::Refused(Refusal::NotAuthorized) => "not_authorized",
        }
    }
}

/// Reads CONNECT. What came behind it stays in the buffer.
pub(crate) async fn read_connect(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    max_packet: usize,
) -> Result<Connect, Failed> {
    loop {
        if let Some(frame) = codec::next_frame(buffer, max_packet).map_err(Failed::Malformed)? {
            return match codec::decode_connect(frame) {
                Ok(connect) => Ok(connect),
                Err(Malformed::Version(_)) => Err(Failed::Refused(Refusal::Version)),
                Err(error) => Err(Failed::Malformed(error)),
            };
        }
        match stream.read_buf(buffer).await {
            Ok(0) => return Err(Failed::Gone("closed")),
            Ok(_) => {}
            Err(_) => return Err(Failed::Gone("io")),
        }
    }
}

/// Decides whether this client may come in, and what it may do.
pub(crate) fn admit(door: &Door, connect: &Connect, peer: SocketAddr) -> Result<Rights, Refusal> {
    let Some(authenticator) = &door.authenticator else {
        return Ok(Rights::listen());
    };
    let client_id = connect.client_id.as_str();
    if !is_client_id(client_id) {
        return Err(Refusal::ClientId);
    }
    let (username, password) = (connect.username.as_deref(), connect.password.as_deref());
    let rights = authenticator.admit(&Credentials { client_id, username, password, peer })?;
    if let Some(will) = &connect.will {
        let topic = std::str::from_utf8(&will.topic).unwrap_or_default();
        if !topic::is_publishable(&will.topic) || !rights.may_publish(topic) {
            return Err(Refusal::NotAuthorized);
        }
    }
    Ok(rights)
}

/// Tells the client; best effort, the connection ends anyway.
pub(crate) async fn refuse(stream: &mut TcpStream, version: Version, refusal: Refusal) {
    let answer = codec::connack(version, Err(refusal), 0, None);
    if stream.write_all(&answer).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

fn is_client_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
