//! Accepting connections, so many and no more, and knowing who is there.

use crate::auth::Authenticator;
use crate::connection;
use crate::hub::{Hub, Id};
use crate::metrics::{Listener, Metrics, Reason};
use crate::router::Ingress;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// So many connections may be without a CONNECT at a time; beyond, the oldest of them makes room.
const MAX_HANDSHAKES: usize = 32;

/// The bounds of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) subscriptions: usize,
    pub(crate) queue_messages: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) max_packet: usize,
    pub(crate) connect: Duration,
    pub(crate) stall: Duration,
}

/// One of the two listeners and what its connections share.
pub(crate) struct Door {
    /// "taps" or "services".
    pub(crate) name: &'static str,
    /// `None`: anybody may come in, to listen.
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
    pub(crate) bounds: Bounds,
    pub(crate) hub: Arc<Mutex<Hub>>,
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    clients: Mutex<HashMap<String, Client>>,
    handshakes: Mutex<BTreeMap<Id, CancellationToken>>,
    next_id: AtomicU64,
}

/// A connected client, as seen by those who might replace it.
#[derive(Clone)]
struct Client {
    id: Id,
    leave: CancellationToken,
    left: CancellationToken,
}

/// A client's place; given up when dropped.
pub(crate) struct Place {
    door: Arc<Door>,
    name: String,
    id: Id,
    /// Cancelled when the place is wanted by a newer connection of the same client.
    pub(crate) leave: CancellationToken,
    left: CancellationToken,
}

impl Door {
    pub(crate) fn new(
        name: &'static str,
        authenticator: Option<Arc<dyn Authenticator>>,
        bounds: Bounds,
        hub: Arc<Mutex<Hub>>,
        ingress: Arc<Ingress>,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Arc<Door> {
        let (clients, handshakes, next_id) = (Mutex::default(), Mutex::default(), AtomicU64::new(1));
        Arc::new(Door {
            name,
            authenticator,
            bounds,
            hub,
            ingress,
            metrics,
            shutdown,
            clients,
            handshakes,
            next_id,
        })
    }

    /// Accepts until told to stop.
    pub(crate) async fn accept(self: Arc<Door>, listener: TcpListener, connections: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                    let give_up = self.begin_handshake(id);
                    connections.spawn(connection::serve(self.clone(), stream, peer, id, give_up));
                }
                Err(error) => {
                    // Out of descriptors, most likely: accepting again at once would only spin.
                    warn!(listener = self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn begin_handshake(&self, id: Id) -> CancellationToken {
        let give_up = CancellationToken::new();
        let mut handshakes = lock(&self.handshakes);
        if handshakes.len() >= MAX_HANDSHAKES
            && let Some((_, oldest)) = handshakes.pop_first()
        {
            oldest.cancel();
        }
        handshakes.insert(id, give_up.clone());
        give_up
    }

    pub(crate) fn end_handshake(&self, id: Id) {
        lock(&self.handshakes).remove(&id);
    }

    /// Takes a place under that name; an older connection of the same name has left when this returns, its will
    /// published. `None`: full.
    pub(crate) async fn enter(self: &Arc<Door>, name: String, id: Id) -> Option<Place> {
        let client = Client { id, leave: self.shutdown.child_token(), left: CancellationToken::new() };
        let older = {
            let mut clients = lock(&self.clients);
            if clients.len() >= self.bounds.connections && !clients.contains_key(&name) {
                return None;
            }
            clients.insert(name.clone(), client.clone())
        };
        let place = Place { door: self.clone(), name, id, leave: client.leave, left: client.left };
        self.count_connections();
        if let Some(older) = older {
            warn!(
                listener = self.name,
                client = place.name,
                "connected again: the older connection is closed"
            );
            older.leave.cancel();
            older.left.cancelled().await;
        }
        Some(place)
    }

    fn count_connections(&self) {
        let count = lock(&self.clients).len();
        self.metrics.connections.get_or_create(&Listener { listener: self.name }).set(count as i64);
    }

    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub> {
        lock(&self.hub)
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.metrics.refused.get_or_create(&Reason { listener: self.name, reason }).inc();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut clients = lock(&self.door.clients);
            if clients.get(&self.name).is_some_and(|client| client.id == self.id) {
                clients.remove(&self.name);
            }
        }
        self.door.count_connections();
        self.left.cancel();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
