//! What was cut and what was found, as a table.

use super::plan::Moment;
use super::verdict::Found;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The sums of a campaign.
#[derive(Debug, Default)]
pub struct Tally {
    moments: BTreeMap<&'static str, u64>,
    /// Cuts whose outcome was verified.
    pub cuts: u64,
    /// Disks that were begun.
    pub homes: u64,
    /// Trades whose commit was reported in the life that was cut.
    pub promised: u64,
    /// Trades of all lives looked up in the journal, summed over the cuts.
    pub journaled: u64,
    /// Minutes compared.
    pub minutes: u64,
    torn: u64,
    lost: u64,
    kept: u64,
    oldest: Duration,
    /// Nothing was lost, doubled or wrong.
    pub clean: bool,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// A cut was verified.
    pub fn cut(&mut self, moment: Moment, found: &Found) {
        *self.moments.entry(moment.name()).or_default() += 1;
        self.cuts += 1;
        self.promised += found.promised as u64;
        self.lost += found.lost as u64;
        self.kept += found.kept as u64;
        self.oldest = self.oldest.max(found.oldest);
        self.torn += u64::from(found.torn);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, count: u64| writeln!(f, "{what:<46}{count:>10}");
        for (name, count) in &self.moments {
            line(name, *count)?;
        }
        line("cuts verified", self.cuts)?;
        line("disks", self.homes)?;
        line("trades reported committed before their cut", self.promised)?;
        line("trades looked up in journal and store", self.journaled)?;
        line("minutes compared", self.minutes)?;
        if self.clean {
            line("lost committed", 0)?;
            line("doubled or wrong", 0)?;
        }
        line("lost uncommitted", self.lost)?;
        line("uncommitted, and there all the same", self.kept)?;
        line("torn tails that a start cut", self.torn)?;
        line("oldest loss before the cut, ms at most", self.oldest.as_millis() as u64)?;
        line("seconds", self.took.as_secs())?;
        let each = self.took.as_secs_f64() / self.cuts.max(1) as f64;
        writeln!(f, "{:<46}{each:>10.1}", "seconds a cut")
    }
}
