//! Two processes that write one file: the same points from the same journal, each at its own pace.

use std::sync::Barrier;

use tickberry_store::sqlite::{SqliteConfig, SqliteReader, SqliteWriter};
use tickberry_store::{ErrorKind, Query, StoreReader as _, StoreWriter as _, WriteBatch};

use crate::kit::{START, batch, content, file, minute, trade, writer};

/// Trades up to an offset, and the minute as it is then.
fn up_to(first: u64, end: u64) -> WriteBatch {
    let trades = (first..end).map(|offset| trade(offset, "A", START)).collect();
    WriteBatch { minutes: vec![minute("A", START, end as i64)], ..batch(end, trades) }
}

const TABLES: [&str; 3] = ["trades", "minute_trades", "_cursor"];

#[test]
fn the_one_that_is_behind_takes_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (writer(&file(&directory)), writer(&file(&directory)));
    one.cursors().unwrap();
    other.cursors().unwrap();
    one.write(&up_to(0, 10)).unwrap();
    // What the other had written came again, and is nobody's mistake.
    assert_eq!(other.write(&up_to(0, 20)).unwrap().doubled, 0);
    let ahead = content(&file(&directory), &TABLES);
    one.write(&up_to(10, 15)).unwrap();
    assert_eq!(content(&file(&directory), &TABLES), ahead);
    // In front again, its rows count again.
    one.write(&up_to(15, 30)).unwrap();
    other.write(&up_to(20, 25)).unwrap();
    let mut alone = writer(&directory.path().join("alone"));
    alone.write(&up_to(0, 30)).unwrap();
    let expected = content(&directory.path().join("alone"), &TABLES);
    assert_eq!(content(&file(&directory), &TABLES), expected);
}

#[test]
fn the_one_that_is_behind_brings_the_trades_the_other_did_not_get() {
    let directory = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (writer(&file(&directory)), writer(&file(&directory)));
    // To the other these records were rotten.
    other.write(&WriteBatch { trades: Vec::new(), ..up_to(0, 20) }).unwrap();
    one.write(&up_to(0, 15)).unwrap();
    let reader = SqliteReader::open(file(&directory)).unwrap();
    assert_eq!(reader.trades(&Query::symbol("A", 100)).unwrap().len(), 15);
    let minutes = reader.minutes(&Query::symbol("A", 100)).unwrap();
    assert_eq!(minutes[0].trade_count, up_to(0, 20).minutes[0].trade_count, "the window is further on");
    assert_eq!(other.cursors().unwrap()[0].stored, 20);
}

#[test]
fn behind_in_another_epoch_it_has_to_begin_again_from_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (writer(&file(&directory)), writer(&file(&directory)));
    other.write(&up_to(0, 20)).unwrap();
    let mut new_journal = up_to(0, 5);
    new_journal.cursor.epoch += 1;
    new_journal.trades.iter_mut().for_each(|trade| trade.epoch += 1);
    assert_eq!(one.write(&new_journal).unwrap_err().kind(), ErrorKind::Busy);
    // Without rows it is only asked whether the store is there.
    one.write(&WriteBatch::new(new_journal.cursor.clone())).unwrap();
    assert_eq!(one.cursors().unwrap()[0].stored, 20);
    // Whoever knows the cursor may take it back: the journal is another one.
    one.write(&new_journal).unwrap();
    assert_eq!(one.cursors().unwrap()[0].stored, 5);
}

#[test]
fn a_file_is_made_once_however_many_begin_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let begin = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    SqliteWriter::open(SqliteConfig::new(file(&directory))).map(drop).unwrap();
                });
            }
        });
        assert_eq!(writer(&file(&directory)).cursors().unwrap(), []);
    }
}
