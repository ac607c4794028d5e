//! How much of a source's journal the server holds: one point a source, written over and over at one time that no
//! retention reaches. And, since several aggregators may write one server, who is ahead. Pure.
//!
//! The point says two things. The *cursor*: everything below it is there and flushed; a start goes on from it. And what
//! the rows *reach* that were acknowledged last, and by whom: an aggregator that is behind leaves such rows alone.

use std::collections::BTreeSet;

use super::fields;
use super::line::{Lines, Value};
use super::slot::Nanos;
use crate::{Cursor, WriteBatch};

/// 2200-01-01: beyond every retention, before the end of InfluxDB's calendar.
pub(super) const AT: Nanos = Nanos(7_258_118_400_000_000_000);
/// Other writers remembered at most.
const PEERS: usize = 64;

/// What rows reach, and who wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) writer: String,
    pub(super) epoch: u64,
    pub(super) end: u64,
}

impl Reach {
    pub(super) fn of(batch: &WriteBatch, writer: &str) -> Self {
        Self { writer: writer.to_owned(), epoch: batch.reaches.0, end: batch.reaches.1 }
    }
}

/// What to do with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it.
    Write,
    /// All of it is there.
    There,
    /// Begin again from the server's cursor; why.
    Again(&'static str),
}

/// Other writers that were met before.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeSet<String>);

impl Peers {
    /// Whether it is a new one.
    fn meet(&mut self, writer: &str) -> bool {
        if self.0.len() >= PEERS {
            self.0.clear();
        }
        self.0.insert(writer.to_owned())
    }
}

/// Decides about a batch. `there`: what the server says now; `known`: what it said when this writer asked or wrote last.
///
/// As in SQLite, of a batch that another writer is beyond everything is there: rows follow from the journal. That the
/// journal is the same is sure within an epoch only. And what this writer wrote has to be there still: else the
/// server's data were replaced (a backup was restored), and the journal has to fill them again from what they say.
pub(super) fn judge(
    there: Option<&Reach>,
    known: Option<&Reach>,
    batch: &WriteBatch,
    me: &str,
    peers: &mut Peers,
) -> Verdict {
    let (epoch, end) = batch.reaches;
    if there == known {
        return Verdict::Write;
    }
    // Without rows nothing is lost by leaving it; with the next rows the question comes again.
    if batch.rows() == 0 {
        return Verdict::There;
    }
    let wrote = known.is_some_and(|known| known.writer == me);
    match there {
        None => Verdict::Again("its cursor is gone"),
        Some(there) if there.writer == me => Verdict::Again("what it took last is gone"),
        Some(there) if there.end > end && there.epoch == epoch => Verdict::There,
        Some(there) if there.end > end => Verdict::Again(
            "another aggregator writes it and is ahead, in an epoch that is not known here yet",
        ),
        Some(there) if wrote && peers.meet(&there.writer) => {
            Verdict::Again("another aggregator writes it too, or its data are those of a backup")
        }
        Some(_) => Verdict::Write,
    }
}

/// The point's line. Without a cursor only what the rows reach is written, and the cursor there stays.
pub(super) fn line(source: &str, cursor: Option<&Cursor>, reach: &Reach, into: &mut Lines) {
    let state = cursor.map(|cursor| hex(&cursor.state));
    // Checked to fit by the caller.
    let signed = |value: u64| Some(Value::Integer(value as i64));
    let values = [
        cursor.and_then(|c| signed(c.epoch)),
        cursor.and_then(|c| signed(c.stored)),
        cursor.and_then(|c| signed(c.rebuild_from)),
        cursor.map(|c| Value::Integer(c.floor_ms)),
        state.as_deref().map(Value::Text),
        Some(Value::Text(&reach.writer)),
        signed(reach.epoch),
        signed(reach.end),
    ];
    fields::cursor_point(source, &values, AT, into);
}

/// Bytes as a text.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// The bytes that [`hex`] wrote.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GapRow;

    fn batch(epoch: u64, end: u64, rows: usize) -> WriteBatch {
        let cursor = Cursor {
            source: "s".into(),
            epoch,
            stored: end,
            rebuild_from: 0,
            floor_ms: i64::MIN,
            state: vec![0, 255, 16],
        };
        let gap =
            GapRow { source: "s".into(), symbol: "*".into(), start_ms: 1, end_ms: 2, reason: "stall".into() };
        WriteBatch { gaps: vec![gap; rows], ..WriteBatch::new(cursor) }
    }

    fn reach(writer: &str, epoch: u64, end: u64) -> Reach {
        Reach { writer: writer.into(), epoch, end }
    }

    #[test]
    fn who_is_behind_takes_nothing_back() {
        use Verdict::{Again, There, Write};
        let mut peers = Peers::default();
        let mut judged = |there: Option<Reach>, known: Option<Reach>, batch: &WriteBatch| match judge(
            there.as_ref(),
            known.as_ref(),
            batch,
            "me",
            &mut peers,
        ) {
            Again(_) => "again",
            There => "there",
            Write => "write",
        };
        let mine = || Some(reach("me", 1, 10));
        let other = |epoch, end| Some(reach("other", epoch, end));
        // The first, alone, and going on.
        assert_eq!(judged(None, None, &batch(1, 10, 1)), "write");
        assert_eq!(judged(mine(), mine(), &batch(1, 20, 1)), "write");
        // After asking, whatever is there is known: a start, another journal, a backup.
        assert_eq!(judged(other(7, 99), other(7, 99), &batch(1, 20, 1)), "write");
        // Another is ahead.
        assert_eq!(judged(other(1, 30), mine(), &batch(1, 20, 1)), "there");
        assert_eq!(judged(other(2, 30), mine(), &batch(1, 20, 1)), "again");
        assert_eq!(judged(other(2, 30), mine(), &batch(1, 20, 0)), "there");
        // Another is behind: a backup would look the same, so once it is looked into.
        assert_eq!(judged(other(1, 15), mine(), &batch(1, 20, 1)), "again");
        assert_eq!(judged(other(1, 16), mine(), &batch(1, 20, 1)), "write");
        // What was written is gone.
        assert_eq!(judged(Some(reach("me", 1, 5)), mine(), &batch(1, 20, 1)), "again");
        assert_eq!(judged(None, mine(), &batch(1, 20, 1)), "again");
        // A probe never fails for it: the caller is to ask.
        assert_eq!(judged(None, mine(), &batch(1, 20, 0)), "there");
    }

    #[test]
    fn the_point_holds_the_cursor_or_leaves_it() {
        let batch = batch(1, 10, 0);
        let mut lines = Lines::default();
        line("s", Some(&batch.cursor), &reach("ab", 1, 12), &mut lines);
        line("s", None, &reach("ab", 1, 14), &mut lines);
        assert_eq!(
            lines.text(0..2),
            "tickberry_cursor,source=s epoch=1i,stored=10i,rebuild_from=0i,floor_ms=-9223372036854775808i,state=\"00ff10\",\
             writer=\"ab\",reached_epoch=1i,reached=12i 7258118400000000000\n\
             tickberry_cursor,source=s writer=\"ab\",reached_epoch=1i,reached=14i 7258118400000000000\n"
        );
        assert_eq!(unhex("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!((unhex("0"), unhex("0g")), (None, None));
    }
}
