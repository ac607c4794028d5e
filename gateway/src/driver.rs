//! The loop around the core: sockets, timers and the flush on one side, [`Core`] on the other.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use tickberry_service::Shutdown;
use tickberry_service::mqtt::{Event, Events, Publisher};
use tickberry_wire::json::FeedState;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use crate::core::{Command, Core};
use crate::finnhub::Connector;
use crate::journal::Flush;
use crate::link::{Link, LinkEvent};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::recorder::Moment;
use crate::status::StatusBoard;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { mono_ms: self.0.elapsed().as_millis() as u64, wall_ms: since_1970.as_millis() as i64 }
    }

    fn at(self, mono_ms: u64) -> tokio::time::Instant {
        // "Never" is a day: the loop then looks again.
        let far = self.now().mono_ms + 86_400_000;
        (self.0 + Duration::from_millis(mono_ms.min(far))).into()
    }
}

type FlushOutcome = (Flush, io::Result<()>, Duration);

/// Everything the loop needs.
pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) watch: Watch,
    pub(crate) connector: Connector,
    pub(crate) publisher: Publisher,
    pub(crate) bus: Events,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) status: StatusBoard,
    pub(crate) metrics: Metrics,
    pub(crate) batches_topic: String,
    pub(crate) flush_every: Duration,
}

impl Driver {
    /// Runs until the shutdown, then journals, flushes and says goodbye.
    ///
    /// # Errors
    /// When a flush ended abnormally: nothing would be committed any more, and a start finds all that was written.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), JoinError> {
        let mut link = Link::Down;
        let mut flushing: Option<JoinHandle<FlushOutcome>> = None;
        let (mut flush, mut second) = (every(self.flush_every), every(Duration::from_secs(1)));
        let mut shown: Option<(FeedState, Option<String>)> = None;
        loop {
            let deadline = self.watch.at(self.core.session().deadline());
            tokio::select! {
                event = link.next() => self.linked(event, &mut link),
                outcome = joined(&mut flushing) => {
                    flushing = None;
                    self.flushed(outcome)?;
                }
                _ = flush.tick(), if flushing.is_none() => flushing = self.flush(),
                _ = second.tick() => self.second(),
                () = sleep_until(deadline) => {
                    let commands = self.core.tick(self.watch.now(), rand::random());
                    self.obey(commands, &mut link);
                }
                () = up(&mut self.bus) => self.show(),
                () = shutdown.cancelled() => break,
            }
            self.publish();
            let session = self.core.session();
            let state = (session.state(), session.message());
            if shown.as_ref().is_none_or(|(feed, message)| (*feed, message.as_deref()) != state) {
                shown = Some((state.0, state.1.map(str::to_owned)));
                self.metrics.feed_state(session.state());
                self.show();
            }
        }
        self.end(link, flushing).await
    }

    fn linked(&mut self, event: LinkEvent, link: &mut Link) {
        let now = self.watch.now();
        let commands = match event {
            LinkEvent::Connected => self.core.connected(now),
            LinkEvent::Frame(frame) => {
                let received = Instant::now();
                let commands = self.core.frame(&frame, now);
                self.publish();
                self.metrics.journal_seconds.observe(received.elapsed().as_secs_f64());
                commands
            }
            LinkEvent::Failed(failure) => {
                self.core.handshake_failed(&failure, now, rand::random());
                Vec::new()
            }
            LinkEvent::Closed(why) => {
                self.core.closed(&why, now, rand::random());
                Vec::new()
            }
        };
        self.obey(commands, link);
    }

    fn obey(&mut self, commands: Vec<Command>, link: &mut Link) {
        for command in commands {
            match command {
                Command::Connect => *link = Link::connect(&self.connector),
                Command::Subscribe(symbols) => link.subscribe(symbols),
                Command::Close => *link = Link::Down,
            }
        }
    }

    fn publish(&mut self) {
        for output in self.core.recorder().take_outputs() {
            if self.publisher.publish(self.batches_topic.clone(), output.payload, false) {
                self.metrics.published.inc();
            } else {
                self.metrics.publish_dropped.inc();
            }
            if let (Some(mirror), Some(batch)) = (&self.mirror, output.trades) {
                mirror.offer(batch);
            }
        }
    }

    fn second(&mut self) {
        let now = self.watch.now();
        self.core.recorder().tick(now);
        let recorder = self.core.recorder();
        count_up(&self.metrics.dropped_records, recorder.dropped());
        count_up(&self.metrics.clock_steps, recorder.clock_steps());
        let flushed_bytes = recorder.stats().flushed_bytes;
        self.metrics.disk_bytes_today.set(self.status.disk_bytes_today(flushed_bytes, now).cast_signed());
        self.publish();
        self.show();
    }

    fn flush(&mut self) -> Option<JoinHandle<FlushOutcome>> {
        let flush = self.core.recorder().begin_flush(self.watch.now())?;
        Some(tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let outcome = flush.run();
            (flush, outcome, begun.elapsed())
        }))
    }

    fn flushed(&mut self, outcome: Result<FlushOutcome, JoinError>) -> Result<(), JoinError> {
        let (flush, outcome, took) = outcome?;
        self.metrics.flush_seconds.observe(took.as_secs_f64());
        self.core.recorder().end_flush(flush, outcome, self.watch.now());
        Ok(())
    }

    fn show(&mut self) {
        let payload = self.status.online(&mut self.core, self.metrics.counts(), self.watch.now());
        // A status that is dropped is replaced within a second.
        let _sent = self.publisher.publish(self.status.topic(), payload, true);
    }

    /// What was received is journaled already; it is flushed, told, and then the connections end.
    async fn end(mut self, link: Link, flushing: Option<JoinHandle<FlushOutcome>>) -> Result<(), JoinError> {
        if let Some(flushing) = flushing {
            let outcome = flushing.await;
            self.flushed(outcome)?;
        }
        if let Some(last) = self.flush() {
            let outcome = last.await;
            self.flushed(outcome)?;
        }
        self.publish();
        let will = self.status.will();
        let _sent = self.publisher.publish(will.topic, will.payload, true);
        let mirror = async {
            if let Some(mirror) = self.mirror {
                mirror.end().await;
            }
        };
        tokio::join!(link.close(), self.publisher.close(), mirror);
        let state = self.core.recorder().state();
        tracing::info!(head = state.head, committed = state.committed, "the gateway has ended");
        Ok(())
    }
}

/// Brings a counter up to a total that is counted elsewhere.
fn count_up(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits until the broker is there (again): it may have forgotten what was retained.
async fn up(bus: &mut Events) {
    loop {
        match bus.recv().await {
            Some(Event::Up) => return,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// The flush's outcome; waits for ever where none is under way.
async fn joined(flushing: &mut Option<JoinHandle<FlushOutcome>>) -> Result<FlushOutcome, JoinError> {
    match flushing {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}
