//! What a service tells systemd: that it is ready, that it lives, that it stops. Without systemd nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::Shutdown;

/// How often within the time systemd waits for a sign of life one is given.
const SIGNS: u32 = 3;

/// Tells that everything is bound and runs, and from then on, if the unit has `WatchdogSec=`, that the runtime still takes
/// turns; at the shutdown, that the process is stopping. Call it in the runtime, once.
///
/// A process whose runtime hangs is killed by systemd and started again. A feed or a store that is away is none of its
/// business: those are states that a start would not mend.
pub fn ready(shutdown: Shutdown) {
    tell(&[NotifyState::Ready]);
    let alive = sd_notify::watchdog_enabled().map(|limit| limit / SIGNS);
    tokio::spawn(async move {
        // Signs go on while it drains: draining has a deadline of its own.
        let signs = async {
            match alive {
                Some(every) => give_signs(every).await,
                None => std::future::pending().await,
            }
        };
        let stopping = async {
            shutdown.cancelled().await;
            tell(&[NotifyState::Stopping]);
        };
        tokio::join!(signs, stopping);
    });
}

async fn give_signs(every: Duration) {
    let mut turns = tokio::time::interval(every);
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told; a unit of Type=notify will be taken for dead");
    }
}
