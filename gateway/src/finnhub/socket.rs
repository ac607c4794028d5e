//! The WebSocket itself: connect, subscribe, receive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tickberry_wire::Symbol;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector as Tls, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::{Endpoint, Handshake};

/// Name lookup, TCP, TLS and HTTP together; Finnhub was seen to take 65 s when it is unwell.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// A server that does not take a few kilobytes in this time takes nothing.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// A farewell is worth this long.
const CLOSE_LIMIT: Duration = Duration::from_millis(250);
/// Largest message taken: the largest seen had 3 KB; 10 MB of garbage are read and counted all the same.
const MAX_MESSAGE: usize = 16 << 20;

/// Why no connection can ever be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The extra authority cannot be used.
    #[error("cannot use the certificate authority in {path}: {why}; give a PEM file with --finnhub-ca")]
    Authority {
        /// Its file.
        path: String,
        /// Why not.
        why: String,
    },
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// Makes connections to one endpoint.
#[derive(Clone)]
pub struct Connector {
    endpoint: Endpoint,
    tls: Arc<rustls::ClientConfig>,
}

impl Connector {
    /// With the public authorities, and one more if a PEM file of it is given.
    ///
    /// # Errors
    /// When that file holds no certificate.
    pub fn new(endpoint: Endpoint, authority: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = authority {
            let refused = |why: String| TlsError::Authority { path: path.display().to_string(), why };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| refused(error.to_string()))?;
            if certificates.is_empty() {
                return Err(refused("it holds no certificate".to_owned()));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { endpoint, tls: Arc::new(tls) })
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One attempt.
    ///
    /// # Errors
    /// What the server answered instead, or what went wrong, without the key.
    pub async fn connect(&self) -> Result<Socket, Handshake> {
        let config = WebSocketConfig::default()
            .read_buffer_size(32 * 1024)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let tls = Tls::Rustls(self.tls.clone());
        // The request holds the key, so nothing of the error but its text without the key goes on.
        let attempt = connect_async_tls_with_config(self.endpoint.request(), Some(config), true, Some(tls));
        match timeout(CONNECT_LIMIT, attempt).await {
            Ok(Ok((stream, _))) => Ok(Socket { stream, endpoint: self.endpoint.clone() }),
            Ok(Err(Error::Http(response))) => Err(Handshake::Status(response.status().as_u16())),
            Ok(Err(error)) => Err(Handshake::Failed(format!(
                "{}: {}",
                self.endpoint,
                self.endpoint.scrub(&error.to_string())
            ))),
            Err(_) => {
                let seconds = CONNECT_LIMIT.as_secs();
                Err(Handshake::Failed(format!("{}: no answer within {seconds} s", self.endpoint)))
            }
        }
    }
}

/// A connection.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    endpoint: Endpoint,
}

impl Socket {
    /// Asks for symbols.
    ///
    /// # Errors
    /// When the connection does not take it; says why, without the key.
    pub async fn subscribe(&mut self, symbols: &[Symbol]) -> Result<(), String> {
        let send = async {
            for symbol in symbols {
                let request = serde_json::json!({"type": "subscribe", "symbol": symbol.as_str()});
                self.stream.feed(Message::text(request.to_string())).await?;
            }
            self.stream.flush().await
        };
        match timeout(SUBSCRIBE_LIMIT, send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.endpoint.scrub(&error.to_string())),
            Err(_) => Err("it does not take subscriptions".to_owned()),
        }
    }

    /// The next frame's payload. Cancel-safe. Pings of the protocol are answered meanwhile; they do not count as
    /// frames, because a proxy in front of a dead feed sends them too.
    ///
    /// # Errors
    /// When the connection has ended; says why, without the key.
    pub async fn next(&mut self) -> Result<Bytes, String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Bytes::from(text)),
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason =
                        self.endpoint.scrub(&super::Snippet::new(frame.reason.as_bytes()).to_string());
                    let reason = if reason.is_empty() { String::new() } else { format!(", {reason:?}") };
                    return Err(format!("close code {}{reason}", u16::from(frame.code)));
                }
                Some(Ok(Message::Close(None))) => return Err("closed without a reason".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.endpoint.scrub(&error.to_string())),
                None => return Err("the connection ended".to_owned()),
            }
        }
    }

    /// Says goodbye, so that Finnhub frees the key's one place at once.
    pub async fn close(mut self) {
        if timeout(CLOSE_LIMIT, self.stream.close(None)).await.is_err() {
            tracing::debug!("the feed did not take our goodbye in time");
        }
    }
}
