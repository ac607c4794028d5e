//! Real faults, counted in verified rounds; see `tickberry_tests::chaos`.
//!
//! `TB_ROUNDS` (20), `TB_SEED`, and `TB_FIRST`, the round to begin with.

use std::process::ExitCode;
use tickberry_tests::chaos::campaign::{Campaign, Failure};
use tickberry_tests::chaos::tally::Tally;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{variable}={text}: use a number"))
        }
        _ => default,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let campaign = Campaign {
        seed: number("TB_SEED", 20_261_125),
        first: number("TB_FIRST", 0),
        rounds: number("TB_ROUNDS", 20),
    };
    let Campaign { seed, first, rounds } = campaign;
    eprintln!("chaos: {rounds} rounds from {first} on, SEED={seed}");
    let mut tally = Tally::default();
    let result = Box::pin(campaign.run(&mut tally)).await;
    match result {
        Ok(()) => {
            println!("{tally}");
            ExitCode::SUCCESS
        }
        Err(Failure { round, home, error }) => {
            println!("{} rounds were verified before:\n{tally}", tally.rounds());
            eprintln!("chaos: round {round} failed with SEED={seed}: {error:#}");
            eprintln!("again: make chaos SEED={seed} FIRST={home} ROUNDS={}", round - home + 1);
            ExitCode::FAILURE
        }
    }
}
