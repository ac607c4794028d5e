//! What can be counted, one family a thing, labelled by source.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tickberry_wire::Source;

/// The one label. Sources are few: a gateway each, and at most [`crate::service::SOURCES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    source: String,
}

/// A sum of times.
type Seconds = Counter<f64, AtomicU64>;
type Gauge = prometheus_client::metrics::gauge::Gauge<u64, AtomicU64>;

macro_rules! metrics {
    ($($(#[doc = $help:literal])* $name:ident: $kind:ty = $text:literal;)*) => {
        /// All families.
        #[derive(Clone, Default)]
        pub(crate) struct Metrics { $($name: Family<Label, $kind>,)* }

        /// Those of one source.
        #[derive(Clone)]
        pub(crate) struct SourceMetrics {
            $($(#[doc = $help])* pub(crate) $name: $kind,)*
        }

        impl Metrics {
            /// Makes the families and the registry that holds them.
            pub(crate) fn new() -> (Self, Arc<Registry>) {
                let (metrics, mut registry) = (Self::default(), Registry::default());
                $(
                    let help = concat!($($help),*).trim().trim_end_matches('.');
                    let name = concat!("tickberry_aggregator_", $text);
                    let family = metrics.$name.clone();
                    registry.register(name, help, family);
                )*
                (metrics, Arc::new(registry))
            }

            /// The metrics of a source; they are there from now on, at zero.
            pub(crate) fn of(&self, source: &Source) -> SourceMetrics {
                let label = Label { source: source.as_str().to_owned() };
                SourceMetrics { $($name: self.$name.get_or_create_owned(&label),)* }
            }
        }
    };
}

metrics! {
    /// Next offset to be consumed.
    consumed: Gauge = "consumed_offset";
    /// Offset below which the store holds every committed trade and its windows.
    stored: Gauge = "stored_offset";
    /// Newest offset known to be committed.
    committed: Gauge = "committed_offset";
    /// Trades and price updates folded, since the journal's beginning.
    records: Gauge = "records";
    /// Batches folded into a final window, since the journal's beginning.
    revisions: Gauge = "revisions";
    /// Trades too late for the kept hour, in no window, since the journal's beginning.
    late_beyond: Gauge = "late_beyond_records";
    /// Trades with times outside of 2000 to 2200, in no window, since the journal's beginning.
    implausible: Gauge = "implausible_records";
    /// Trades of frames that repeat a recent frame, counted like all others, since the journal's beginning.
    suspected_copies: Gauge = "suspected_copies_records";
    /// Offsets that could not be had, since the journal's beginning.
    lost: Gauge = "lost_records";
    /// Trades given to the store as new although it had them, since the start. It keeps each once.
    doubled: Counter = "doubled_records";
    /// Rows written to the store.
    rows: Counter = "store_rows";
    /// Transactions written to the store.
    writes: Counter = "store_writes";
    /// Rows not written because the store keeps nothing that old.
    expired: Counter = "store_expired_rows";
    /// Rows the store refused for what they are; they are put aside in a file.
    refused: Counter = "store_refused_rows";
    /// Time from handing a batch over until the store had taken it.
    write_seconds: Seconds = "store_write_seconds";
    /// Writes that failed.
    write_failures: Counter = "store_failures";
    /// Rows removed by age or by bytes.
    retained: Counter = "store_retention_rows";
    /// Fetches of the journal that were begun.
    fetches: Counter = "fetches";
    /// Fetches that failed.
    fetch_failures: Counter = "fetch_failures";
    /// Live batches dropped because the source was being fetched or its queue was full.
    discarded: Counter = "discarded_batches";
    /// Messages on the batches topic that could not be decoded.
    undecodable: Counter = "undecodable_batches";
    /// Epochs that ended before all of their records were committed.
    discarded_epochs: Counter = "discarded_overlays";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        let (metrics, registry) = Metrics::new();
        metrics.of(&Source::new("finnhub").unwrap()).stored.set(7);
        metrics.of(&Source::new("finnhub").unwrap()).rows.inc_by(2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &registry).unwrap();
        assert!(text.contains("tickberry_aggregator_stored_offset{source=\"finnhub\"} 7\n"), "{text}");
        assert!(text.contains("tickberry_aggregator_store_rows_total{source=\"finnhub\"} 2\n"), "{text}");
        assert!(
            text.contains("# HELP tickberry_aggregator_fetches Fetches of the journal that were begun.\n"),
            "{text}"
        );
    }
}
