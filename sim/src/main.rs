//! Runs seeds, counts crash points, and tells what failed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use tickberry_sim::breaks::Sabotage;
use tickberry_sim::run::{Failure, run, shrink};

/// Gateway, bus, aggregators and store in deterministic worlds, with everything that can go wrong.
#[derive(Parser)]
struct Arguments {
    /// Number of worlds.
    #[arg(long, default_value_t = 3000)]
    seeds: u64,
    /// The first seed. With nothing else: this one only.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Failures after which to stop.
    #[arg(long, default_value_t = 1)]
    failures: usize,
}

#[derive(Default)]
struct Totals {
    worlds: AtomicU64,
    crashes: AtomicU64,
    whole: AtomicU64,
    trades: AtomicU64,
    counted: AtomicU64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let first = arguments.seed.unwrap_or(1);
    let alone = arguments.seed.is_some() && std::env::args().len() <= 3;
    let end = first + if alone { 1 } else { arguments.seeds };
    let (next, totals, failures) = (AtomicU64::new(first), Totals::default(), Mutex::new(Vec::new()));
    // A panic of a world is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| work(&next, end, &totals, &failures, arguments.failures));
        }
    });
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    println!(
        "{} worlds from seed {first}, {} crash points, {} worlds compared whole, {} trades, {} damages counted, {:.1} s",
        count(&totals.worlds),
        count(&totals.crashes),
        count(&totals.whole),
        count(&totals.trades),
        count(&totals.counted),
        begun.elapsed().as_secs_f64()
    );
    let failures = failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for failure in &failures {
        let short = shrink(failure, Sabotage::None);
        println!("seed {}: {}", failure.seed, failure.broken);
        println!(
            "  shortest schedule ({} of {} events): {}",
            short.events.len(),
            failure.events.len(),
            short.broken
        );
        for event in &short.events {
            println!("    {:?} {:#x}", event.kind, event.salt);
        }
        println!("  again: sim --seed {}", failure.seed);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(next: &AtomicU64, end: u64, totals: &Totals, failures: &Mutex<Vec<Failure>>, most: usize) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        match run(seed, Sabotage::None) {
            Ok(outcome) => {
                totals.worlds.fetch_add(1, Ordering::Relaxed);
                totals.crashes.fetch_add(outcome.crashes, Ordering::Relaxed);
                totals.whole.fetch_add(u64::from(outcome.whole), Ordering::Relaxed);
                totals.trades.fetch_add(outcome.trades, Ordering::Relaxed);
                totals.counted.fetch_add(outcome.counted, Ordering::Relaxed);
            }
            Err(failure) => {
                let mut failures = failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                println!("seed {seed}: {}", failure.broken);
                failures.push(failure);
                if failures.len() >= most {
                    next.store(end, Ordering::Relaxed);
                }
            }
        }
    }
}
