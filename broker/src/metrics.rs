//! What the broker counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which of the two listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Listener {
    pub(crate) listener: &'static str,
}

/// Which listener, and why; both from small fixed sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) listener: &'static str,
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Family<Listener, Gauge>,
    pub(crate) refused: Family<Reason, Counter>,
    pub(crate) disconnected: Family<Reason, Counter>,
    pub(crate) received: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) delivered: Family<Listener, Counter>,
    pub(crate) dropped: Family<Reason, Counter>,
    pub(crate) retained: Family<Listener, Gauge>,
    pub(crate) retained_bytes: Family<Listener, Gauge>,
}

impl Metrics {
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("tickberry_broker");
        registry.register("connections", "Clients connected now", self.connections.clone());
        registry.register("refused_connections", "Connections not let in", self.refused.clone());
        registry.register("disconnected_connections", "Connections that ended", self.disconnected.clone());
        registry.register("received_messages", "Messages published by services", self.received.clone());
        registry.register(
            "received_bytes",
            "Payload bytes published by services",
            self.received_bytes.clone(),
        );
        registry.register("delivered_messages", "Messages queued for clients", self.delivered.clone());
        registry.register("dropped_messages", "Messages lost on the way, and where", self.dropped.clone());
        registry.register("retained_messages", "Topics with a retained message", self.retained.clone());
        registry.register("retained_bytes", "Bytes of retained messages", self.retained_bytes.clone());
        registry
    }

    pub(crate) fn drop_messages(&self, listener: &'static str, reason: &'static str, count: u64) {
        if count > 0 {
            self.dropped.get_or_create(&Reason { listener, reason }).inc_by(count);
        }
    }
}
