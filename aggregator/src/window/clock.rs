//! How far event time has come: a pure function of the records, with no clock of its own.
//!
//! *Reach* is the estimate of the feed's present, the watermark lies `lateness_ms` behind it. Both never go back.
//!
//! 1. The latest plausible event time moves reach.
//! 2. In silence reach moves on by the differences of receive times ([`Batch::elapsed_ms`]), with the records that hold
//!    no trade. Silence is the time since the last batch with a trade of about the present (not more than
//!    [`CURRENT_MS`] before the latest): prints of hours ago that trickle in after the close do not hold minutes open.
//!    Differences across epochs are not used: their clocks have nothing in common that can be trusted, and silence
//!    goes on counting in the new one.
//! 3. A time more than [`JUMP_MS`] ahead of reach, and the very first one, is a candidate only. Two more batches whose
//!    trades are by majority within an hour of it confirm it, as do [`QUIET_MS`] of silence; a batch whose trades are
//!    by majority elsewhere refutes it. Until then it moves nothing.
//!
//! [`Batch::elapsed_ms`]: tickberry_wire::Batch::elapsed_ms

use serde::{Deserialize, Serialize};
use tickberry_wire::{Epoch, GapReason};

/// More than this ahead of reach, a time needs confirmation.
pub(crate) const JUMP_MS: i64 = 3_600_000;
/// A trade further behind than this does not end a silence.
const CURRENT_MS: i64 = 60_000;
/// Batches that confirm a candidate.
const SUPPORT: u8 = 2;
/// Silence that confirms a candidate.
const QUIET_MS: i64 = 10_000;

/// State of the watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    reach: Option<i64>,
    /// The latest event time that moved reach, and the silence since.
    high: i64,
    silence_ms: i64,
    /// Epoch and elapsed time of the record before.
    last: Option<(Epoch, u64)>,
    candidate: Option<Candidate>,
    /// Records went missing, and no event time was seen since.
    pub(crate) lost: Option<(i64, GapReason)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    first: i64,
    latest: i64,
    support: u8,
    silence_ms: i64,
}

/// What a batch did to the clock, beside moving it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// A candidate was confirmed, or refuted.
    pub(crate) jumped: bool,
    pub(crate) refuted: bool,
    /// The first event time behind lost records, where there were any.
    pub(crate) heard_again: Option<i64>,
}

impl Clock {
    /// The feed's present as far as the records tell; `None` before the first confirmed time.
    pub(crate) fn reach(&self) -> Option<i64> {
        self.reach
    }

    /// Times beyond this are ahead: they need confirmation.
    pub(crate) fn horizon(&self) -> Option<i64> {
        self.reach.map(|reach| reach.max(self.high.saturating_add(self.silence_ms)).saturating_add(JUMP_MS))
    }

    /// A record of this epoch was received then.
    pub(crate) fn passed(&mut self, epoch: Epoch, elapsed_ms: u64) {
        let before = match self.last {
            Some((last, before)) if last == epoch => before,
            _ => elapsed_ms,
        };
        self.last = Some((epoch, elapsed_ms.max(before)));
        let step = i64::try_from(elapsed_ms.saturating_sub(before)).unwrap_or(i64::MAX);
        self.silence_ms = self.silence_ms.saturating_add(step);
        if let Some(candidate) = &mut self.candidate {
            candidate.silence_ms = candidate.silence_ms.saturating_add(step);
        }
    }

    /// The record held no plausible event time.
    pub(crate) fn heard_nothing(&mut self) -> Moved {
        match &self.candidate {
            Some(candidate) if candidate.silence_ms >= QUIET_MS => self.confirm(),
            _ => {
                self.move_on();
                Moved::default()
            }
        }
    }

    /// A batch held trades of these plausible event times, in any order; not one of them is the caller's mistake.
    #[inline(always)]
    pub(crate) fn heard(&mut self, latest: i64, times: impl Iterator<Item = i64> + Clone) -> Moved {
        let horizon = self.horizon();
        if self.candidate.is_none() && self.lost.is_none() && horizon.is_some_and(|horizon| latest <= horizon)
        {
            self.heard_near(latest);
            return Moved::default();
        }
        self.heard_all(latest, horizon, times)
    }

    #[inline(never)]
    fn heard_all(
        &mut self,
        latest: i64,
        horizon: Option<i64>,
        times: impl Iterator<Item = i64> + Clone,
    ) -> Moved {
        let all_near = horizon.is_some_and(|horizon| latest <= horizon);
        let near = if all_near { Some(latest) } else { times.clone().filter(|t| Some(*t) <= horizon).max() };
        let mut moved = Moved::default();
        if self.candidate.is_some() || !all_near {
            moved = self.weigh(horizon, times.clone());
        }
        if let Some(near) = near {
            self.heard_near(near);
            if let Some((from, _)) = self.lost {
                moved.heard_again = times.filter(|t| Some(*t) <= horizon && *t >= from).min();
            }
        }
        moved
    }

    /// Records are missing from here on. Their event times begin at the latest one known, if any is.
    pub(crate) fn lose(&mut self, reason: GapReason) {
        if self.reach.is_some() && self.lost.is_none() {
            self.lost = Some((self.high, reason));
        }
    }

    fn heard_near(&mut self, latest: i64) {
        if latest >= self.high.saturating_sub(CURRENT_MS) {
            self.silence_ms = 0;
        }
        self.high = self.high.max(latest);
        self.move_on();
    }

    /// Confirms, refutes or sets the candidate.
    fn weigh(&mut self, horizon: Option<i64>, times: impl Iterator<Item = i64> + Clone) -> Moved {
        let mut refuted = false;
        if let Some(candidate) = &mut self.candidate {
            let within = |t: &i64| t.abs_diff(candidate.latest) <= JUMP_MS.unsigned_abs();
            let supporting = times.clone().filter(within).count();
            if supporting * 2 > times.clone().count() {
                let latest = times.filter(within).max();
                candidate.latest = candidate.latest.max(latest.unwrap_or(candidate.latest));
                candidate.support += 1;
                candidate.silence_ms = 0;
                return if candidate.support >= SUPPORT { self.confirm() } else { Moved::default() };
            }
            self.candidate = None;
            refuted = true;
        }
        if let Some(latest) = times.clone().filter(|t| Some(*t) > horizon).max() {
            let within = times.filter(|t| t.abs_diff(latest) <= JUMP_MS.unsigned_abs());
            let first = within.min().unwrap_or(latest);
            self.candidate = Some(Candidate { first, latest, support: 0, silence_ms: 0 });
        }
        Moved { refuted, ..Moved::default() }
    }

    fn confirm(&mut self) -> Moved {
        let Some(candidate) = self.candidate.take() else { return Moved::default() };
        self.high = if self.reach.is_some() { self.high.max(candidate.latest) } else { candidate.latest };
        self.silence_ms = candidate.silence_ms;
        self.reach = self.reach.max(Some(candidate.latest));
        self.move_on();
        Moved { jumped: true, refuted: false, heard_again: self.lost.map(|_| candidate.first) }
    }

    fn move_on(&mut self) {
        if let Some(reach) = self.reach {
            self.reach = Some(reach.max(self.high.saturating_add(self.silence_ms)));
        }
    }
}
