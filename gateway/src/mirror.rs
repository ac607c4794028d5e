//! Each trade as a JSON object on a topic of its own, for whoever has a plain MQTT client.
//!
//! A task with a connection of its own, fed by a bounded queue: however slow the broker is, the batches' way is
//! free. What does not fit is counted; the journal has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tickberry_service::mqtt::Publisher;
use tickberry_wire::json::TradeJson;
use tickberry_wire::topic::Topic;
use tickberry_wire::{Batch, Source, Symbol};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::metrics::Metrics;

/// Most trades that wait: about 2 MB.
const MAX_TRADES: usize = 16_384;
/// Most batches that wait.
const MAX_BATCHES: usize = 4_096;
/// A full connection is given this long, in pauses of [`PAUSE`], before a trade is given up.
const PATIENCE: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);
/// How long what waits may take at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Topics that are remembered.
const MAX_TOPICS: usize = 1_024;

/// Where batches are handed in.
#[derive(Debug)]
pub(crate) struct Mirror {
    queue: mpsc::Sender<Batch>,
    waiting: Arc<AtomicUsize>,
    metrics: Metrics,
    task: JoinHandle<()>,
}

impl Mirror {
    /// Starts the task.
    pub(crate) fn start(source: Source, publisher: Publisher, metrics: Metrics) -> Self {
        let (queue, batches) = mpsc::channel(MAX_BATCHES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let task = Task {
            source,
            publisher,
            metrics: metrics.clone(),
            waiting: waiting.clone(),
            topics: HashMap::new(),
        };
        Self { queue, waiting, metrics, task: tokio::spawn(task.run(batches)) }
    }

    /// Takes a batch, or counts it as dropped.
    pub(crate) fn offer(&self, batch: Batch) {
        let trades = batch.len() as usize;
        let fits = self.waiting.load(Ordering::Relaxed) + trades <= MAX_TRADES;
        if fits && self.queue.try_send(batch).is_ok() {
            self.waiting.fetch_add(trades, Ordering::Relaxed);
        } else {
            self.metrics.mirror_dropped.inc_by(trades as u64);
        }
    }

    /// Publishes what waits, as far as that is quick.
    pub(crate) async fn end(self) {
        drop(self.queue);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(FAREWELL, self.task).await.is_err() {
            abort.abort();
        }
    }
}

struct Task {
    source: Source,
    publisher: Publisher,
    metrics: Metrics,
    waiting: Arc<AtomicUsize>,
    topics: HashMap<Symbol, String>,
}

impl Task {
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let source = self.source.clone();
            for trade in TradeJson::of_batch(&source, &batch) {
                if self.publish(&trade).await {
                    self.metrics.mirrored.inc();
                } else {
                    self.metrics.mirror_dropped.inc();
                }
            }
            self.waiting.fetch_sub(batch.len() as usize, Ordering::Relaxed);
        }
        self.publisher.close().await;
    }

    async fn publish(&mut self, trade: &TradeJson) -> bool {
        let Ok(json) = serde_json::to_vec(trade) else { return false };
        let (topic, json) = (self.topic(&trade.symbol), bytes::Bytes::from(json));
        for _ in 0..PATIENCE {
            if self.publisher.publish(topic.clone(), json.clone(), false) {
                return true;
            }
            if !self.publisher.is_connected() {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    fn topic(&mut self, symbol: &Symbol) -> String {
        if let Some(topic) = self.topics.get(symbol) {
            return topic.clone();
        }
        if self.topics.len() == MAX_TOPICS {
            self.topics.clear();
        }
        let topic = Topic::Trades(self.source.clone(), symbol.clone()).path();
        self.topics.insert(symbol.clone(), topic.clone());
        topic
    }
}
