//! Timing: contestants in turn, the smallest time of each.

use std::time::Instant;

/// Rounds each contestant runs.
const ROUNDS: usize = 25;

/// One way to do the job, and the smallest time it took.
pub struct Contest<'a> {
    /// Its name in the table.
    pub name: &'static str,
    run: Box<dyn FnMut() -> u64 + 'a>,
    best_ns: f64,
}

impl<'a> Contest<'a> {
    /// A contestant; what it returns must depend on its work, so that the work is done.
    pub fn new(name: &'static str, run: impl FnMut() -> u64 + 'a) -> Self {
        Self { name, run: Box::new(run), best_ns: f64::INFINITY }
    }

    /// Nanoseconds of the fastest round, for each of `count` things it worked on.
    pub fn each(&self, count: usize) -> f64 {
        self.best_ns / count as f64
    }
}

/// Runs all contestants in turn, round after round.
pub fn nanoseconds_each(contestants: &mut [Contest<'_>]) {
    for _ in 0..ROUNDS {
        for contestant in contestants.iter_mut() {
            let start = Instant::now();
            std::hint::black_box((contestant.run)());
            contestant.best_ns = contestant.best_ns.min(start.elapsed().as_nanos() as f64);
        }
    }
}
