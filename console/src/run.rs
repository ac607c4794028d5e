//! A console's life on the bus.

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use prometheus_client::registry::Registry;
use tickberry_service::Shutdown;
use tickberry_service::http::Readiness;
use tickberry_service::mqtt::{self, BusConfig, Will};
use tickberry_store::StoreReader;
use tickberry_wire::json::{Presence, StatusJson};
use tickberry_wire::topic::Topic;

use crate::view::Event;
use crate::{Config, Console, bus, seed};

/// A console that can run.
pub struct Built {
    console: Console,
    bus: BusConfig,
    node: String,
    readiness: Readiness,
}

/// Puts a console together; it neither binds nor connects yet. `node` names this machine on the bus.
pub fn build(config: &Config, bus: BusConfig, node: &str, store: Arc<dyn StoreReader>) -> Built {
    let console = Console::new(config, store);
    Built { console, bus, node: node.to_owned(), readiness: Readiness::default() }
}

impl Built {
    /// Page and API, to be mounted at the root of an HTTP server.
    pub fn routes(&self) -> Router {
        self.console.routes()
    }

    /// Its metrics.
    pub fn registry(&self) -> Registry {
        self.console.registry()
    }

    /// Ready once the bus is heard.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Listens to the bus until the shutdown, which also ends the streams of events.
    pub async fn run(self, shutdown: Shutdown) {
        let topic = Topic::Status("console".into(), self.node.clone()).path();
        let status = |state| status(&self.node, state);
        let will = Will { topic: topic.clone(), payload: status(Presence::Offline) };
        let client = format!("tickberry-console-{}", self.node);
        let (publisher, mut events) =
            mqtt::connect(self.bus.clone(), &client, Some(will), bus::subscriptions());
        self.seed().await;
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => break,
                event = events.recv() => event,
            };
            match event {
                Some(mqtt::Event::Up) => {
                    self.console.apply(Event::BusUp);
                    self.readiness.set(true);
                    publisher.publish(topic.clone(), status(Presence::Online), true);
                }
                Some(mqtt::Event::Down(_)) => {
                    self.console.apply(Event::BusDown);
                    self.readiness.set(false);
                }
                Some(mqtt::Event::Message { topic, payload }) => self.console.message(&topic, &payload),
                None => break,
            }
            self.console.dropped(events.dropped());
        }
        self.console.stop();
        publisher.publish(topic, status(Presence::Offline), true);
        publisher.close().await;
    }

    /// A store that cannot be read now costs the past, not the page.
    async fn seed(&self) {
        let store = self.console.shared.store.clone();
        match tokio::task::spawn_blocking(move || seed::read(store.as_ref())).await {
            Ok(Ok(known)) => known.into_iter().for_each(|event| self.console.apply(event)),
            Ok(Err(error)) => tracing::warn!(%error, "the store's symbols cannot be read"),
            Err(error) => tracing::warn!(%error, "reading the store's symbols ended early"),
        }
    }
}

fn status(node: &str, state: Presence) -> Bytes {
    let status = StatusJson::<()> { service: "console".into(), node: node.into(), state, detail: None };
    serde_json::to_vec(&status).expect("a status has string keys").into()
}
