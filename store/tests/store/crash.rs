//! kill -9 at any moment: data and cursor are of the same commit.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use tickberry_store::StoreWriter;

use crate::kit::{START, batch, file, trade, writer};

const CHILD: &str = "TICKBERRY_STORE_CRASH_CHILD";
const PER_BATCH: u64 = 10;

/// Not a test of its own: what the killed process runs, from the cursor it finds, for ever.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut w = writer(path.as_ref());
    let mut next = w.cursors().unwrap().first().map_or(0, |c| c.stored);
    loop {
        let trades = (next..next + PER_BATCH).map(|o| trade(o, "A", START + o as i64)).collect();
        next += PER_BATCH;
        w.write(&batch(next, trades)).unwrap();
        println!("stored {next}");
    }
}

#[test]
fn a_killed_writer_leaves_data_and_cursor_of_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let mut acknowledged = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        // Killed after a number of commits that differs by round, at an arbitrary moment of the next one.
        let lines = 3 + round * 17 % 40;
        for line in out.lines().map(Result::unwrap).filter(|l| l.contains("stored ")).take(lines as usize) {
            acknowledged = line.rsplit(' ').next().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let c = Connection::open(&path).unwrap();
        let (count, newest): (u64, u64) = c
            .query_row("SELECT count(*), max(journal_offset) FROM trades", [], |r| {
                Ok((r.get::<_, i64>(0)? as u64, r.get::<_, i64>(1)? as u64))
            })
            .unwrap();
        let stored: i64 = c.query_row("SELECT stored FROM _cursor", [], |r| r.get(0)).unwrap();
        assert_eq!((count, newest + 1), (stored as u64, stored as u64));
        assert!(stored as u64 >= acknowledged, "an acknowledged batch survives the process");
    }
}
