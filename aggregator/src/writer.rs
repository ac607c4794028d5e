//! The store's thread. Stores block, so they get a thread of their own; whoever has something to write sends it
//! there and waits for the answer, one batch a source at a time.

use std::sync::Arc;
use std::time::Duration;

use tickberry_store::{Cursor, ErrorKind, LeftOut, Retained, StoreError, StoreWriter, WriteBatch};
use tokio::sync::{mpsc, oneshot};

/// Makes the store's writer, again and again: a file that failed is opened anew.
pub type Opener = Box<dyn Fn() -> Result<Box<dyn StoreWriter>, StoreError> + Send>;

/// Jobs that wait for the thread. Each source has at most one under way, so this is a bound on sources, too.
const WAITING: usize = 32;

/// What a store says when it is asked.
pub(crate) struct Held {
    /// One cursor a source.
    pub(crate) cursors: Vec<Cursor>,
    /// See [`StoreWriter::settle`].
    pub(crate) settle: Duration,
}

enum Job {
    Ask(oneshot::Sender<Result<Held, StoreError>>),
    Write(WriteBatch, oneshot::Sender<Result<LeftOut, StoreError>>),
    Retain(Arc<str>, i64, oneshot::Sender<Result<Retained, StoreError>>),
}

/// The way to the store's thread, which ends when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// A batch under way: the answer comes when the transaction is done.
pub(crate) type Written = oneshot::Receiver<Result<LeftOut, StoreError>>;

impl Writer {
    /// Starts the thread with a store that is open already, or not (the first job then tries again).
    pub(crate) fn start(store: Option<Box<dyn StoreWriter>>, opener: Opener) -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || Thread { store, opener }.run(receiver))?;
        Ok(Self { jobs })
    }

    /// The cursors the store holds, and how far they can be relied on.
    pub(crate) async fn ask(&self) -> Result<Held, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Ask(reply)).await;
        answer.await.expect("the thread answers each job, or the process is ending")
    }

    /// Hands a batch over.
    pub(crate) async fn write(&self, batch: WriteBatch) -> Written {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Write(batch, reply)).await;
        answer
    }

    /// One step of retention.
    pub(crate) async fn retain(&self, source: Arc<str>, watermark_ms: i64) -> Result<Retained, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Retain(source, watermark_ms, reply)).await;
        answer.await.expect("the thread answers each job, or the process is ending")
    }

    async fn send(&self, job: Job) {
        // The thread ends only after the last sender, unless it panicked: then the answer's end tells.
        self.jobs.send(job).await.ok();
    }
}

struct Thread {
    /// Nothing after a failure that a new opening may mend.
    store: Option<Box<dyn StoreWriter>>,
    opener: Opener,
}

impl Thread {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        // A receiver that is gone (its pipeline ended) wants no answer: hence `.ok()`.
        while let Some(job) = jobs.blocking_recv() {
            match job {
                Job::Ask(reply) => {
                    reply.send(self.with(|s| Ok(Held { cursors: s.cursors()?, settle: s.settle() }))).ok()
                }
                Job::Write(batch, reply) => reply.send(self.with(|s| s.write(&batch))).ok(),
                Job::Retain(source, at, reply) => reply.send(self.with(|s| s.retain(&source, at))).ok(),
            };
        }
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut dyn StoreWriter) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.opener)()?,
        };
        let result = act(store.as_mut());
        // A busy file is as good as before; after any other failure it is opened anew, caches and all.
        if !result.as_ref().is_err_and(|e| e.kind() != ErrorKind::Busy) {
            self.store = Some(store);
        }
        result
    }
}
