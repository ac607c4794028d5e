//! Forgetting, now and then and a step at a time, so that writing goes on between the steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tickberry_wire::Source;
use tokio::task::AbortHandle;

use crate::writer::Writer;

/// Time between two looks.
const EACH: Duration = Duration::from_secs(60);
/// Time between two steps while there is more.
const STEP: Duration = Duration::from_secs(1);
const UNKNOWN: i64 = i64::MIN;

/// The source's time, told by its pipeline.
pub(crate) struct Watermark(Arc<AtomicI64>);

impl Watermark {
    pub(crate) fn set(&self, watermark: Option<i64>) {
        if let Some(watermark) = watermark {
            self.0.store(watermark, Ordering::Relaxed);
        }
    }
}

/// Ends the task when it is dropped.
pub(crate) struct Retention(AbortHandle);

impl Drop for Retention {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the task of a source.
pub(crate) fn start(source: Source, writer: Writer, removed: Counter) -> (Retention, Watermark) {
    let watermark = Arc::new(AtomicI64::new(UNKNOWN));
    let seen = watermark.clone();
    let task = tokio::spawn(async move {
        let name: Arc<str> = source.as_str().into();
        let mut pause = EACH;
        loop {
            tokio::time::sleep(pause).await;
            pause = EACH;
            let at = seen.load(Ordering::Relaxed);
            if at == UNKNOWN {
                continue;
            }
            match writer.retain(name.clone(), at).await {
                Ok(done) => {
                    removed.inc_by(done.trades + done.minutes);
                    if done.more {
                        pause = STEP;
                    }
                }
                // The pipeline's next write meets the same trouble and says so.
                Err(error) => tracing::debug!(%source, %error, "retention"),
            }
        }
    });
    (Retention(task.abort_handle()), Watermark(watermark))
}
