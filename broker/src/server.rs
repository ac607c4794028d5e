//! Build, then run.

use crate::auth::Authenticator;
use crate::config::{Config, Limits};
use crate::error::Error;
use crate::hub::Hub;
use crate::listener::{Bounds, Door, lock};
use crate::metrics::{Listener, Metrics};
use crate::retained::Retained;
use crate::router::{Feed, Router};
use prometheus_client::registry::Registry;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tickberry_service::mqtt::MAX_PAYLOAD;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// A tap only ever sends CONNECT and SUBSCRIBE.
const TAP_PACKET: usize = 16 << 10;
/// A service's largest PUBLISH: the payload, its topic, the rest.
const SERVICE_PACKET: usize = MAX_PAYLOAD + 2_048;
/// The kernel's share of what waits for one tap; without a bound it grows to several MiB each.
const TAP_SEND_BUFFER: u32 = 128 << 10;

/// A broker that is bound, and not yet running.
pub struct Built {
    taps: TcpListener,
    services: TcpListener,
    addresses: (SocketAddr, SocketAddr),
    router: Router,
    limits: Limits,
    authenticator: Arc<dyn Authenticator>,
    metrics: Metrics,
    registry: Arc<Registry>,
}

/// Binds both listeners (port 0: any free one) and starts the router. Clients are served from [`Built::run`] on.
pub async fn build(config: Config, authenticator: Arc<dyn Authenticator>) -> Result<Built, Error> {
    config.limits.check()?;
    let taps = bind("taps", config.taps, Some(TAP_SEND_BUFFER))?;
    let services = bind("services", config.services, None)?;
    let addresses = (taps.1, services.1);
    let router = Router::start(&config.limits).await?;
    let metrics = Metrics::default();
    let registry = Arc::new(metrics.registry());
    let (taps, services, limits) = (taps.0, services.0, config.limits);
    Ok(Built { taps, services, addresses, router, limits, authenticator, metrics, registry })
}

fn bind(
    who: &'static str,
    address: SocketAddr,
    send_buffer: Option<u32>,
) -> Result<(TcpListener, SocketAddr), Error> {
    let attempt = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        if let Some(bytes) = send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        socket.bind(address)?;
        let listener = socket.listen(128)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    attempt().map_err(|source| Error::Bind { who, address, source })
}

impl Built {
    /// Where taps connect.
    pub fn tap_address(&self) -> SocketAddr {
        self.addresses.0
    }

    /// Where services connect.
    pub fn service_address(&self) -> SocketAddr {
        self.addresses.1
    }

    /// The broker's metrics, `tickberry_broker_…`.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// Serves until told to stop. An error means that nothing flows any more: end the process.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Built { taps, services, addresses, router, limits, authenticator, metrics, .. } = self;
        let stop = shutdown.child_token();
        let connections = TaskTracker::new();
        let hub =
            || Arc::new(Mutex::new(Hub::new(Retained::new(limits.retained_messages, limits.retained_bytes))));
        let (service_hub, tap_hub, ingress) = (hub(), hub(), Arc::new(router.ingress));
        let [tap_bounds, service_bounds] = bounds(&limits);
        let door = |name, authenticator, bounds, hub: &Arc<Mutex<Hub>>| {
            Door::new(
                name,
                authenticator,
                bounds,
                hub.clone(),
                ingress.clone(),
                metrics.clone(),
                stop.clone(),
            )
        };
        let service_door = door("services", Some(authenticator), service_bounds, &service_hub);
        let tap_door = door("taps", None, tap_bounds, &tap_hub);
        let mut parts: JoinSet<Result<(), Error>> = JoinSet::new();
        parts.spawn(pump(router.services, service_hub, metrics.clone(), "services"));
        parts.spawn(pump(router.taps, tap_hub, metrics.clone(), "taps"));
        for (door, listener) in [(service_door, services), (tap_door, taps)] {
            let accepting = door.accept(listener, connections.clone());
            parts.spawn(async {
                accepting.await;
                Ok(())
            });
        }
        info!(taps = %addresses.0, services = %addresses.1, "broker is listening");
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            // Only a dead router ends a part before its time.
            Some(ended) = parts.join_next() => match ended {
                Ok(result) => result.and(Err(Error::RouterDied)),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Err(Error::RouterDied),
            },
        };
        stop.cancel();
        connections.close();
        if tokio::time::timeout(Duration::from_secs(1), connections.wait()).await.is_err() {
            warn!("some connections did not end within a second");
        }
        parts.shutdown().await;
        outcome
    }
}

/// The bounds of taps and of services.
fn bounds(limits: &Limits) -> [Bounds; 2] {
    let taps = Bounds {
        connections: limits.taps,
        subscriptions: limits.subscriptions,
        queue_messages: limits.tap_queue_messages,
        queue_bytes: limits.tap_queue_bytes,
        max_packet: TAP_PACKET,
        connect: limits.connect_timeout,
        stall: limits.stall_timeout,
    };
    let services = Bounds {
        connections: limits.services,
        queue_messages: limits.service_queue_messages,
        queue_bytes: limits.service_queue_bytes,
        max_packet: SERVICE_PACKET,
        ..taps.clone()
    };
    [taps, services]
}

/// From the router to one of the hubs.
async fn pump(
    mut feed: Feed,
    hub: Arc<Mutex<Hub>>,
    metrics: Metrics,
    listener: &'static str,
) -> Result<(), Error> {
    let of = Listener { listener };
    let delivered = metrics.delivered.get_or_create_owned(&of);
    let retained = metrics.retained.get_or_create_owned(&of);
    let retained_bytes = metrics.retained_bytes.get_or_create_owned(&of);
    for turn in 1u64.. {
        let fed = feed.next().await?;
        let outcome = {
            let mut hub = lock(&hub);
            let outcome = hub.publish(&fed.message, fed.retain);
            if fed.retain {
                retained.set(hub.retained().len() as i64);
                retained_bytes.set(hub.retained().bytes() as i64);
            }
            outcome
        };
        delivered.inc_by(outcome.delivered);
        metrics.drop_messages(listener, "queue", outcome.dropped);
        metrics.drop_messages(listener, "ring", fed.lost);
        metrics.drop_messages(listener, "retained", u64::from(outcome.not_retained));
        // What is already here comes without waiting; let the others have their turn all the same.
        if turn % 128 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::SharedSecret;
    use crate::router::Incoming;

    #[tokio::test]
    async fn a_broker_whose_router_dies_ends() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { taps: any, services: any, ..Config::default() };
        let built = build(config, Arc::new(SharedSecret::generate())).await.unwrap();
        let poison = Incoming::new("\u{e9}/x".as_bytes(), b"x", false);
        assert!(built.router.ingress.publish([poison]).await.is_err());
        let ended = tokio::time::timeout(Duration::from_secs(10), built.run(CancellationToken::new())).await;
        assert!(matches!(ended, Ok(Err(Error::RouterDied))));
    }

    #[test]
    fn every_key_of_the_configuration_has_a_default_and_unknown_ones_are_refused() {
        let config: Config =
            toml::from_str("taps = '127.0.0.1:1'\n[limits]\nconnect_timeout = '3s'").unwrap();
        assert_eq!((config.taps.port(), config.limits.connect_timeout), (1, Duration::from_secs(3)));
        assert!(toml::from_str::<Config>("tap = '127.0.0.1:1'").is_err());
    }
}
