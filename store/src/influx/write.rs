//! One batch: the process is looked at, then what others wrote, then rows go out, then the cursor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Said;
use super::base::{self, Base};
use super::config::InfluxConfig;
use super::deliver::{Budget, deliver};
use super::fields::Row;
use super::line::Lines;
use super::link::Link;
use super::progress::{self, Peers, Reach, Verdict, judge};
use super::read;
use super::refused::Refused;
use super::server::{self, Clock, Process};
use crate::{Cursor, LeftOut, Receipt, Retained, StoreError, StoreWriter, WriteBatch};

/// Time between two cursors written whole: with its state it is the longest line, and an older one costs a start no more
/// than reading those seconds again.
const CURSOR_EACH: Duration = Duration::from_secs(10);
/// What the server is still asked to judge itself: its clock is known to the second.
const GRACE_MS: i64 = 60_000;

/// A writer of a server.
pub struct InfluxWriter {
    config: InfluxConfig,
    link: Link,
    /// The process all that was acknowledged so far went to.
    process: Process,
    clock: Clock,
    /// How long the buckets keep what they hold: trades, and the rest.
    kept_ms: [Option<i64>; 2],
    /// This writer's name in the cursors: another one at each opening.
    me: String,
    /// Per source, what its point said when this writer read or wrote it last.
    known: HashMap<Arc<str>, Reach>,
    /// Per source, the cursor it was begun with.
    begun: HashMap<Arc<str>, Cursor>,
    /// Per source, what this process began with.
    bases: HashMap<Arc<str>, Base>,
    /// Per source, when its cursor was written whole.
    written: HashMap<Arc<str>, Instant>,
    /// The server refuses witnesses.
    unwitnessed: bool,
    peers: Peers,
    budget: Budget,
    refused: Refused,
}

impl InfluxWriter {
    /// Connects; an error where the server, its release, the buckets or the token do not do.
    pub fn open(config: InfluxConfig) -> Result<Self, StoreError> {
        let link = Link::open(&config)?;
        server::check_version(&link)?;
        let kept_ms =
            [server::retention(&link, &config.bucket)?, server::retention(&link, &config.minutes_bucket)?];
        let (process, clock) = server::process(&link)?;
        Ok(Self {
            refused: Refused::new(&config.refused),
            config,
            link,
            process,
            clock,
            kept_ms,
            me: format!("{:016x}", rand::random::<u64>()),
            known: HashMap::new(),
            begun: HashMap::new(),
            bases: HashMap::new(),
            written: HashMap::new(),
            unwitnessed: false,
            peers: Peers::default(),
            budget: Budget::default(),
        })
    }

    /// The process has to be the one that took everything so far. What it acknowledged a settle time ago is flushed
    /// then, and so the batch's cursor covers nothing that can vanish.
    fn same_process(&mut self) -> Result<(), StoreError> {
        let (process, clock) = server::process(&self.link)?;
        if process != self.process {
            return Err(StoreError::Restarted { url: self.config.url.clone(), started: process.started });
        }
        self.clock = clock;
        Ok(())
    }

    /// The cursors that hold: where what an earlier process took first is gone, the one that it began with.
    fn proven(&mut self, cursors: Vec<Cursor>) -> Result<Vec<Cursor>, StoreError> {
        let (bucket, minutes_bucket) = (self.config.bucket.as_str(), self.config.minutes_bucket.as_str());
        let forgotten = self.kept_ms.map(|kept| forgotten(kept, &self.clock));
        let buckets = [(bucket, forgotten[0]), (minutes_bucket, forgotten[1])];
        let mut bases = base::all(&self.link, minutes_bucket)?;
        let this = self.process.started.clone();
        self.bases = bases.extract_if(.., |b| b.process == this).map(|b| (b.source.clone(), b)).collect();
        let mut proven = Vec::new();
        for cursor in cursors {
            match bases.iter().find(|base| base.source == cursor.source) {
                Some(base) if !base.holds(&self.link, buckets)? => {
                    tracing::warn!(source = %cursor.source, process = base.process,
                        "InfluxDB has lost what it acknowledged to its process of then; the journal is read again from there");
                    proven.extend(base.cursor.clone());
                }
                _ => proven.push(cursor),
            }
        }
        Ok(proven)
    }

    /// Remembers the first rows of this process, and what it began with.
    fn base(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        if self.unwitnessed {
            return Ok(());
        }
        let source = &batch.cursor.source;
        let begun = self.begun.get(source).cloned();
        let new = || Base::new(source.clone(), &self.process.started, begun);
        let mut base = self.bases.get(source).cloned().unwrap_or_else(new);
        let before = base.witnesses;
        if base.learn(batch) {
            let buckets = [&self.config.bucket, &self.config.minutes_bucket];
            for ((nanos, before), bucket) in base.witnesses.iter().zip(before).zip(buckets) {
                if let (Some(nanos), None) = (nanos, before) {
                    // One that its bucket no longer keeps is not looked for either.
                    if let Said::Wrong(why) = self.link.write(bucket, base.witness(*nanos).text(0..1))? {
                        // Recorded, it would be missed at each start, and the journal read again. What an earlier
                        // process began with stays as it is, and so goes back further.
                        tracing::warn!(%source, bucket, why, "InfluxDB refuses the witness of what it takes: \
                            if its process loses that, it is noticed only if an earlier one's is gone too");
                        self.unwitnessed = true;
                        return Ok(());
                    }
                }
            }
            let mut lines = Lines::default();
            base.line(&mut lines);
            self.private(&lines)?;
            self.bases.insert(source.clone(), base);
        }
        Ok(())
    }

    /// Writes a point of our own.
    fn private(&self, lines: &Lines) -> Result<(), StoreError> {
        let refused = |why: String| self.link.away(format!("it refuses the cursor: {why}"));
        match self.link.write(&self.config.minutes_bucket, lines.text(0..1))? {
            Said::Taken => Ok(()),
            Said::Expired(_) => Err(refused("beyond its retention".into())),
            Said::Wrong(why) => Err(refused(why)),
        }
    }

    fn judge(&mut self, batch: &WriteBatch) -> Result<Verdict, StoreError> {
        let source = &batch.cursor.source;
        let there = read::reach(&self.link, &self.config.minutes_bucket, source)?;
        Ok(judge(there.as_ref(), self.known.get(source), batch, &self.me, &mut self.peers))
    }

    fn trades(&mut self, batch: &WriteBatch) -> Result<LeftOut, StoreError> {
        let mut trades = Outgoing::new(self.kept_ms[0], &self.clock);
        batch.trades.iter().for_each(|row| trades.add(row));
        let bucket = self.config.bucket.clone();
        self.send(&bucket, trades)
    }

    fn windows(&mut self, batch: &WriteBatch) -> Result<LeftOut, StoreError> {
        let mut windows = Outgoing::new(self.kept_ms[1], &self.clock);
        batch.minutes.iter().for_each(|row| windows.add(row));
        batch.days.iter().for_each(|row| windows.add(row));
        batch.gaps.iter().for_each(|row| windows.add(row));
        let bucket = self.config.minutes_bucket.clone();
        self.send(&bucket, windows)
    }

    fn send(&mut self, bucket: &str, out: Outgoing) -> Result<LeftOut, StoreError> {
        let mut left_out = out.left_out;
        if out.timeless.len() > 0 {
            self.refused.put(out.timeless.text(0..out.timeless.len()), "no time InfluxDB has (1677 to 2262)");
        }
        let Self { link, budget, refused, .. } = self;
        left_out += deliver(
            &out.lines,
            budget,
            Instant::now(),
            |lines| link.write(bucket, lines),
            |lines, why| refused.put(lines, why),
        )?;
        Ok(left_out)
    }

    fn cursor(&mut self, batch: &WriteBatch) -> Result<(), StoreError> {
        let source = &batch.cursor.source;
        let reach = Reach::of(batch, &self.me);
        let whole = self.written.get(source).is_none_or(|at| at.elapsed() >= CURSOR_EACH);
        if !whole && batch.rows() == 0 {
            return Ok(());
        }
        let mut lines = Lines::default();
        progress::line(source, whole.then_some(&batch.cursor), &reach, &mut lines);
        self.private(&lines)?;
        if whole {
            self.written.insert(source.clone(), Instant::now());
        }
        self.known.insert(source.clone(), reach);
        Ok(())
    }
}

impl StoreWriter for InfluxWriter {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn cursors(&mut self) -> Result<Vec<Cursor>, StoreError> {
        self.same_process()?;
        let points = read::progress(&self.link, &self.config.minutes_bucket)?;
        self.known = points.iter().map(|point| (point.source.clone(), point.reach.clone())).collect();
        self.written.clear();
        let cursors = self.proven(points.into_iter().filter_map(|point| point.cursor).collect())?;
        self.begun = cursors.iter().map(|cursor| (cursor.source.clone(), cursor.clone())).collect();
        Ok(cursors)
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<Receipt, StoreError> {
        batch.check_range()?;
        self.same_process()?;
        match self.judge(batch)? {
            Verdict::Write => {}
            // The one ahead may have met a loss where this one had read before the bytes went bad.
            Verdict::There => {
                let left_out = self.trades(batch)?;
                return Ok(Receipt { left_out, ..Receipt::default() });
            }
            Verdict::Again(why) => {
                return Err(StoreError::Behind { url: self.config.url.clone(), detail: why.into() });
            }
        }
        let mut left_out = self.trades(batch)?;
        left_out += self.windows(batch)?;
        self.base(batch)?;
        self.cursor(batch)?;
        // A point that is written again is the same point, and InfluxDB does not say whether it was there.
        Ok(Receipt { left_out, ..Receipt::default() })
    }

    /// The buckets' own retention does it.
    fn retain(&mut self, _source: &str, _watermark_ms: i64) -> Result<Retained, StoreError> {
        Ok(Retained::default())
    }

    fn settle(&self) -> Duration {
        self.config.settle
    }
}

/// Before it a bucket keeps nothing, by the server's clock.
fn forgotten(kept_ms: Option<i64>, clock: &Clock) -> i64 {
    kept_ms.map_or(i64::MIN, |kept| clock.now_ms().saturating_sub(kept).saturating_sub(GRACE_MS))
}

/// The lines of a bucket, and what is not sent.
struct Outgoing {
    lines: Lines,
    /// Points InfluxDB has no time for.
    timeless: Lines,
    left_out: LeftOut,
    /// Older ones the server would refuse.
    from_ms: i64,
}

impl Outgoing {
    fn new(kept_ms: Option<i64>, clock: &Clock) -> Self {
        let from_ms =
            kept_ms.map_or(i64::MIN, |kept| clock.now_ms().saturating_sub(kept).saturating_sub(GRACE_MS));
        Self { lines: Lines::default(), timeless: Lines::default(), left_out: LeftOut::default(), from_ms }
    }

    fn add(&mut self, row: &impl Row) {
        let time = row.time();
        if !time.fits() {
            self.left_out.refused += 1;
            row.line(&mut self.timeless);
        } else if time < super::slot::Nanos::of_ms(self.from_ms) {
            self.left_out.expired += 1;
        } else {
            row.line(&mut self.lines);
        }
    }
}
