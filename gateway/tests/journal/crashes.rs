//! Random lives on a disk that forgets: all that was committed is there, nothing was invented.

use std::sync::Arc;

use proptest::prelude::*;
use tickberry_gateway::journal::model::ModelDisk;
use tickberry_gateway::journal::{Config, Journal};

use crate::support::{Written, open, small, start};

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Flush,
    /// A flush that is under way while the next batches come.
    BeginFlush,
    EndFlush,
}

#[derive(Clone, Debug)]
struct Life {
    steps: Vec<Step>,
    /// Operations until the power goes; none: kill -9 after the last step.
    fuse: Option<u64>,
}

fn life() -> impl Strategy<Value = Life> {
    let step = prop_oneof![
        6 => (1..60u64).prop_map(Step::Append),
        2 => (400..2000u64).prop_map(Step::Append),
        2 => Just(Step::Flush),
        2 => Just(Step::BeginFlush),
        2 => Just(Step::EndFlush),
    ];
    let fuse = prop_oneof![1 => Just(None), 3 => (1..120u64).prop_map(Some)];
    (prop::collection::vec(step, 0..60), fuse).prop_map(|(steps, fuse)| Life { steps, fuse })
}

/// `PROPTEST_CASES` for a long night.
pub(crate) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn committed_is_kept_and_nothing_is_invented(seed: u64, lives in prop::collection::vec(life(), 1..8)) {
        run(seed, &lives, small());
        // A ring that never wraps: the history of all lives is compared each time.
        run(seed, &lives, Config { ring_bytes: 100 << 20, ..small() });
    }
}

fn run(seed: u64, lives: &[Life], config: Config) {
    let disk = ModelDisk::new(seed);
    let mut written = Written::default();
    let mut committed = 0;
    let mut epochs = Vec::new();
    for life in lives {
        if let Some(operations) = life.fuse {
            disk.cut_power_after(operations);
        }
        let opened = Journal::open(Arc::new(disk.clone()), config.clone(), start(1));
        if let Ok((mut journal, opened)) = opened
            && !disk.is_off()
        {
            assert!(opened.lost.is_empty(), "no rot was made: {:?}", opened.lost);
            assert!(opened.state.head > committed, "{:?} after {committed}", opened.state);
            assert!(!epochs.contains(&opened.state.epoch));
            epochs.push(opened.state.epoch);
            written.adopt_unheard(&journal.reader(), committed);
            written.opened(&opened);
            written.check_all(&journal.reader());
            committed = opened.state.committed;
            live(&disk, &mut journal, &mut written, &life.steps, &mut committed);
        }
        match life.fuse {
            Some(_) => disk.power_on(),
            None => disk.kill_process(),
        }
    }
    let (journal, opened) = Journal::open(Arc::new(disk), config, start(1)).unwrap();
    assert!(opened.lost.is_empty() && opened.state.head > committed && opened.state.durable);
    written.adopt_unheard(&journal.reader(), committed);
    written.opened(&opened);
    written.check_all(&journal.reader());
}

fn live(disk: &ModelDisk, journal: &mut Journal, written: &mut Written, steps: &[Step], committed: &mut u64) {
    let mut flush = None;
    for step in steps {
        let done = match step {
            Step::Append(trades) => written.append(journal, *trades).map(|()| journal.state()),
            Step::Flush => journal.flush(),
            Step::BeginFlush => match journal.begin_flush() {
                Ok(None) => continue,
                Ok(begun) => {
                    flush = begun;
                    continue;
                }
                Err(e) => Err(e),
            },
            Step::EndFlush => match flush.take() {
                None => continue,
                Some(flush) => {
                    let outcome = flush.run();
                    journal.end_flush(flush, outcome)
                }
            },
        };
        match done {
            Ok(state) => *committed = state.committed,
            Err(e) => {
                assert!(disk.is_off(), "{e}");
                return;
            }
        }
    }
}

#[test]
fn a_power_cut_while_the_ring_goes_over_its_oldest_segment_leaves_no_hole_in_it() {
    for seed in 0..40 {
        let disk = ModelDisk::new(seed);
        let (mut journal, opened) = open(Arc::new(disk.clone()), 1);
        let mut written = Written::default();
        written.opened(&opened);
        // One segment that is full and durable; so long as there is no second flush, nothing is sealed.
        while journal.stats().segments < 2 {
            written.append(&mut journal, 2_000).unwrap();
        }
        journal.flush().unwrap();
        while journal.stats().segments_recycled == 0 {
            written.append(&mut journal, 2_000).unwrap();
        }
        for _ in 0..seed % 4 {
            written.append(&mut journal, 2_000).unwrap();
        }
        disk.cut_power_after(0);
        assert!(written.append(&mut journal, 1).is_err() && disk.is_off());
        disk.power_on();
        let (journal, opened) = open(Arc::new(disk.clone()), 2);
        assert!(opened.lost.is_empty(), "seed {seed}: {:?}", opened.lost);
        written.opened(&opened);
        written.check_all(&journal.reader());
    }
}
