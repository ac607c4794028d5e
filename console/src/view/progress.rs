//! How far a source's journal goes, from whoever said so last.

use std::collections::VecDeque;

/// Epochs remembered as over, so that a straggler of theirs is not taken for a new one.
const EARLIER: usize = 16;

/// The newest known ends of one source's journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The epoch in course; `None` until anything was heard.
    pub(crate) epoch: Option<u64>,
    /// The next offset to be given.
    pub(crate) head: u64,
    /// The next offset not yet durable.
    pub(crate) committed: u64,
    earlier: VecDeque<u64>,
}

impl Progress {
    /// Takes a report. Within an epoch the ends only grow, whichever message overtook which. A new
    /// epoch replaces them: a journal that was lost or moved aside starts again at 0.
    pub(crate) fn heard(&mut self, epoch: u64, head: u64, committed: u64) -> bool {
        if self.epoch == Some(epoch) {
            let before = (self.head, self.committed);
            self.head = self.head.max(head);
            self.committed = self.committed.max(committed);
            return before != (self.head, self.committed);
        }
        if self.earlier.contains(&epoch) {
            return false;
        }
        if let Some(over) = self.epoch.replace(epoch) {
            self.earlier.truncate(EARLIER - 1);
            self.earlier.push_front(over);
        }
        (self.head, self.committed) = (head, committed);
        true
    }

    /// What may be said of `committed` beside a store: it took nothing that is not, and may have heard of it first, from
    /// the journal.
    pub(crate) fn committed(&self, epoch: u64, stored: u64) -> u64 {
        if self.epoch == Some(epoch) { self.committed.max(stored.min(self.head)) } else { self.committed }
    }

    /// What may be said of `stored`. `stored == head` means "all is in", so it is said only where it is
    /// known: when the head may be older than the truth (`certain` is false, another epoch, or a store
    /// that is ahead of all that was heard here), the answer stays one below.
    pub(crate) fn stored(&self, epoch: u64, stored: u64, certain: bool) -> u64 {
        if certain && self.epoch == Some(epoch) && stored <= self.head {
            stored
        } else {
            stored.min(self.head.saturating_sub(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_grow_within_an_epoch_and_start_again_with_the_next() {
        let mut progress = Progress::default();
        for (epoch, head, committed, expected, changed) in [
            (1, 10, 5, (Some(1), 10, 5), true),
            (1, 8, 9, (Some(1), 10, 9), true),
            (1, 10, 9, (Some(1), 10, 9), false),
            (2, 11, 10, (Some(2), 11, 10), true),
            (1, 99, 99, (Some(2), 11, 10), false), // a straggler
            (3, 0, 0, (Some(3), 0, 0), true),      // a new journal
        ] {
            assert_eq!(progress.heard(epoch, head, committed), changed);
            assert_eq!((progress.epoch, progress.head, progress.committed), expected);
        }
    }

    #[test]
    fn all_is_in_is_never_claimed_on_old_knowledge() {
        let mut progress = Progress::default();
        progress.heard(7, 100, 100);
        for (epoch, stored, certain, expected) in [
            (7, 100, true, 100),
            (7, 40, true, 40),
            (7, 100, false, 99), // the bus is down: the head may have moved
            (7, 40, false, 40),
            (6, 100, true, 99),  // the aggregator has not seen this epoch begin
            (6, 5000, true, 99), // … nor that the journal is a new one
            (7, 120, true, 99),  // it is ahead of what was heard here, so the head is too
        ] {
            assert_eq!(progress.stored(epoch, stored, certain), expected, "{epoch} {stored} {certain}");
        }
        assert_eq!(Progress::default().stored(0, 0, true), 0);
    }

    #[test]
    fn what_is_stored_is_committed() {
        let mut progress = Progress::default();
        progress.heard(7, 100, 80);
        for (epoch, stored, committed) in [(7, 70, 80), (7, 90, 90), (7, 120, 100), (6, 5000, 80)] {
            assert_eq!(progress.committed(epoch, stored), committed, "{epoch} {stored}");
        }
    }
}
