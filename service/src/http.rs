//! HTTP: binding, serving, health and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::Shutdown;
use crate::exit::{Code, Failure};

/// An address to listen on, and whether it may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where.
    pub at: SocketAddr,
    /// Nobody asked for it: when it is taken, the next free port does.
    pub is_default: bool,
}

/// How many ports a default address tries.
const TRIES: u16 = 100;

/// Binds an address; a default one that is taken moves to the next free port.
///
/// # Errors
/// 69 when the port is taken, 74 when the address cannot be bound at all.
pub async fn bind(address: Address, option: &str) -> Result<TcpListener, Failure> {
    let mut at = address.at;
    for _ in 0..TRIES {
        match TcpListener::bind(at).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                if !address.is_default {
                    return Err(Failure::new(
                        Code::Unavailable,
                        format!(
                            "{at} is taken by another program; stop it or give another address with {option}"
                        ),
                    ));
                }
                at.set_port(at.port().checked_add(1).unwrap_or(1024));
            }
            Err(error) => {
                return Err(Failure::new(
                    Code::Io,
                    format!("cannot listen on {at}: {error}; give another address with {option}"),
                ));
            }
        }
    }
    let first = address.at;
    Err(Failure::new(
        Code::Unavailable,
        format!("{TRIES} ports from {first} on are taken; give an address with {option}"),
    ))
}

/// Serves until the shutdown, then lets requests under way end.
///
/// # Errors
/// When accepting fails for good.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
    let ended = shutdown.clone();
    let server =
        axum::serve(NoDelay(listener), router).with_graceful_shutdown(async move { ended.cancelled().await });
    tokio::select! {
        result = server => result,
        // Streams without an end (events, a tailing journal) do not hold the process up.
        () = async { shutdown.cancelled().await; tokio::time::sleep(std::time::Duration::from_secs(1)).await } => Ok(()),
    }
}

/// Live updates are small and must not wait for one another.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Whether a process is ready to serve; set by the part that knows.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `/health/live`, `/health/ready` and `/metrics` over the registries of all services in the process.
pub fn operations(readiness: Readiness, registries: Vec<Arc<Registry>>) -> Router {
    let ready = move || async move {
        if readiness.get() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
        }
    };
    let metrics = move || async move {
        let mut text = String::new();
        for registry in &registries {
            if let Err(error) = prometheus_client::encoding::text::encode_registry(&mut text, registry) {
                return (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the metrics: {error}\n"))
                    .into_response();
            }
        }
        text.push_str("# EOF\n");
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, kind)], text).into_response()
    };
    Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_default_port_moves_and_a_wanted_one_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = taken.local_addr().unwrap();
        let moved = bind(Address { at, is_default: true }, "--http").await.unwrap();
        assert_ne!(moved.local_addr().unwrap().port(), at.port());
        let failure = bind(Address { at, is_default: false }, "--http").await.unwrap_err();
        assert_eq!(failure.code(), Code::Unavailable);
        assert!(
            failure.to_string().contains(&at.to_string()) && failure.to_string().contains("--http"),
            "{failure}"
        );
        let nowhere = Address { at: "192.0.2.1:1".parse().unwrap(), is_default: true };
        assert_eq!(bind(nowhere, "--http").await.unwrap_err().code(), Code::Io);
    }
}
