//! An orderly end: one token tells everybody, named tasks end, a deadline bounds the wait.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
/// Cancelled when the process is to end.
pub use tokio_util::sync::CancellationToken as Shutdown;

/// How long a process with one role may drain: below the 5 s that are promised.
pub const DRAIN: Duration = Duration::from_secs(4);

/// Cancels the token at SIGTERM or Ctrl-C; a second one does nothing more.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn on_signals(shutdown: Shutdown) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        shutdown.cancel();
        tracing::info!(signal = name, "stopping");
    });
    Ok(())
}

/// Tasks with names. When one ends, all are told to; nothing dies unseen.
#[derive(Debug)]
pub struct Tasks<E> {
    set: JoinSet<(&'static str, Result<(), E>)>,
}

impl<E> Default for Tasks<E> {
    fn default() -> Self {
        Self { set: JoinSet::new() }
    }
}

/// How [`Tasks::join`] failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError<E> {
    /// A task ended with an error.
    #[error("{name}: {error}")]
    Failed {
        /// The task.
        name: &'static str,
        /// Its error.
        error: E,
    },
    /// A task ended although nobody had asked it to.
    #[error("{0} ended without being asked")]
    Unasked(&'static str),
    /// A task panicked.
    #[error("a task panicked: {0}")]
    Panicked(tokio::task::JoinError),
    /// Tasks were still there when the time was up.
    #[error("{0} tasks did not end in time and were stopped")]
    Late(usize),
}

impl<E: std::fmt::Display + Send + 'static> Tasks<E> {
    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits until all have ended. The first to end, however it ends, cancels the token; from then on they have `limit`.
    ///
    /// # Errors
    /// The first task that failed, panicked or ended unasked, or that some did not end in time.
    pub async fn join(mut self, shutdown: &Shutdown, limit: Duration) -> Result<(), TaskError<E>> {
        let mut outcome = Ok(());
        let first = tokio::select! {
            first = self.set.join_next() => first,
            () = shutdown.cancelled() => None,
        };
        if let Some(first) = first {
            note(first, shutdown.is_cancelled(), &mut outcome);
        }
        shutdown.cancel();
        let drain = async {
            while let Some(next) = self.set.join_next().await {
                note(next, true, &mut outcome);
            }
        };
        if tokio::time::timeout(limit, drain).await.is_err() {
            let late = self.set.len();
            self.set.abort_all();
            return outcome.and(Err(TaskError::Late(late)));
        }
        outcome
    }
}

/// Tasks that end together, after those of the stages before them.
#[derive(Debug)]
pub struct Stage<E> {
    tasks: Tasks<E>,
    end: Shutdown,
    limit: Duration,
}

impl<E: std::fmt::Display + Send + 'static> Stage<E> {
    /// A stage that may take so long to drain.
    pub fn new(limit: Duration) -> Self {
        Self { tasks: Tasks::default(), end: Shutdown::new(), limit }
    }

    /// Starts a task; it is given the token that tells it to end.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.tasks.spawn(name, task(self.end.clone()));
    }
}

/// Waits for the shutdown, or for a task that ends before it, and then ends the stages one after the other.
///
/// # Errors
/// The first task that failed, panicked or ended unasked. One that was late has been logged; its stage's time is all it
/// gets.
pub async fn join_stages<E>(stages: Vec<Stage<E>>, shutdown: &Shutdown) -> Result<(), TaskError<E>>
where
    E: std::fmt::Display + Send + 'static,
{
    let running: Vec<_> = stages
        .into_iter()
        .map(|Stage { tasks, end, limit }| {
            let (all, own) = (shutdown.clone(), end.clone());
            let join = tokio::spawn(async move {
                // However this one ends, the others are told.
                let _all = all.drop_guard();
                tasks.join(&own, limit).await
            });
            (join, end)
        })
        .collect();
    shutdown.cancelled().await;
    let mut outcome = Ok(());
    for (join, end) in running {
        end.cancel();
        match join.await.unwrap_or_else(|error| Err(TaskError::Panicked(error))) {
            Ok(()) => {}
            Err(TaskError::Late(tasks)) => tracing::warn!(tasks, "did not end in time"),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

fn note<E: std::fmt::Display>(
    ended: Result<(&'static str, Result<(), E>), tokio::task::JoinError>,
    asked: bool,
    outcome: &mut Result<(), TaskError<E>>,
) {
    let error = match ended {
        Ok((_, Ok(()))) if asked => return,
        Ok((name, Ok(()))) => TaskError::Unasked(name),
        Ok((name, Err(error))) => TaskError::Failed { name, error },
        Err(error) => TaskError::Panicked(error),
    };
    tracing::error!(%error, "a task failed");
    if outcome.is_ok() {
        *outcome = Err(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_ends_all_and_is_told() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::default();
        let waits = shutdown.clone();
        tasks.spawn("waits", async move {
            waits.cancelled().await;
            Ok(())
        });
        tasks.spawn("fails", async { Err("broken") });
        let error = tasks.join(&shutdown, DRAIN).await.unwrap_err();
        assert_eq!(error.to_string(), "fails: broken");
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_a_failure() {
        let mut tasks = Tasks::<&str>::default();
        tasks.spawn("returns", async { Ok(()) });
        let error = tasks.join(&Shutdown::new(), DRAIN).await.unwrap_err();
        assert_eq!(error.to_string(), "returns ended without being asked");
    }

    #[tokio::test]
    async fn stages_end_in_order_and_a_failure_ends_them_all() {
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let stage = |name: &'static str| {
            let (mut stage, order) = (Stage::new(DRAIN), order.clone());
            stage.spawn(name, |end| async move {
                end.cancelled().await;
                order.lock().unwrap().push(name);
                Ok(())
            });
            stage
        };
        let (mut first, second) = (stage("first"), stage("second"));
        first.spawn("fails", |_| async { Err("broken") });
        let error = join_stages(vec![first, second], &Shutdown::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "fails: broken");
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_stopped() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::<&str>::default();
        tasks.spawn("hangs", std::future::pending());
        shutdown.cancel();
        assert!(matches!(tasks.join(&shutdown, Duration::ZERO).await, Err(TaskError::Late(1))));
    }
}
