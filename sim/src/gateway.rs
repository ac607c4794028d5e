//! The gateway's process on its host: the real recorder, on a disk that forgets, under a clock that jumps.

use std::sync::Arc;

use bytes::Bytes;
use tickberry_gateway::journal::model::{Fault, ModelDisk};
use tickberry_gateway::journal::{Config, Flush, JournalState, Opened, Reader};
use tickberry_gateway::recorder::{Moment, Recorder, RecorderSettings};

use crate::random::Random;
use crate::schedule::Settings;

/// Time between flushes, and between ticks.
const SECOND_MS: u64 = 1_000;

/// Host and process.
pub struct Gateway {
    /// The host's disk.
    pub disk: ModelDisk,
    settings: RecorderSettings,
    process: Option<Process>,
    /// What the wall clock is wrong by.
    pub wall_error_ms: i64,
    /// Boots find an unset clock.
    pub unset: bool,
    /// When the process is started again.
    pub start_at: Option<u64>,
    /// A sync failed since the last power cut: its pages may not be on the platter although they can be read.
    pub sync_failed: bool,
    true_wall_ms: i64,
}

struct Process {
    recorder: Recorder,
    begun_ms: u64,
    flush: Option<(Flush, u64)>,
    flush_at: u64,
    tick_at: u64,
}

/// What a call into the process came to.
#[derive(Default)]
pub struct Said {
    /// What it published, in order.
    pub outputs: Vec<Bytes>,
    /// Where its journal is.
    pub state: Option<JournalState>,
    /// The power went in the middle: nothing was said.
    pub off: bool,
}

impl Gateway {
    /// A host that was never used.
    pub fn new(settings: &Settings) -> Self {
        let segment_bytes = Config::MIN_SEGMENT_BYTES;
        let ring_bytes = settings.segments * segment_bytes;
        Self {
            disk: ModelDisk::new(settings.seed),
            settings: RecorderSettings {
                journal: Config { ring_bytes, segment_bytes, ..Config::default() },
                simulated: true,
                lateness_ms: 2_000,
                retry_disk_ms: 5_000,
            },
            process: None,
            wall_error_ms: 0,
            unset: false,
            start_at: Some(0),
            sync_failed: false,
            true_wall_ms: settings.wall_ms,
        }
    }

    /// Whether the process lives.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Time on the exchange.
    pub fn exchange_ms(&self, now: u64) -> i64 {
        self.true_wall_ms + now.cast_signed()
    }

    /// A handle to read the journal with, while the process lives.
    pub fn reader(&self) -> Option<Reader> {
        self.process.as_ref().map(|p| p.recorder.reader())
    }

    /// Where the journal is, while the process lives.
    pub fn state(&self) -> Option<JournalState> {
        self.process.as_ref().map(|p| p.recorder.state())
    }

    /// Records that the process could neither journal nor keep.
    pub fn dropped(&self) -> u64 {
        self.process.as_ref().map_or(0, |p| p.recorder.dropped())
    }

    fn moment(&self, now: u64, begun: u64) -> Moment {
        let wall_ms = if self.unset { now.cast_signed() } else { self.exchange_ms(now) + self.wall_error_ms };
        Moment { mono_ms: now - begun, wall_ms }
    }

    /// Starts the process. An error is a refused start, unless the power is off.
    ///
    /// # Errors
    /// When the directory cannot be read: never on a disk with power.
    pub fn start(&mut self, now: u64, random: &mut Random) -> Result<(Option<Opened>, Said), String> {
        self.start_at = None;
        let moment = self.moment(now, now);
        let disk = Arc::new(self.disk.clone());
        let opened = Recorder::open(disk, self.settings.clone(), moment, random.draw());
        if self.disk.is_off() {
            return Ok((None, Said { off: true, ..Said::default() }));
        }
        let (recorder, opened) = opened.map_err(|e| format!("a start was refused: {e}"))?;
        let process = Process {
            recorder,
            begun_ms: now,
            flush: None,
            flush_at: now + SECOND_MS,
            tick_at: now + SECOND_MS,
        };
        self.process = Some(process);
        let said = self.call(now, |_, _| ());
        Ok((Some(opened), said))
    }

    /// Calls into the process and hears what it says.
    pub fn call(&mut self, now: u64, act: impl FnOnce(&mut Recorder, Moment)) -> Said {
        let Some(begun) = self.process.as_ref().map(|p| p.begun_ms) else { return Said::default() };
        let moment = self.moment(now, begun);
        let Some(process) = &mut self.process else { return Said::default() };
        act(&mut process.recorder, moment);
        let outputs = process.recorder.take_outputs();
        let state = process.recorder.state();
        if self.disk.is_off() {
            return Said { off: true, ..Said::default() };
        }
        Said { outputs: outputs.into_iter().map(|o| o.payload).collect(), state: Some(state), off: false }
    }

    /// What the process does by itself when time passes; called until it says nothing is due.
    pub fn due(&mut self, now: u64, fault: Fault, random: &mut Random) -> Option<Said> {
        let process = self.process.as_mut()?;
        if process.flush.as_ref().is_some_and(|(_, done_at)| *done_at <= now) {
            let (flush, _) = process.flush.take()?;
            return Some(self.finish_flush(flush, fault, now));
        }
        if process.tick_at <= now {
            process.tick_at = now + SECOND_MS;
            return Some(self.call(now, |recorder, at| recorder.tick(at)));
        }
        if process.flush_at <= now && process.flush.is_none() {
            process.flush_at = now + SECOND_MS;
            let mut flush = None;
            let said = self.call(now, |recorder, at| flush = recorder.begin_flush(at));
            let takes_ms = if random.percent(50) { 0 } else { random.below(1_500) };
            if let Some(process) = &mut self.process {
                process.flush = flush.map(|flush| (flush, now + takes_ms));
            }
            return Some(said);
        }
        None
    }

    fn finish_flush(&mut self, flush: Flush, fault: Fault, now: u64) -> Said {
        let outcome = flush.run();
        self.sync_failed |= fault == Fault::SyncFails && outcome.is_err();
        self.call(now, |recorder, at| recorder.end_flush(flush, outcome, at))
    }

    /// The process dies; the machine, and its page cache, live on.
    pub fn kill(&mut self, random: &mut Random) {
        if let Some(process) = self.process.take()
            && let Some((flush, _)) = process.flush
            && random.percent(50)
        {
            // It was in the kernel already; nobody hears how it ended.
            drop(flush.run());
        }
        self.disk.kill_process();
    }

    /// The power goes, and comes back.
    pub fn cut(&mut self) {
        self.process = None;
        self.disk.power_on();
    }
}
