//! The live page and the read API.
//!
//! ```text
//!  bus ──▶ bus (messages → events) ──▶ view (pure) ──▶ events (SSE) ──▶ the page
//!  store ───────────────────────────────────────────▶ api (JSON, CSV) ──┘
//! ```
//!
//! The console only reads. It holds nothing that could be lost: a restart hears the retained messages of
//! the bus and reads the store again.

mod api;
mod assets;
mod bus;
mod events;
mod metrics;
mod run;
mod seed;
mod view;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tickberry_service::Shutdown;
use tickberry_store::StoreReader;
use tokio::sync::{Semaphore, watch};

pub use api::query::MAX_LIMIT;
pub use bus::subscriptions;
pub use events::{MAX_STEP, MIN_STEP};
pub use run::{Built, build};
pub use view::*;

/// Reads of the store at a time.
const READERS: usize = 2;
/// Streamed answers at a time; each holds a page.
const EXPORTS: usize = 4;

/// Options of the console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pages that may watch at a time.
    pub max_viewers: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_viewers: 32 }
    }
}

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The view, and word of its changes.
    view: watch::Sender<View>,
    store: Arc<dyn StoreReader>,
    viewers: Arc<Semaphore>,
    max_viewers: usize,
    readers: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    metrics: metrics::Metrics,
    /// Ends the streams, which otherwise would hold up a graceful end.
    stop: Shutdown,
}

/// A console that has its store, without a bus: events are given to it by hand. [`build`] gives it one.
#[derive(Clone)]
pub struct Console {
    shared: Shared,
}

impl Console {
    /// A console over a store.
    pub fn new(config: &Config, store: Arc<dyn StoreReader>) -> Console {
        let now = now_ms();
        let instance = u64::try_from(now).unwrap_or_default();
        let shared = Shared {
            view: watch::Sender::new(View::new(instance, now)),
            store,
            viewers: Arc::new(Semaphore::new(config.max_viewers)),
            max_viewers: config.max_viewers,
            readers: Arc::new(Semaphore::new(READERS)),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            metrics: metrics::Metrics::default(),
            stop: Shutdown::new(),
        };
        Console { shared }
    }

    /// Page and API, to be mounted at the root of an HTTP server.
    pub fn routes(&self) -> Router {
        api::routes().merge(assets::routes()).with_state(self.shared.clone())
    }

    /// Its metrics.
    pub fn registry(&self) -> Registry {
        self.shared.metrics.registry()
    }

    /// Takes something that happened.
    pub fn apply(&self, event: Event) {
        let up = match &event {
            Event::BusUp => Some(1),
            Event::BusDown => Some(0),
            _ => None,
        };
        let now = now_ms();
        self.shared.view.send_modify(|view| view.apply(event, now));
        up.map(|up| self.shared.metrics.bus_up.set(up));
        metrics::raise(&self.shared.metrics.view_refused, self.shared.view.borrow().refused());
    }

    /// Takes a message of the bus.
    pub fn message(&self, topic: &str, payload: &[u8]) {
        self.shared.metrics.messages.inc();
        match bus::read(topic, payload) {
            Ok(events) => events.into_iter().for_each(|event| self.apply(event)),
            Err(error) => {
                self.shared.metrics.messages_unreadable.inc();
                tracing::debug!(topic, %error, "a message of the bus cannot be read");
            }
        }
    }

    /// Takes the number of messages that were dropped before they came here.
    pub(crate) fn dropped(&self, dropped: u64) {
        metrics::raise(&self.shared.metrics.messages_dropped, dropped);
    }

    /// Ends the streams of events.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

/// This machine's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
