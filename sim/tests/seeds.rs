//! A bounded number of worlds. `make sim SEEDS=n` runs more of them, in a release build.

use tickberry_sim::breaks::Sabotage;
use tickberry_sim::run::{run, shrink};

/// Worlds a part: about a minute and a half on two cores, without optimization.
const WORLDS: u64 = 250;

fn worlds(from: u64) {
    let (mut crashes, mut whole) = (0, 0);
    for seed in from..from + WORLDS {
        match run(seed, Sabotage::None) {
            Ok(outcome) => {
                crashes += outcome.crashes;
                whole += u64::from(outcome.whole);
            }
            Err(failure) => {
                let short = shrink(&failure, Sabotage::None);
                panic!("seed {seed}: {}\n{:#?}\nagain: sim --seed {seed}", short.broken, short.events);
            }
        }
    }
    println!("{WORLDS} worlds, {crashes} crash points, {whole} worlds compared whole");
    assert!(crashes > 10 * WORLDS && whole > WORLDS / 3);
}

#[test]
fn one_part() {
    worlds(1);
}

#[test]
fn and_another() {
    worlds(100_001);
}

#[test]
fn a_seed_is_a_world() {
    let ends = |seed| run(seed, Sabotage::None).map(|o| (o.crashes, o.trades, o.counted)).ok();
    assert_eq!(ends(7), ends(7));
    assert!(ends(7) != ends(8));
}

/// Worlds that broke a promise once.
#[test]
fn what_was_mended() {
    let broken = [
        // A start that could not sync, a memory epoch, a return, a power cut: `gateway/tests/journal/returned.rs`.
        11_944,
        // Rot that one of two aggregators had read before: `store/tests/store/two_writers.rs`.
        2_382,
        // A memory epoch that died before the first trade: `aggregator/src/window/tests/resume.rs`.
        16_174, 16_765,
    ];
    for seed in broken {
        assert_eq!(run(seed, Sabotage::None).err().map(|failure| failure.broken), None, "seed {seed}");
    }
}
