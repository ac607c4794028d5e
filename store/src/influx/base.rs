//! What a server's process began with, so that the loss of all it took is noticed.
//!
//! InfluxDB 2.9.1 opens the last segment of a shard's write-ahead log at its end, and then cuts a torn entry off that end.
//! What it writes from then on lies behind a hole, is acknowledged and flushed, and is thrown away when the log is read
//! the next time: after a crash that tore an entry, the next start loses everything since that crash. So per process and
//! source a witness is written beside the first trade and the first minute it took (those may have been there before), and
//! the cursor it began with is kept. Witnesses come right behind the hole, if there is one. If they are gone when another
//! process is met, the journal is read again from that cursor.

use std::sync::Arc;

use super::fields::{self, BASE, Row, WITNESS};
use super::influxql::{self, name, text};
use super::line::{Lines, Value, tag_value};
use super::link::Link;
use super::progress::{self, hex, unhex};
use super::read::{columns_of, tag};
use super::slot::Nanos;
use crate::{Cursor, StoreError, WriteBatch};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Base {
    pub(super) source: Arc<str>,
    /// When the process was started.
    pub(super) process: String,
    /// The cursor it began with; nothing where it had none.
    pub(super) cursor: Option<Cursor>,
    /// Times of the witnesses, in nanoseconds: beside a trade, beside a minute.
    pub(super) witnesses: [Option<i64>; 2],
}

impl Base {
    /// Of a process that has taken nothing yet.
    pub(super) fn new(source: Arc<str>, process: &str, cursor: Option<Cursor>) -> Self {
        Self { source, process: process.to_owned(), cursor, witnesses: [None; 2] }
    }

    /// Takes places for missing witnesses from rows that were acknowledged; true where there are some.
    pub(super) fn learn(&mut self, batch: &WriteBatch) -> bool {
        let place = |time: Nanos| i64::try_from(time.0).ok().filter(|_| time.fits());
        let trade = batch.trades.last().and_then(|row| place(row.time()));
        let minute = batch.minutes.last().and_then(|row| place(row.time()));
        let before = self.witnesses;
        self.witnesses = [before[0].or(trade), before[1].or(minute)];
        self.witnesses != before
    }

    /// The line of a witness.
    pub(super) fn witness(&self, nanos: i64) -> Lines {
        let mut lines = Lines::default();
        let values = [Some(Value::Text(&self.process))];
        fields::point(&WITNESS, &[("source", &self.source)], &values, Nanos(nanos.into()), &mut lines);
        lines
    }

    /// Its line: every field, so that nothing of the one before stays.
    pub(super) fn line(&self, into: &mut Lines) {
        let cursor = self.cursor.as_ref();
        let state = cursor.map(|c| hex(&c.state)).unwrap_or_default();
        // Checked to fit by the caller.
        let signed = |value: Option<u64>| Some(Value::Integer(value.map_or(-1, |value| value as i64)));
        let values = [
            signed(cursor.map(|c| c.epoch)),
            signed(cursor.map(|c| c.stored)),
            signed(cursor.map(|c| c.rebuild_from)),
            Some(Value::Integer(cursor.map_or(0, |c| c.floor_ms))),
            Some(Value::Text(&state)),
            Some(Value::Text(&self.process)),
            Some(Value::Integer(self.witnesses[0].unwrap_or(0))),
            Some(Value::Integer(self.witnesses[1].unwrap_or(0))),
        ];
        fields::point(&BASE, &[("source", &self.source)], &values, progress::AT, into);
    }

    /// Whether what the process took first is still there. With each bucket, before which time it may have forgotten.
    pub(super) fn holds(&self, link: &Link, buckets: [(&str, i64); 2]) -> Result<bool, StoreError> {
        for (nanos, (bucket, from_ms)) in self.witnesses.iter().zip(buckets) {
            let Some(nanos) = nanos.filter(|nanos| Nanos((*nanos).into()) >= Nanos::of_ms(from_ms)) else {
                continue;
            };
            let question = format!(
                "SELECT {} FROM {} WHERE time = {nanos} AND \"source\" = {}",
                columns_of(&WITNESS),
                name(WITNESS.name),
                text(&tag_value(&self.source)),
            );
            let mut found = false;
            influxql::ask(link, bucket, &question, |_, row| {
                found |= row.text(2)? == self.process;
                Some(())
            })?;
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Those of all sources.
pub(super) fn all(link: &Link, bucket: &str) -> Result<Vec<Base>, StoreError> {
    let question =
        format!("SELECT {} FROM {} WHERE time = {}", columns_of(&BASE), name(BASE.name), progress::AT.0);
    let mut found = Vec::new();
    influxql::ask(link, bucket, &question, |_, row| {
        let source: Arc<str> = tag(row, 1)?;
        let cursor = match row.unsigned(3) {
            None => None,
            Some(stored) => Some(Cursor {
                source: source.clone(),
                epoch: row.unsigned(2)?,
                stored,
                rebuild_from: row.unsigned(4)?,
                floor_ms: row.integer(5)?,
                state: unhex(row.text(6)?)?,
            }),
        };
        let process = row.text(7)?.to_owned();
        let witnesses = [8, 9].map(|column| row.integer(column).filter(|nanos| *nanos != 0));
        found.push(Base { source, process, cursor, witnesses });
        Some(())
    })?;
    Ok(found)
}
