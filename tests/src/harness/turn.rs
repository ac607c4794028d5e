//! One system test at a time, also where somebody forgets `--test-threads=1`: two cores are not enough for two.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other system test of this process runs.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
