//! When a pipeline that was asked to end may do so. Pure: time is an argument.

use std::time::{Duration, Instant};

/// How long after the shutdown the last commit of a gateway that is ending, too, is waited for.
const LAST_COMMIT: Duration = Duration::from_millis(700);
/// Silence on the bus that counts as the end of it.
const QUIET: Duration = Duration::from_millis(100);

/// A shutdown under way: a gateway that ends, too, flushes once more, and its last messages may be on their way.
pub(super) struct Stopping {
    quiet_at: Instant,
    deadline: Instant,
}

impl Stopping {
    pub(super) fn new(now: Instant) -> Self {
        Self { quiet_at: now + QUIET, deadline: now + LAST_COMMIT }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.quiet_at = now + QUIET;
    }

    /// When to look again; once it is quiet, what is waited for comes as a message.
    pub(super) fn wake_at(&self, now: Instant) -> Instant {
        if self.quiet_at > now { self.quiet_at.min(self.deadline) } else { self.deadline }
    }

    pub(super) fn is_over(&self, now: Instant, waiting: bool) -> bool {
        self.deadline <= now || (!waiting && self.quiet_at <= now)
    }
}
