//! The thread that writes points: what the server does not take yet waits, and the oldest go when too many do.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tickberry_store::StoreError;
use tickberry_store::influx::InfluxConfig;
use tickberry_store::influx::pipeline::{PipelinePoint, PipelineWriter};

/// Points on their way to the thread.
const QUEUE: usize = 256;
/// Points that wait for the server: half an hour of a small shelf.
const WAITING: usize = 2_048;
/// Points of one status are written together, with those of its neighbours.
const GATHER: Duration = Duration::from_secs(1);
/// Time until a server that is away is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The way to the thread, which ends with it.
pub(super) struct Points(SyncSender<PipelinePoint>);

impl Points {
    /// Hands a point over, or drops it: these are not worth waiting for.
    pub(super) fn offer(&self, point: PipelinePoint) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(point) {
            tracing::debug!("a point of the pipeline is dropped: its thread is busy");
        }
    }
}

pub(super) fn start(server: InfluxConfig) -> std::io::Result<Points> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::Builder::new().name("pipeline-points".into()).spawn(move || {
        Thread { server, writer: None, waiting: VecDeque::new(), dropped: 0, away: false }.run(&receiver)
    })?;
    Ok(Points(sender))
}

struct Thread {
    server: InfluxConfig,
    writer: Option<PipelineWriter>,
    waiting: VecDeque<PipelinePoint>,
    dropped: u64,
    /// Said once, not each time.
    away: bool,
}

impl Thread {
    fn run(mut self, points: &Receiver<PipelinePoint>) {
        // When to write, if there is something to write. Further points do not put it off.
        let mut due: Option<Instant> = None;
        loop {
            let pause = due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            match points.recv_timeout(pause) {
                Ok(point) => {
                    self.take(point);
                    due = due.or_else(|| Instant::now().checked_add(GATHER));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.write();
                    due = if self.away { Instant::now().checked_add(AGAIN) } else { None };
                }
                // What waits now would be the last word of a process that ends.
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
        }
    }

    fn take(&mut self, point: PipelinePoint) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(point);
    }

    fn write(&mut self) {
        match self.try_write() {
            Ok(()) => {
                if self.away {
                    tracing::info!(dropped = self.dropped, "the pipeline's points are written again");
                }
                self.waiting.clear();
                (self.away, self.dropped) = (false, 0);
            }
            Err(error) => {
                if !self.away {
                    tracing::warn!(%error, "the pipeline's points cannot be written; tried again until they can");
                }
                self.away = true;
                // The token may be another by then.
                self.writer = None;
            }
        }
    }

    fn try_write(&mut self) -> Result<(), StoreError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(PipelineWriter::open(&self.server)?),
        };
        writer.write(self.waiting.make_contiguous()).map(drop)
    }
}
