//! What to believe of the segments found at a start. Pure: scans in, a plan out.
//!
//! * Everything below the highest `committed` in any valid frame was durable once: what is missing there is
//!   **rot**, and its offsets are lost, not given out again.
//! * Above it, frames that follow without a hole are kept (after kill -9 the page cache still has them); the
//!   first hole is a **torn tail**, and all behind it is cut.
//! * A later segment's first offset, and the end it records for the epoch before its own, bound the older ones:
//!   so what was cut once stays cut, although its bytes are still there.

use std::collections::BTreeSet;

use super::format::Header;
use super::scan::{Run, Scanned};

/// Offsets that cannot be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// First of them.
    pub from: u64,
    /// Offset after the last.
    pub to: u64,
    /// A whole segment is not there (or is another release's), as against damage inside one.
    pub missing_segment: bool,
}

/// A segment to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its place in the input.
    pub(crate) input: usize,
    /// First offset.
    pub(crate) first: u64,
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Segments in order.
    pub(crate) kept: Vec<Kept>,
    /// Inputs that hold nothing to keep: free for use.
    pub(crate) free: Vec<usize>,
    /// What was known to be durable before this start.
    pub(crate) claimed: u64,
    /// Where the next epoch starts.
    pub(crate) head: u64,
    /// Records above `claimed` that were intact.
    pub(crate) recovered: u64,
    /// Whether a torn tail was cut.
    pub(crate) torn: bool,
    /// The last epoch that has records, and its end.
    pub(crate) previous: Option<(u64, u64)>,
    /// Rot.
    pub(crate) lost: Vec<LostRange>,
    /// Segments of a newer release.
    pub(crate) newer: u64,
    /// Segments without a readable header.
    pub(crate) damaged: u64,
    /// Number of the next segment.
    pub(crate) next_number: u64,
    /// Every epoch that was ever seen here.
    pub(crate) epochs: BTreeSet<u64>,
}

/// Decides. `inputs`: the number in each file's name, and its scan; in order of number.
pub(crate) fn plan(inputs: &[(u64, Scanned)]) -> Plan {
    let mut plan = Plan::default();
    let mut ours: Vec<Candidate> = Vec::new();
    for (input, (number, scanned)) in inputs.iter().enumerate() {
        plan.next_number = plan.next_number.max(number.saturating_add(1));
        match scanned {
            Scanned::Segment(contents) => {
                plan.see(&contents.header);
                plan.claimed = plan.claimed.max(contents.claimed);
                // An epoch starts only after all before it was made durable.
                if contents.header.first == contents.header.previous.1 {
                    plan.claimed = plan.claimed.max(contents.header.first);
                }
                ours.push(Candidate::new(input, contents.header, &contents.runs));
            }
            Scanned::Newer(header) => {
                plan.newer += 1;
                plan.see(header);
                plan.claimed = plan.claimed.max(end_of_newer(header, &inputs[input + 1..]));
            }
            Scanned::Leftover => plan.free.push(input),
            Scanned::Damaged => plan.damaged += 1,
        }
    }
    bound(&mut ours);
    plan.find_head(&ours);
    plan.keep(&ours);
    plan.find_lost(&ours, inputs);
    plan
}

/// Where the offsets of a newer release's segment end at the latest: it may hold as many records as it has bits, but
/// none that a later segment begins with or after. A hole in the offsets costs nothing; giving one out twice would
/// make a trade vanish when the newer release comes back.
fn end_of_newer(header: &Header, later: &[(u64, Scanned)]) -> u64 {
    let first = |(_, scanned): &(u64, Scanned)| match scanned {
        Scanned::Segment(contents) => Some(contents.header.first),
        Scanned::Newer(header) => Some(header.first),
        Scanned::Leftover | Scanned::Damaged => None,
    };
    let most = header.first.saturating_add(header.size.saturating_mul(8));
    later.iter().find_map(first).map_or(most, |first| first.min(most))
}

struct Candidate {
    input: usize,
    header: Header,
    /// Where its offsets end at the latest.
    bound: u64,
    runs: Vec<Run>,
}

impl Candidate {
    fn new(input: usize, header: Header, runs: &[Run]) -> Self {
        Self { input, header, bound: u64::MAX, runs: runs.to_vec() }
    }
}

/// From the newest to the oldest: nobody reaches into a successor's offsets.
fn bound(ours: &mut [Candidate]) {
    let mut first_after = u64::MAX;
    let mut ends: Vec<(u64, u64)> = Vec::new();
    for segment in ours.iter_mut().rev() {
        let own_end = ends.iter().filter(|(e, _)| *e == segment.header.epoch).map(|&(_, end)| end).min();
        segment.bound = first_after.min(own_end.unwrap_or(u64::MAX));
        segment.runs.retain_mut(|run| {
            run.end = run.end.min(segment.bound);
            run.first < run.end
        });
        first_after = first_after.min(segment.header.first);
        ends.push(segment.header.previous);
    }
}

impl Plan {
    fn see(&mut self, header: &Header) {
        for epoch in [header.epoch, header.previous.0] {
            if epoch != 0 {
                self.epochs.insert(epoch);
            }
        }
    }

    fn find_head(&mut self, ours: &[Candidate]) {
        self.head = self.claimed;
        for run in ours.iter().flat_map(|s| &s.runs) {
            if run.first <= self.head {
                self.head = self.head.max(run.end);
            } else {
                self.torn = true;
            }
        }
        self.recovered = self.head - self.claimed;
    }

    fn keep(&mut self, ours: &[Candidate]) {
        for segment in ours {
            let first = segment.header.first;
            if first >= self.head || first >= segment.bound {
                self.free.push(segment.input);
                continue;
            }
            self.kept.push(Kept { input: segment.input, first });
            self.previous = Some((segment.header.epoch, self.head));
        }
    }

    fn find_lost(&mut self, ours: &[Candidate], inputs: &[(u64, Scanned)]) {
        let mut expected = self.kept.first().map_or(self.head, |k| k.first);
        for (i, kept) in self.kept.iter().enumerate() {
            let Some(segment) = ours.iter().find(|s| s.input == kept.input) else { continue };
            for run in segment.runs.iter().filter(|run| run.first < self.head) {
                if run.first > expected {
                    self.lost.push(LostRange { from: expected, to: run.first, missing_segment: false });
                }
                expected = expected.max(run.end);
            }
            let next = self.kept.get(i + 1);
            let end = next.map_or(self.head, |k| k.first);
            if end > expected {
                let number = |k: &Kept| inputs[k.input].0;
                let missing_segment = match next {
                    Some(next) => number(next) != number(kept) + 1,
                    None => self.next_number != number(kept) + 1,
                };
                self.lost.push(LostRange { from: expected, to: end, missing_segment });
                expected = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::scan::Contents;

    fn segment(
        number: u64,
        epoch: u64,
        first: u64,
        previous: (u64, u64),
        runs: &[(u64, u64)],
        claimed: u64,
    ) -> (u64, Scanned) {
        let header = Header { number, epoch, first, previous, size: 1 << 20, sealed: false };
        let runs = runs.iter().map(|&(first, end)| Run { first, end }).collect();
        let contents = Contents { header, runs, claimed, sparse: vec![], area: (0, 0), read_errors: 0 };
        (number, Scanned::Segment(contents))
    }

    fn lost(from: u64, to: u64, missing_segment: bool) -> LostRange {
        LostRange { from, to, missing_segment }
    }

    #[test]
    fn nothing_there() {
        let plan = plan(&[]);
        assert_eq!((plan.head, plan.next_number, plan.previous), (0, 0, None));
    }

    #[test]
    fn intact_records_above_committed_are_kept() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 50)], 40)]);
        assert_eq!((plan.claimed, plan.head, plan.recovered, plan.torn), (40, 50, 10, false));
        assert_eq!(plan.previous, Some((9, 50)));
        assert!(plan.lost.is_empty());
    }

    #[test]
    fn a_hole_above_committed_is_a_torn_tail() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 42), (45, 50)], 40)]);
        assert_eq!((plan.head, plan.torn), (42, true));
        assert!(plan.lost.is_empty());
    }

    #[test]
    fn a_hole_below_committed_is_rot() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 30), (35, 50)], 40)]);
        assert_eq!((plan.head, plan.torn), (50, false));
        assert_eq!(plan.lost, [lost(30, 35, false)]);
    }

    #[test]
    fn a_hole_across_committed_is_both() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 30), (45, 50)], 40)]);
        assert_eq!((plan.head, plan.torn), (40, true));
        assert_eq!(plan.lost, [lost(30, 40, false)]);
    }

    #[test]
    fn what_was_cut_stays_cut() {
        let plan = plan(&[
            segment(0, 9, 0, (0, 0), &[(0, 42), (45, 50)], 40),
            segment(1, 10, 42, (9, 42), &[(42, 90)], 80),
        ]);
        assert_eq!(plan.head, 90);
        assert!(plan.lost.is_empty(), "{:?}", plan.lost);
        assert_eq!(plan.previous, Some((10, 90)));
    }

    #[test]
    fn what_was_cut_stays_cut_even_when_the_segment_that_says_so_is_gone() {
        let plan = plan(&[
            segment(0, 9, 0, (0, 0), &[(0, 42), (45, 50)], 40),
            segment(2, 10, 60, (9, 42), &[(60, 90)], 80),
        ]);
        assert_eq!(plan.lost, [lost(42, 60, true)]);
    }

    #[test]
    fn an_epoch_that_never_got_durable_leaves_nothing() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 42)], 40), segment(1, 10, 42, (9, 42), &[], 0)]);
        assert_eq!((plan.head, plan.claimed), (42, 42));
        assert_eq!(plan.previous, Some((9, 42)));
        assert_eq!(plan.free, [1]);
        assert_eq!(plan.next_number, 2);
        assert!(plan.epochs.contains(&10));
    }

    #[test]
    fn an_uncommitted_rotation_after_a_torn_tail_is_cut_with_it() {
        let plan =
            plan(&[segment(0, 9, 0, (0, 0), &[(0, 42)], 40), segment(1, 9, 45, (0, 0), &[(45, 60)], 40)]);
        assert_eq!((plan.head, plan.torn), (42, true));
        assert_eq!(plan.free, [1]);
    }

    #[test]
    fn committed_beyond_what_is_there_is_lost_and_not_given_out_again() {
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 30)], 40)]);
        assert_eq!(plan.head, 40);
        assert_eq!(plan.lost, [lost(30, 40, false)]);
    }

    #[test]
    fn a_newer_release_keeps_its_offsets() {
        let newer = Header { number: 1, epoch: 10, first: 42, previous: (9, 42), size: 100, sealed: false };
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 42)], 42), (1, Scanned::Newer(newer))]);
        assert_eq!((plan.newer, plan.head, plan.next_number), (1, 842, 2));
        assert!(plan.free.is_empty());
        assert_eq!(plan.lost, [lost(42, 842, true)]);
    }

    #[test]
    fn a_newer_release_before_ours_ends_where_ours_begins() {
        let newer = Header { number: 1, epoch: 10, first: 42, previous: (9, 42), size: 100, sealed: false };
        let ours = segment(2, 11, 50, (10, 50), &[(50, 60)], 60);
        let plan = plan(&[segment(0, 9, 0, (0, 0), &[(0, 42)], 42), (1, Scanned::Newer(newer)), ours]);
        assert_eq!((plan.newer, plan.head), (1, 60));
        assert_eq!(plan.lost, [lost(42, 50, true)]);
    }
}
