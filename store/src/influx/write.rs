//! One batch: the process is looked at, then what others wrote, then rows go out, then the cursor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Per source, when its cursor was written whole.
    written: HashMap<Arc<str>, Instant>,
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
            written: HashMap::new(),
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

    fn judge(&mut self, batch: &WriteBatch) -> Result<Verdict, StoreError> {
        let source = &batch.cursor.source;
        let points = read::progress(&self.link, &self.config.minutes_bucket)?;
        let there = points.into_iter().find(|point| point.source == *source).map(|point| point.reach);
        Ok(judge(there.as_ref(), self.known.get(source), batch, &self.me, &mut self.peers))
    }

    fn rows(&mut self, batch: &WriteBatch) -> Result<LeftOut, StoreError> {
        let mut trades = Outgoing::new(self.kept_ms[0], &self.clock);
        batch.trades.iter().for_each(|row| trades.add(row));
        let mut windows = Outgoing::new(self.kept_ms[1], &self.clock);
        batch.minutes.iter().for_each(|row| windows.add(row));
        batch.days.iter().for_each(|row| windows.add(row));
        batch.gaps.iter().for_each(|row| windows.add(row));
        let (bucket, minutes_bucket) = (self.config.bucket.clone(), self.config.minutes_bucket.clone());
        let mut left_out = self.send(&bucket, trades)?;
        left_out += self.send(&minutes_bucket, windows)?;
        Ok(left_out)
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
        let (bucket, refused) = (&self.config.minutes_bucket, |why: String| StoreError::Away {
            url: self.config.url.clone(),
            detail: format!("it refuses the cursor: {why}"),
        });
        match self.link.write(bucket, lines.text(0..1))? {
            super::answer::Said::Taken => {}
            super::answer::Said::Expired(_) => return Err(refused("beyond its retention".into())),
            super::answer::Said::Wrong(why) => return Err(refused(why)),
        }
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
        Ok(points.into_iter().filter_map(|point| point.cursor).collect())
    }

    fn write(&mut self, batch: &WriteBatch) -> Result<Receipt, StoreError> {
        batch.check_range()?;
        self.same_process()?;
        match self.judge(batch)? {
            Verdict::Write => {}
            Verdict::There => return Ok(Receipt::default()),
            Verdict::Again(why) => {
                return Err(StoreError::Behind { url: self.config.url.clone(), detail: why.into() });
            }
        }
        let left_out = self.rows(batch)?;
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
