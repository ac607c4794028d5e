//! A store that fails again and again, before and after its commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tickberry_store::sqlite::{SqliteConfig, SqliteWriter};
use tickberry_store::{Cursor, LeftOut, Retained, StoreError, StoreWriter, WriteBatch};

use crate::kit::{Aggregator, Broker, Gateway, Store, eventually};

/// Every third write fails, in turn without having been written, and having been written all the same.
struct Flaky {
    inner: SqliteWriter,
    writes: Arc<AtomicU64>,
}

fn failure() -> StoreError {
    StoreError::Io { path: "flaky".into(), detail: "on purpose".into() }
}

impl StoreWriter for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn cursors(&mut self) -> Result<Vec<Cursor>, StoreError> {
        self.inner.cursors()
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<LeftOut, StoreError> {
        match self.writes.fetch_add(1, Ordering::Relaxed) % 6 {
            2 => Err(failure()),
            5 => self.inner.write(batch).and(Err(failure())),
            _ => self.inner.write(batch),
        }
    }

    fn retain(&mut self, source: &str, watermark_ms: i64) -> Result<Retained, StoreError> {
        self.inner.retain(source, watermark_ms)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_each_failure_it_goes_back_to_what_the_store_holds() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut gateway = Gateway::start(&broker).await;
    let store = Store::of(directory.path());
    let writes = Arc::new(AtomicU64::new(0));
    let (file, counted) = (store.0.clone(), writes.clone());
    let opener = move || {
        let inner = SqliteWriter::open(SqliteConfig::new(&file))?;
        Ok(Box::new(Flaky { inner, writes: counted.clone() }) as Box<dyn StoreWriter>)
    };
    let aggregator = Aggregator::start_with(&broker, directory.path(), Box::new(opener));
    let mut round = 0;
    while writes.load(Ordering::Relaxed) < 9 {
        gateway.stream(30, 3, round * 6_000, 200);
        gateway.flush();
        round += 1;
        let before = writes.load(Ordering::Relaxed);
        eventually("it writes on", || writes.load(Ordering::Relaxed) > before).await;
    }
    eventually("all is stored", || store.stored() == gateway.head).await;
    store.check(&gateway);
    aggregator.stop().await;
}
