//! Breaks on purpose, between the parts: each must be noticed, or the simulation proves nothing.

use std::time::Duration;

use bytes::Bytes;
use tickberry_aggregator::records::Records;
use tickberry_store::WriteBatch;
use tickberry_wire::{Batch, Body, Control, Epoch, decode, encode};

/// What is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The disk says that it has synced, and has not.
    SyncDoesNothing,
    /// The store keeps a cursor and forgets some of the trades it covers.
    CursorAhead,
    /// The store keeps rows of trades twice, under two identities.
    TradeTwice,
    /// The fetch leaves out a batch now and then.
    FetchSkips,
    /// All lives of the gateway have the same epoch.
    EpochReused,
    /// A minute's count is one off now and then.
    MiscountedMinute,
    /// What the store has acknowledged counts at once, although it may still vanish.
    NothingSettles,
}

impl Sabotage {
    /// The epoch that is told.
    pub fn epoch(self, epoch: Epoch) -> Epoch {
        if self == Self::EpochReused { Epoch::new(1, 1) } else { epoch }
    }

    /// How long an acknowledged batch is said to take.
    pub fn settle(self, settle: Duration) -> Duration {
        if self == Self::NothingSettles { Duration::ZERO } else { settle }
    }

    /// What is published.
    pub fn payload(self, payload: Bytes) -> Bytes {
        let Ok(batch) = decode(&payload) else { return payload };
        if self != Self::EpochReused || matches!(batch.body, Body::Control(Control::EpochStart(_))) {
            return payload;
        }
        let mut out = Vec::new();
        match encode(&Batch { epoch: self.epoch(batch.epoch), ..batch }, &mut out) {
            Ok(()) => out.into(),
            Err(_) => payload,
        }
    }

    /// Whether a fetched batch is left out.
    pub fn skips(self, batch: &Records) -> bool {
        self == Self::FetchSkips && batch.head().first_offset % 7 == 3
    }

    /// What the store gets.
    pub fn batch(self, mut batch: WriteBatch) -> WriteBatch {
        match self {
            Self::CursorAhead if batch.cursor.stored.is_multiple_of(3) => {
                batch.trades.pop();
            }
            Self::TradeTwice => {
                if let Some(mut trade) = batch.trades.last().cloned() {
                    trade.journal_offset += 1;
                    batch.trades.push(trade);
                }
            }
            Self::MiscountedMinute => {
                if let Some(minute) = batch.minutes.iter_mut().find(|m| m.start_ms % 420_000 == 0) {
                    minute.trade_count += 1;
                }
            }
            _ => {}
        }
        batch
    }
}
