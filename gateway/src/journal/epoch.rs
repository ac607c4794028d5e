//! An epoch's number and its first record.

use std::collections::BTreeSet;

use bytes::Bytes;
use tickberry_wire::{Batch, Body, Control, Epoch, EpochStart};

use super::config::Start;

/// An epoch above all that were seen: a Pi's clock is in 1970 until the network has set it, and an epoch that went back
/// would be taken for the older one wherever trades of one millisecond are put in order. Beside those that were not
/// seen (of a directory that was deleted, or behind a backup that was restored) only clock and random bits tell it
/// apart.
pub(super) fn unseen_epoch(seen: &BTreeSet<u64>, start: Start) -> Epoch {
    let mut epoch = Epoch::new(start.unix_seconds, start.random);
    let latest = seen.last().and_then(|&latest| Epoch::from_raw(latest));
    if let Some(latest) = latest.filter(|latest| epoch <= *latest) {
        epoch = Epoch::new(latest.unix_seconds() + 1, start.random);
    }
    // A clock that has once been at the end of numbers leaves room for no later epoch, but for many others.
    let mut random = start.random;
    while epoch.get() == 0 || seen.contains(&epoch.get()) {
        random = random.wrapping_add(1);
        epoch = Epoch::new(start.unix_seconds, random);
    }
    epoch
}

/// The batch an epoch begins with, at offset `head`; `previous` is the epoch before and its end.
pub(super) fn first_batch(epoch: Epoch, head: u64, previous: Option<(u64, u64)>, start: Start) -> Bytes {
    let previous = previous.and_then(|(epoch, end)| Some((Epoch::from_raw(epoch)?, end)));
    let batch = Batch {
        epoch,
        first_offset: head,
        committed: head,
        elapsed_ms: start.elapsed_ms,
        anchor_ms: start.anchor_ms,
        body: Body::Control(Control::EpochStart(EpochStart { previous, simulated: start.simulated })),
    };
    let mut bytes = Vec::new();
    tickberry_wire::encode(&batch, &mut bytes).expect("an epoch start is a few dozen bytes without a name");
    bytes.into()
}
