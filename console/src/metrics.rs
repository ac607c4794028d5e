//! What the console counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One of each; cloned handles share their value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) viewers: Gauge,
    pub(crate) viewers_refused: Counter,
    pub(crate) updates: Counter,
    pub(crate) messages: Counter,
    pub(crate) messages_unreadable: Counter,
    pub(crate) messages_dropped: Counter,
    pub(crate) bus_up: Gauge,
    pub(crate) requests: Counter,
    pub(crate) requests_refused: Counter,
    pub(crate) requests_failed: Counter,
    pub(crate) view_refused: Counter,
}

impl Metrics {
    /// A registry with all of them.
    pub(crate) fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("tickberry_console");
        let mut count = |name: &str, help: &str, counter: &Counter| all.register(name, help, counter.clone());
        count("refused_viewers", "Viewers refused because of max_viewers", &self.viewers_refused);
        count("sent_updates", "Updates sent to viewers", &self.updates);
        count("received_messages", "Messages heard on the bus", &self.messages);
        count("unreadable_messages", "Messages of the bus that could not be read", &self.messages_unreadable);
        count("dropped_messages", "Messages of the bus that came too fast", &self.messages_dropped);
        count("requests", "Requests of the read API", &self.requests);
        count("refused_requests", "Requests with a bad parameter", &self.requests_refused);
        count("failed_requests", "Requests the store could not answer", &self.requests_failed);
        count("refused_series", "Times a symbol, source or aggregator had no room", &self.view_refused);
        all.register("viewers", "Open streams of /api/v1/events", self.viewers.clone());
        all.register("bus_connected", "1 while the bus can be heard", self.bus_up.clone());
        all
    }
}

/// Brings a counter to a total that somebody else counts.
pub(crate) fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
