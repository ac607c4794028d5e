//! Files that are not ours, newer, damaged, locked or not there: one clear line, and nothing touched.

use rusqlite::Connection;
use tickberry_store::sqlite::{SqliteConfig, SqliteReader, SqliteWriter};
use tickberry_store::{ErrorKind, StoreError, StoreWriter};

use crate::kit::{START, batch, cursor, file, trade, writer};

fn open(path: &std::path::Path) -> StoreError {
    SqliteWriter::open(SqliteConfig::new(path)).err().expect("refused")
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(writer(&file(&directory)));
    Connection::open(file(&directory)).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let before = std::fs::read(file(&directory)).unwrap();
    let error = open(&file(&directory));
    assert_eq!(error.kind(), ErrorKind::Newer);
    assert!(error.to_string().contains("version 2, but this release knows up to 1"), "{error}");
    assert_eq!(SqliteReader::open(file(&directory)).err().expect("refused").kind(), ErrorKind::Newer);
    assert_eq!(std::fs::read(file(&directory)).unwrap(), before);
}

#[test]
fn another_programs_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Connection::open(file(&directory)).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    let error = open(&file(&directory));
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn garbage_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), [b'x'; 5000]).unwrap();
    let error = open(&file(&directory));
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("move it"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_missing_directory_or_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let error = open(&directory.path().join("no/such/file"));
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(SqliteReader::open(file(&directory)).err().expect("no file").kind(), ErrorKind::Denied);
    // Not made by the reader either.
    assert!(!file(&directory).exists());
}

#[test]
fn an_empty_file_is_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), []).unwrap();
    assert!(writer(&file(&directory)).cursors().unwrap().is_empty());
}

#[test]
fn a_lock_held_elsewhere_is_a_state_that_passes() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let other = Connection::open(file(&directory)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = w.write(&batch(1, vec![trade(0, "A", START)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_transient());
    other.execute_batch("ROLLBACK").unwrap();
    w.write(&batch(1, vec![trade(0, "A", START)])).unwrap();
    assert_eq!(w.cursors().unwrap(), [cursor(1)]);
}

#[test]
fn a_reader_that_never_lets_go_bounds_the_log_not_the_memory() {
    let directory = tempfile::tempdir().unwrap();
    let config = SqliteConfig { wal_bytes: 8 << 20, ..SqliteConfig::new(file(&directory)) };
    let mut w = SqliteWriter::open(config).unwrap();
    w.write(&batch(1, vec![trade(0, "A", START)])).unwrap();
    let other = Connection::open(file(&directory)).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM trades").unwrap();
    let mut refused = None;
    for i in 1..200_u64 {
        let trades = (i * 1000..(i + 1) * 1000).map(|o| trade(o, "A", START)).collect();
        if let Err(error) = w.write(&batch((i + 1) * 1000, trades)) {
            refused = Some((i, error));
            break;
        }
    }
    let (at, error) = refused.expect("the log has a bound");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(w.cursors().unwrap(), [cursor(at * 1000)]);
    other.execute_batch("ROLLBACK").unwrap();
    w.write(&batch(at * 1000, vec![])).unwrap();
}

#[test]
fn a_number_beyond_the_column_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = writer(&file(&directory));
    let error = w.write(&batch(u64::MAX, vec![])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(w.cursors().unwrap().is_empty());
}
