//! From trades to journaled, published batches: gives offsets and times, tells gaps, and keeps going when the disk
//! does not.
//!
//! It has no clock and no socket: every call takes the [`Moment`], and what is to be published collects in
//! [`Recorder::take_outputs`]. A batch is in the journal (safe from kill -9) before it is an output.

mod clock;
mod event_clock;
mod gaps;
mod history;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tickberry_wire::{Batch, Body, Control, Gap, GapReason, Symbol, Trade, encode};

pub use clock::{Moment, SET_FROM_MS};

use crate::journal::{self, Disk, Flush, Journal, JournalError, JournalState, Opened, Reader, Stats};
use clock::Clock;
use event_clock::{EventClock, frame_time};
use gaps::Deafness;

/// What a recorder is configured with.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// The journal's sizes.
    pub journal: journal::Config,
    /// Whether the feed is a simulator.
    pub simulated: bool,
    /// The aggregators' allowed lateness: their watermark stays so far behind event time.
    pub lateness_ms: u64,
    /// Time between attempts to write a failed disk again.
    pub retry_disk_ms: u64,
}

/// Least time between ticks.
const TICK_MS: u64 = 1_000;
/// The longest that a trade's window can wait in silence, less the lateness: its minute, and what clocks differ by.
const CLOSED_MS: u64 = 63_000;
/// Batches that confirm a time the aggregators would not believe from one frame alone.
const CONFIRMING: u8 = 2;

/// Something to publish, in offset order.
#[derive(Clone, Debug)]
pub struct Output {
    /// The encoded batch.
    pub payload: Bytes,
    /// The batch, where it holds trades.
    pub trades: Option<Batch>,
}

/// The state machine in front of the journal.
pub struct Recorder {
    settings: RecorderSettings,
    journal: Journal,
    clock: Clock,
    events: EventClock,
    /// Set while the feed is not heard, from the start on.
    deaf: Option<Deafness>,
    last_batch: u64,
    /// Windows wait for ticks until time has come this far; `None` when they all are closed.
    ticks_until: Option<u64>,
    /// Ticks that are due each second, whatever the time.
    ticks_due: u8,
    /// When the disk failed, or was tried again.
    disk_tried: u64,
    /// Why the journal is in memory.
    disk_error: Option<String>,
    random: u64,
    outputs: Vec<Output>,
    dropped: u64,
    clock_steps: u64,
}

impl Recorder {
    /// Opens the journal and begins an epoch. Reads back where event time stood. Blocking.
    ///
    /// # Errors
    /// When the journal's directory cannot be read at all.
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: RecorderSettings,
        now: Moment,
        random: u64,
    ) -> io::Result<(Self, Opened)> {
        let mut random = random;
        let clock = Clock::begin(now);
        let start = epoch_start(&clock, settings.simulated, now, &mut random);
        let (journal, opened) = Journal::open(disk, settings.journal.clone(), start)?;
        let epoch_first = opened.state.head - 1;
        let reader = journal.reader();
        let heard = history::last_heard(&reader, epoch_first);
        let mut recorder = Self {
            journal,
            clock,
            events: heard
                .map_or_else(EventClock::default, |heard| EventClock::standing(heard.event_ms, now.mono_ms)),
            deaf: Some(Deafness::of_start(heard)),
            last_batch: now.mono_ms,
            ticks_until: heard.map(|_| now.mono_ms + CLOSED_MS + settings.lateness_ms),
            ticks_due: 0,
            disk_tried: now.mono_ms,
            disk_error: opened.error.clone(),
            random,
            outputs: vec![Output { payload: opened.epoch_start.clone(), trades: None }],
            dropped: 0,
            clock_steps: 0,
            settings,
        };
        for gap in history::damage(&reader, &opened.lost, epoch_first) {
            recorder.append(Body::Control(Control::Gap(gap)), now);
        }
        Ok((recorder, opened))
    }

    /// Where the journal is.
    pub fn state(&self) -> JournalState {
        self.journal.state()
    }

    /// A handle to read the journal with.
    pub fn reader(&self) -> Reader {
        self.journal.reader()
    }

    /// The journal's counters.
    pub fn stats(&self) -> Stats {
        self.journal.stats()
    }

    /// Why the journal is in memory, if it is.
    pub fn disk_error(&self) -> Option<&str> {
        self.disk_error.as_deref()
    }

    /// Records that could be neither journaled nor kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How often the wall clock was found stepped.
    pub const fn clock_steps(&self) -> u64 {
        self.clock_steps
    }

    /// What is to be published, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Journals a frame's trades.
    pub fn trades(&mut self, trades: Vec<Trade>, now: Moment) {
        if trades.is_empty() {
            return;
        }
        if let Some(time) = frame_time(&trades, now) {
            self.heard(time, now);
        }
        self.append(Body::Trades(trades), now);
        self.ticks_until = Some(now.mono_ms + CLOSED_MS + self.settings.lateness_ms);
        self.ticks_due = 0;
    }

    /// A frame without trades was heard after the feed had been away.
    pub fn alive(&mut self, now: Moment) {
        // Where event time stands at a start is only known from the first trade.
        if let Some(deaf) = self.deaf.filter(|deaf| !deaf.is_start())
            && let Some(event) = self.events.at(now.mono_ms)
        {
            self.deaf = None;
            self.tell(deaf.end(event), now);
        }
    }

    /// The feed is away, for this reason; the last frame was received at that monotonic time.
    pub fn lost(&mut self, last_frame: Option<u64>, reason: GapReason) {
        match &mut self.deaf {
            Some(deaf) if deaf.is_start() => {}
            Some(deaf) => deaf.set_reason(reason),
            None => {
                self.deaf = last_frame
                    .and_then(|heard| self.events.at(heard))
                    .map(|event| Deafness::new(event, reason));
            }
        }
    }

    /// The plan's limit left symbols out since that monotonic time.
    pub fn left_out(&mut self, symbols: &[Symbol], since: u64, now: Moment) {
        if let (Some(from), Some(to)) = (self.events.at(since), self.events.at(now.mono_ms)) {
            for gap in gaps::of_symbols(from.min(to), to, GapReason::Limit, symbols) {
                self.tell(Some(gap), now);
            }
        }
    }

    /// To be called about once a second: ticks, gaps that have to be told, a failed disk to be tried again.
    pub fn tick(&mut self, now: Moment) {
        if let (Some(deaf), Some(event)) = (&mut self.deaf, self.events.at(now.mono_ms)) {
            let gap = deaf.passed(event);
            self.tell(gap, now);
        }
        let silent = now.mono_ms.saturating_sub(self.last_batch);
        if silent >= TICK_MS && self.tick_is_due(now) {
            self.append(Body::Control(Control::Tick), now);
        }
        if self.disk_error.is_some()
            && now.mono_ms.saturating_sub(self.disk_tried) >= self.settings.retry_disk_ms
        {
            self.retry_disk(now);
        }
    }

    /// Time that passes in silence matters when it takes the watermark over a minute's end while windows wait: then it is
    /// told, and told again until even an unlikely time is believed. A last tick closes what clocks may differ about. A
    /// tick each second would close nothing sooner, and no store would ever have caught up with the journal's head.
    fn tick_is_due(&mut self, now: Moment) -> bool {
        let Some(until) = self.ticks_until else { return false };
        let lateness = i64::try_from(self.settings.lateness_ms).unwrap_or(i64::MAX);
        let minute_at =
            |mono_ms| self.events.at(mono_ms).map(|event| event.saturating_sub(lateness).div_euclid(60_000));
        if minute_at(now.mono_ms) > minute_at(self.last_batch) {
            self.ticks_due = CONFIRMING + 1;
        }
        if now.mono_ms >= until {
            self.ticks_until = None;
            self.ticks_due = 1;
        }
        self.ticks_due.checked_sub(1).inspect(|left| self.ticks_due = *left).is_some()
    }

    /// Begins a flush, to be run elsewhere and handed to [`Recorder::end_flush`].
    pub fn begin_flush(&mut self, now: Moment) -> Option<Flush> {
        let before = self.journal.state().committed;
        match self.journal.begin_flush() {
            Ok(flush) => {
                self.announce(before, now);
                flush
            }
            Err(error) => {
                self.fall_back(&error, now);
                None
            }
        }
    }

    /// A flush has ended.
    pub fn end_flush(&mut self, flush: Flush, outcome: io::Result<()>, now: Moment) {
        let before = self.journal.state().committed;
        match self.journal.end_flush(flush, outcome) {
            Ok(_) => self.announce(before, now),
            Err(error) => self.fall_back(&error, now),
        }
    }

    fn heard(&mut self, time: i64, now: Moment) {
        let Some(deaf) = self.deaf.take() else {
            self.events.heard(time, now.mono_ms);
            return;
        };
        if deaf.is_start() {
            // Hours may have passed: whatever this frame says is the time.
            self.events = EventClock::standing(time, now.mono_ms);
            self.tell(deaf.end(deaf.first_heard(time, now)), now);
        } else {
            let passed = self.events.at(now.mono_ms).unwrap_or(time);
            self.events.heard(time, now.mono_ms);
            self.tell(deaf.end(passed.max(time)), now);
        }
    }

    fn tell(&mut self, gap: Option<Gap>, now: Moment) {
        if let Some(gap) = gap {
            self.append(Body::Control(Control::Gap(gap)), now);
        }
    }

    fn append(&mut self, body: Body, now: Moment) {
        let mut waiting = vec![body];
        while let Some(body) = waiting.pop() {
            let batch = self.batch(body, now);
            let mut payload = Vec::with_capacity(256);
            if let Err(error) = encode(&batch, &mut payload) {
                match split(batch.body) {
                    Ok((first, second)) => waiting.extend([second, first]),
                    Err(body) => self.drop_records(&body, &error),
                }
                continue;
            }
            match self.journal.append(&payload) {
                Ok(_) => {
                    self.last_batch = now.mono_ms;
                    let trades = matches!(batch.body, Body::Trades(_)).then_some(batch);
                    self.outputs.push(Output { payload: payload.into(), trades });
                }
                // In the memory epoch that follows it gets the same offset again; memory does not fail.
                Err(error @ (JournalError::Disk(_) | JournalError::Ended)) if self.disk_error.is_none() => {
                    self.fall_back(&error, now);
                    waiting.push(batch.body);
                }
                Err(error) => self.drop_records(&batch.body, &error),
            }
        }
    }

    fn batch(&mut self, body: Body, now: Moment) -> Batch {
        let (stamp, step) = self.clock.stamp(now);
        if let Some(step) = step {
            self.clock_steps += 1;
            tracing::warn!(
                step_ms = step,
                "the wall clock was set or stepped; receive times have a new anchor"
            );
        }
        let state = self.journal.state();
        Batch {
            epoch: state.epoch,
            first_offset: state.head,
            committed: state.committed,
            elapsed_ms: stamp.elapsed_ms,
            anchor_ms: stamp.anchor_ms,
            body,
        }
    }

    fn drop_records(&mut self, body: &Body, error: &dyn std::error::Error) {
        self.dropped += if let Body::Trades(trades) = body { trades.len() as u64 } else { 1 };
        tracing::error!(%error, "records could not be journaled and are lost; please report this");
    }

    /// Tells a new `committed`.
    fn announce(&mut self, before: u64, now: Moment) {
        if self.journal.state().committed == before {
            return;
        }
        let commit = self.batch(Body::Commit, now);
        let mut payload = Vec::with_capacity(48);
        if encode(&commit, &mut payload).is_ok() {
            self.outputs.push(Output { payload: payload.into(), trades: None });
        }
    }

    fn fall_back(&mut self, error: &JournalError, now: Moment) {
        tracing::error!(%error, "the journal goes on in memory: free or mend the disk, it is tried again each minute");
        self.disk_error = Some(error.to_string());
        self.disk_tried = now.mono_ms;
        let clock = Clock::begin(now);
        let start = epoch_start(&clock, self.settings.simulated, now, &mut self.random);
        let opened = self.journal.continue_in_memory(start);
        self.begun(clock, opened);
    }

    fn retry_disk(&mut self, now: Moment) {
        self.disk_tried = now.mono_ms;
        let clock = Clock::begin(now);
        let start = epoch_start(&clock, self.settings.simulated, now, &mut self.random);
        match self.journal.retry_disk(start) {
            Ok(opened) => {
                tracing::info!("the journal is on disk again");
                self.disk_error = None;
                self.begun(clock, opened);
            }
            Err(error) => {
                tracing::warn!(%error, "the journal's disk still cannot be written");
                self.disk_error = Some(error.to_string());
            }
        }
    }

    fn begun(&mut self, clock: Clock, opened: Opened) {
        self.clock = clock;
        self.outputs.push(Output { payload: opened.epoch_start, trades: None });
    }
}

/// What the journal needs to know of the moment.
fn epoch_start(clock: &Clock, simulated: bool, now: Moment, random: &mut u64) -> journal::Start {
    let mut clock = *clock;
    let (stamp, _) = clock.stamp(now);
    // SplitMix64: the epochs of one process differ, those of two do by what they were seeded with.
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*random ^ *random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    journal::Start {
        unix_seconds: clock.unix_seconds(),
        random: (mixed >> 32) as u32,
        elapsed_ms: stamp.elapsed_ms,
        anchor_ms: stamp.anchor_ms,
        simulated,
    }
}

/// Halves what is too large for one batch; a single record is given back.
fn split(body: Body) -> Result<(Body, Body), Body> {
    match body {
        Body::Trades(mut first) if first.len() > 1 => {
            let second = first.split_off(first.len() / 2);
            Ok((Body::Trades(first), Body::Trades(second)))
        }
        body => Err(body),
    }
}
