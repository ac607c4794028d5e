//! What was done and what came of it, as a table.

use super::plan::{Kind, Round};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The sums of a campaign.
#[derive(Debug, Default)]
pub struct Tally {
    attacks: BTreeMap<&'static str, u64>,
    kinds: [u64; 3],
    /// Aggregators that were killed for good, far behind.
    pub laggards: u64,
    /// Processes killed.
    pub kills: u64,
    /// How often a store was looked into during an attack.
    pub samples: u64,
    /// Homes begun.
    pub homes: u64,
    /// Trades sent, also to nobody.
    pub sent: u64,
    /// Trades received, which are those in the journal.
    pub journaled: u64,
    /// Rows of trades compared in the stores.
    pub stored: u64,
    /// Minutes compared.
    pub minutes: u64,
    /// Nothing was lost, doubled or wrong.
    pub clean: bool,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// A round was verified.
    pub fn round(&mut self, round: &Round) {
        self.kinds[match round.kind {
            Kind::Single => 0,
            Kind::Pair => 1,
            Kind::All => 2,
        }] += 1;
        for (_, attack) in &round.attacks {
            *self.attacks.entry(attack.name()).or_default() += 1;
        }
    }

    /// Rounds that were verified.
    pub fn rounds(&self) -> u64 {
        self.kinds.iter().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, count: u64| writeln!(f, "{what:<34}{count:>10}");
        for (name, count) in &self.attacks {
            line(name, *count)?;
        }
        line("lagging aggregator dies for good", self.laggards)?;
        line("SIGKILLs in all", self.kills)?;
        line("rounds verified", self.rounds())?;
        line("  of one attack", self.kinds[0])?;
        line("  of a pair", self.kinds[1])?;
        line("  of everything together", self.kinds[2])?;
        line("homes", self.homes)?;
        line("stores looked into under attack", self.samples)?;
        line("trades sent", self.sent)?;
        line("  received and journaled", self.journaled)?;
        line("  stored rows compared", self.stored)?;
        line("  minutes compared", self.minutes)?;
        if self.clean {
            line("lost", 0)?;
            line("doubled", 0)?;
        }
        line("seconds", self.took.as_secs())
    }
}
