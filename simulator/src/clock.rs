//! The time that is handed to the pure parts.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Differences between wall and monotonic clock that are followed: a suspended laptop, a clock set by hand.
const STEP_MS: i64 = 2000;

/// Milliseconds since 1970: steady, but following steps of the wall clock; or a pretended time, steady from there.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    base_ms: AtomicI64,
    pretended: bool,
}

impl Clock {
    pub(crate) fn new(pretend_ms: Option<i64>) -> Clock {
        Clock {
            origin: Instant::now(),
            base_ms: AtomicI64::new(pretend_ms.unwrap_or_else(wall_ms)),
            pretended: pretend_ms.is_some(),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX / 2);
        let steady_ms = self.base_ms.load(Ordering::Relaxed) + elapsed_ms;
        if self.pretended {
            return steady_ms;
        }
        let wall_ms = wall_ms();
        if (wall_ms - steady_ms).abs() > STEP_MS {
            self.base_ms.store(wall_ms - elapsed_ms, Ordering::Relaxed);
            return wall_ms;
        }
        steady_ms
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2)
}
