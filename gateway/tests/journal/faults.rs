//! A disk that fails and heals, in the middle of lives that end anyhow.

use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use tickberry_gateway::journal::model::{Fault, ModelDisk};
use tickberry_gateway::journal::{Config, DirDisk, Journal, JournalError};

use crate::crashes::cases;
use crate::support::{Written, small, start};

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Flush,
    Break(Fault),
    /// What the gateway does each minute; `true`: after the disk was mended.
    Retry(bool),
}

#[derive(Clone, Debug)]
struct Life {
    steps: Vec<Step>,
    fuse: Option<u64>,
}

fn life() -> impl Strategy<Value = Life> {
    let fault = prop_oneof![Just(Fault::Full), Just(Fault::ReadOnly), Just(Fault::SyncFails)];
    let step = prop_oneof![
        8 => (1..60u64).prop_map(Step::Append),
        2 => (400..2000u64).prop_map(Step::Append),
        4 => Just(Step::Flush),
        1 => fault.prop_map(Step::Break),
        2 => any::<bool>().prop_map(Step::Retry),
    ];
    let fuse = prop_oneof![1 => Just(None), 2 => (20..300u64).prop_map(Some)];
    (prop::collection::vec(step, 0..50), fuse).prop_map(|(steps, fuse)| Life { steps, fuse })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// What was committed while the disk worked is there for good; what was committed in memory is there as long as
    /// the process lives, and for good once the disk has healed.
    #[test]
    fn a_failing_disk_costs_nothing_that_it_had(seed: u64, lives in prop::collection::vec(life(), 1..6)) {
        run(seed, &lives);
    }
}

struct World {
    disk: ModelDisk,
    written: Written,
    /// Everything below was durable at the end of the last life.
    durable: u64,
    /// Ranges that were lost with good reason.
    excused: Vec<(u64, u64)>,
}

fn run(seed: u64, lives: &[Life]) {
    let mut world =
        World { disk: ModelDisk::new(seed), written: Written::default(), durable: 0, excused: Vec::new() };
    for life in lives {
        if let Some(operations) = life.fuse {
            world.disk.cut_power_after(operations);
        }
        if let Some(mut journal) = world.open() {
            world.live(&mut journal, &life.steps);
        }
        // A process that dies after a failed sync leaves pages that only look clean; the machine goes with it here.
        world.disk.power_on();
        world.disk.set_fault(Fault::None);
    }
    let journal = world.open().expect("nothing is wrong any more");
    assert!(journal.state().durable);
}

impl World {
    fn open(&mut self) -> Option<Journal> {
        let config = Config { ring_bytes: 100 << 20, ..small() };
        let (journal, opened) = Journal::open(Arc::new(self.disk.clone()), config, start(1)).ok()?;
        if self.disk.is_off() {
            return None;
        }
        let durable = self.durable;
        assert!(opened.state.head > durable);
        self.written.adopt_unheard(&journal.reader(), durable);
        self.written.opened(&opened);
        let state = journal.state();
        for (from, to, _) in self.written.check(&journal.reader(), state.first, state.head) {
            let known = self.excused.iter().any(|&(f, t)| f <= from && to <= t);
            assert!(known || from >= durable, "{from}..{to} was durable below {durable}");
            if !known {
                self.excused.push((from, to));
            }
        }
        self.durable = opened.state.committed;
        Some(journal)
    }

    fn live(&mut self, journal: &mut Journal, steps: &[Step]) {
        for (i, step) in steps.iter().enumerate() {
            let done = match step {
                Step::Append(trades) => self.written.append(journal, *trades),
                Step::Flush => journal.flush().map(drop),
                Step::Break(fault) => {
                    self.disk.set_fault(*fault);
                    Ok(())
                }
                Step::Retry(mended) => {
                    if *mended {
                        self.disk.set_fault(Fault::None);
                    }
                    if !journal.state().durable && journal.state().epoch.get() != 0 {
                        // A refusal leaves everything as it was.
                        let before = journal.state();
                        match journal.retry_disk(start(i as u32)) {
                            Ok(opened) => self.written.opened(&opened),
                            Err(_) => assert_eq!(journal.state(), before),
                        }
                    }
                    Ok(())
                }
            };
            if self.disk.is_off() {
                return;
            }
            match done {
                Ok(()) => {}
                Err(JournalError::Disk(_)) => {
                    let opened = journal.continue_in_memory(start(1000 + i as u32));
                    assert_eq!(opened.state.head, opened.previous.map_or(0, |(_, end)| end) + 1);
                    self.written.opened(&opened);
                }
                Err(e) => panic!("{e}"),
            }
            let state = journal.state();
            if state.durable {
                self.durable = state.committed;
            }
            let lost = self.written.check(&journal.reader(), state.first, state.head);
            assert!(
                lost.iter().all(|&(from, to, _)| self.excused.iter().any(|&(f, t)| f <= from && to <= t)),
                "{lost:?} lost while running"
            );
        }
    }
}

/// A real file system that is really full. Needs root to mount it; says so where it is not.
#[test]
fn a_file_system_without_space_and_with_space_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mount = |options: &str| {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs", path])
            .status()
            .is_ok_and(|s| s.success())
    };
    if !mount("size=200k") {
        println!("skipped: mounting a small file system needs root");
        return;
    }
    let outcome =
        std::panic::catch_unwind(|| fill_and_heal(dir.path(), &|| assert!(mount("remount,size=20m"))));
    assert!(Command::new("umount").arg("--lazy").arg(path).status().unwrap().success());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn fill_and_heal(dir: &std::path::Path, grow: &dyn Fn()) {
    let disk = Arc::new(DirDisk::open(dir.join("journal")).unwrap());
    let (mut journal, opened) = Journal::open(disk.clone(), small(), start(1)).unwrap();
    let mut written = Written::default();
    written.opened(&opened);
    let failed = loop {
        match written.append(&mut journal, 500) {
            Ok(()) => {}
            Err(e) => break e,
        }
        assert!(journal.stats().segments < 5, "the file system never got full");
    };
    assert!(matches!(failed, JournalError::Disk(_)), "{failed}");
    written.opened(&journal.continue_in_memory(start(2)));
    written.append(&mut journal, 500).unwrap();
    written.check_all(&journal.reader());
    assert!(journal.retry_disk(start(3)).is_err());
    grow();
    written.opened(&journal.retry_disk(start(4)).unwrap());
    written.append(&mut journal, 500).unwrap();
    assert!(journal.flush().unwrap().durable);
    drop(journal);
    let (journal, opened) = Journal::open(disk, small(), start(5)).unwrap();
    assert!(opened.lost.is_empty() && !opened.torn);
    written.opened(&opened);
    written.check_all(&journal.reader());
}
