//! The socket against servers of our own: TLS with an authority of one's own, and nothing that shows the token.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tickberry_gateway::finnhub::{Connector, Endpoint, Handshake};
use tickberry_wire::Symbol;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_tungstenite::tungstenite::Message;

const TOKEN: &str = "secret-key-42";
const FRAME: &str = r#"{"type":"ping"}"#;

/// An authority in a file, and a server's side of TLS that it vouches for.
fn authority(home: &TempDir) -> (PathBuf, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = home.path().join("authority.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (path, TlsAcceptor::from(Arc::new(config)))
}

/// Serves one WebSocket: a frame, then a close with a reason that repeats the token; returns what was asked for.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let mut asked = Vec::new();
    while asked.len() < 2 {
        asked.push(socket.next().await.unwrap().unwrap().to_text().unwrap().to_owned());
    }
    socket.send(Message::text(FRAME)).await.unwrap();
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4_001.into(),
        reason: format!("bad {TOKEN}").into(),
    };
    socket.close(Some(frame)).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    asked
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn connector(url: &str, authority: Option<&PathBuf>) -> Connector {
    let endpoint = Endpoint::new(url, Some(TOKEN.into())).unwrap();
    Connector::new(endpoint, authority.map(PathBuf::as_path)).unwrap()
}

fn failure(outcome: Result<tickberry_gateway::finnhub::Socket, Handshake>) -> String {
    match outcome {
        Err(Handshake::Failed(why)) => {
            assert!(!why.contains(TOKEN), "{why}");
            why
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_others_are_not() {
    let home = TempDir::new().unwrap();
    let (path, acceptor) = authority(&home);
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(first).await.is_err(), "a client that does not know the authority");
        let (second, _) = listener.accept().await.unwrap();
        serve(acceptor.accept(second).await.unwrap()).await
    });
    let url = format!("wss://{address}");
    let why = failure(connector(&url, None).connect().await);
    assert!(why.contains("certificate") && why.contains(&url), "{why}");
    let mut socket = connector(&url, Some(&path)).connect().await.unwrap();
    socket.subscribe(&[Symbol::new("AAPL").unwrap(), Symbol::new("A\"B").unwrap()]).await.unwrap();
    assert_eq!(socket.next().await.unwrap(), FRAME);
    assert_eq!(socket.next().await.unwrap_err(), "close code 4001, \"bad ***\"");
    drop(socket);
    // Their keys have no order: what else is built decides it.
    let heard: Vec<Value> =
        server.await.unwrap().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let wanted = ["AAPL", "A\"B"].map(|symbol| json!({"type": "subscribe", "symbol": symbol}));
    assert_eq!(heard, wanted);
}

#[tokio::test]
async fn the_token_goes_to_the_server_and_nowhere_else() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(request[..length].to_vec()).unwrap()
    });
    let outcome = connector(&format!("ws://{address}"), None).connect().await;
    assert!(matches!(outcome, Err(Handshake::Status(401))));
    assert!(server.await.unwrap().starts_with(&format!("GET /?token={TOKEN} HTTP/1.1\r\n")));
}

#[tokio::test]
async fn what_is_no_websocket_is_told_without_the_token() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let length = stream.read(&mut request).await.unwrap();
        // An echo, token and all.
        stream.write_all(&request[..length]).await.unwrap();
    });
    failure(connector(&format!("ws://{address}"), None).connect().await);
    server.await.unwrap();
    let nobody = failure(connector(&format!("ws://{address}"), None).connect().await);
    assert!(nobody.contains("refused"), "{nobody}");
}

#[test]
fn a_file_without_a_certificate_is_said_so() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("empty.pem");
    std::fs::write(&path, "nothing").unwrap();
    for path in [path, home.path().join("not-there.pem")] {
        let endpoint = Endpoint::new("wss://ws.finnhub.io", None).unwrap();
        let error = Connector::new(endpoint, Some(&path)).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains("--finnhub-ca"), "{error}");
    }
}
