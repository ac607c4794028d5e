//! Real power cuts; see `tickberry_tests::powercut`.
//!
//! `TB_CUTS` (20), `TB_SEED`, `TB_FIRST`, the cut to begin with, and `TB_LAB`, the folder that
//! `scripts/powercut-lab` filled. Nothing is done where that is not set: `cargo test` runs this file as well.

use std::process::ExitCode;
use tickberry_tests::powercut::campaign::{Campaign, Failure};
use tickberry_tests::powercut::control::{Noticed, lying_disk_is_noticed};
use tickberry_tests::powercut::lab::Lab;
use tickberry_tests::powercut::tally::Tally;
use tickberry_tests::skipped;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{variable}={text}: use a number"))
        }
        _ => default,
    }
}

/// Each campaign ends with a disk that lies: checks that see nothing there would have shown nothing before.
async fn control(lab: &Lab, seed: u64) -> ExitCode {
    match Box::pin(lying_disk_is_noticed(lab, seed)).await {
        Ok(Noticed { check, program, answer, orphans }) => {
            println!(
                "a disk that lies about flushes was noticed; {orphans} stored trades are no longer in the journal"
            );
            println!("  the check:   {check}\n  the program: {program}\n  the journal: {answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("powercut: a disk that lies about flushes, SEED={seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("TB_LAB").is_none() {
        skipped("no power is cut; use make powercut");
        return ExitCode::SUCCESS;
    }
    let campaign = Campaign {
        seed: number("TB_SEED", 20_261_125),
        first: number("TB_FIRST", 0),
        cuts: number("TB_CUTS", 20),
    };
    let Campaign { seed, first, cuts } = campaign;
    eprintln!("powercut: {cuts} cuts from {first} on, SEED={seed}");
    let lab = match Lab::find() {
        Ok(lab) => lab,
        Err(error) => {
            eprintln!("powercut: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut tally = Tally::default();
    let result = Box::pin(campaign.run(&lab, &mut tally)).await;
    match result {
        Ok(()) => {
            println!("{tally}");
            control(&lab, seed).await
        }
        Err(Failure { cut, home, error }) => {
            println!("{} cuts were verified before:\n{tally}", tally.cuts);
            eprintln!("powercut: failed at cut {cut} with SEED={seed}: {error:#}");
            eprintln!("again: make powercut SEED={seed} FIRST={home} CUTS={}", cut - home + 1);
            ExitCode::FAILURE
        }
    }
}
