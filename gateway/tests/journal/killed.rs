//! kill -9 of a real process that writes to a real directory.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tickberry_gateway::journal::{Config, DirDisk, Journal};

use crate::support::{batch, start};

const DIR: &str = "TICKBERRY_TEST_JOURNAL_CHILD";

fn config() -> Config {
    Config { ring_bytes: 64 << 20, segment_bytes: Config::MIN_SEGMENT_BYTES, ..Config::default() }
}

/// Not a test: the process that is killed. Prints each head after the append.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (mut journal, opened) =
        Journal::open(Arc::new(DirDisk::open(dir).unwrap()), config(), start(1)).unwrap();
    println!("\nhead {}", opened.state.head);
    for i in 0.. {
        let bytes = batch(&journal, 1 + i % 50);
        println!("head {}", journal.append(&bytes).unwrap().head);
        if i % 20 == 0 {
            println!("committed {}", journal.flush().unwrap().committed);
        }
    }
}

#[test]
fn what_was_appended_before_kill_9_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for life in 0..15u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after so many lines, while it writes on.
        let wanted = 1 + life * life * 7;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut head = 0;
        let mut count = 0;
        for line in lines.by_ref() {
            if let Some(told) = line.unwrap().strip_prefix("head ") {
                head = told.parse().unwrap();
                count += 1;
            }
            if count == wanted {
                break;
            }
        }
        assert_eq!(count, wanted, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died counts too.
        for line in lines {
            if let Some(Ok(told)) = line.unwrap().strip_prefix("head ").map(str::parse) {
                head = told;
            }
        }
        assert!(head > seen);
        seen = head;
        check(dir.path(), head);
        seen += 1;
    }
}

/// Opens the directory as the next process would: everything below `head` is there and true.
fn check(dir: &std::path::Path, head: u64) {
    let disk = Arc::new(DirDisk::open(dir).unwrap());
    let (journal, opened) = Journal::open(disk, config(), start(1)).unwrap();
    assert!(opened.lost.is_empty() && !opened.torn);
    assert!(opened.state.head > head, "{} after {head}", opened.state.head);
    let mut batches = journal.reader().read(journal.state().first, None).unwrap();
    let mut expected = journal.state().first;
    while let Some(item) = batches.next_item().unwrap() {
        let tickberry_gateway::journal::Item::Batch { first, end, payload } = item else {
            panic!("{item:?}")
        };
        assert_eq!(first, expected);
        let batch = tickberry_wire::decode(payload).unwrap();
        if let tickberry_wire::Body::Trades(trades) = batch.body {
            for (offset, trade) in (first..).zip(trades) {
                assert_eq!(trade.time_ms, 1_700_000_000_000 + offset as i64);
            }
        }
        expected = end;
    }
    assert_eq!(expected, opened.state.head);
}
