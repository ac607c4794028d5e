//! Two processes that write one file: the same points from the same journal, each at its own pace.

use std::sync::Barrier;

use tickberry_store::StoreWriter as _;
use tickberry_store::sqlite::{SqliteConfig, SqliteWriter};

use crate::kit::{file, writer};

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
