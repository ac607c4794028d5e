//! The journal's records and the batches they travel in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Symbol, Trade};

/// One life of a gateway process on one journal: seconds since 1970 · 2²⁰ + 20 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Random bits at the low end.
    pub const RANDOM_BITS: u32 = 20;
    /// Bits an epoch needs in all; seconds reach into the year 2242.
    pub const BITS: u32 = 56;

    /// The epoch of a process that started at `unix_seconds`; of `random` the low 20 bits are used.
    pub const fn new(unix_seconds: u64, random: u32) -> Self {
        let seconds = unix_seconds & ((1 << (Self::BITS - Self::RANDOM_BITS)) - 1);
        Self(seconds << Self::RANDOM_BITS | (random as u64 & ((1 << Self::RANDOM_BITS) - 1)))
    }

    /// An epoch from its number, or `None` if it has more than [`Epoch::BITS`] bits.
    pub const fn from_raw(raw: u64) -> Option<Self> {
        if raw >> Self::BITS != 0 { None } else { Some(Self(raw)) }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// When the epoch began, in seconds since 1970, by a clock that may not have been set.
    pub const fn unix_seconds(self) -> u64 {
        self.0 >> Self::RANDOM_BITS
    }

    /// The wall clock that an unstepped anchor has at elapsed time 0.
    pub const fn origin_ms(self) -> i64 {
        (self.unix_seconds() * 1000) as i64
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Consecutive records of one source: one MQTT message, one journal frame, one item of the journal over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The epoch these records were given their offsets in.
    pub epoch: Epoch,
    /// Offset of the first record; where there is none, the offset the next record will get.
    pub first_offset: u64,
    /// The source's `committed` when the batch was made: the end of what was durable.
    pub committed: u64,
    /// Monotonic milliseconds from the epoch's origin to the reception.
    pub elapsed_ms: u64,
    /// The wall clock, ms since 1970 UTC, at the epoch's origin as known at reception: a stepped clock changes it, an
    /// unset one is `None`.
    pub anchor_ms: Option<i64>,
    /// The records.
    pub body: Body,
}

/// What a [`Batch`] holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// No record; tells `committed` after a flush. Never journaled.
    Commit,
    /// Trades and price updates, normally those of one frame of the feed.
    Trades(Vec<Trade>),
    /// One control record.
    Control(Control),
    /// Offsets that cannot be had any more. Never journaled as such: the journal's reader makes it of what it misses.
    Lost {
        /// How many offsets.
        count: u64,
        /// Why they are gone.
        reason: GapReason,
    },
}

/// A journal record that is not a trade.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Control {
    /// The first record of each epoch.
    EpochStart(EpochStart),
    /// The feed was not, or not completely, heard.
    Gap(Gap),
    /// Time passed in silence while windows wait.
    Tick,
}

/// How an epoch joins the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EpochStart {
    /// The epoch before it in this journal, and the offset that one ended at.
    pub previous: Option<(Epoch, u64)>,
    /// Whether the feed is a simulator.
    pub simulated: bool,
}

/// A stretch of event time in which the feed was not heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// From the last frame before, in ms of event time; 0 where nothing was ever heard before.
    pub from_ms: i64,
    /// To the first frame after, in ms of event time.
    pub to_ms: i64,
    /// Why.
    pub reason: GapReason,
    /// For which symbols; empty means all.
    pub symbols: Vec<Symbol>,
}

/// Why something was not heard or is lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The gateway was not running.
    Start,
    /// The connection ended.
    Disconnect,
    /// The connection stayed open and silent.
    Stall,
    /// The feed refused the token or the connection.
    Refused,
    /// The journal's bytes were damaged and put aside.
    Quarantine,
    /// The ring had already given the space to newer records, or the journal is another one.
    LostRange,
    /// The plan's limit of subscriptions left the symbol out.
    Limit,
    /// The memory epoch's bound was reached while the disk could not be written.
    Memory,
}

impl GapReason {
    /// The reason as stores and pages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Disconnect => "disconnect",
            Self::Stall => "stall",
            Self::Refused => "refused",
            Self::Quarantine => "quarantine",
            Self::LostRange => "lost_range",
            Self::Limit => "limit",
            Self::Memory => "memory",
        }
    }
}

impl Batch {
    /// How many offsets the batch covers.
    pub fn len(&self) -> u64 {
        match &self.body {
            Body::Commit => 0,
            Body::Trades(trades) => trades.len() as u64,
            Body::Control(_) => 1,
            Body::Lost { count, .. } => *count,
        }
    }

    /// Whether the batch covers no offset.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset behind the last record.
    pub fn end_offset(&self) -> u64 {
        self.first_offset + self.len()
    }

    /// When the batch was received, in ms since 1970 UTC; `None` while the clock was not set.
    pub fn received_ms(&self) -> Option<i64> {
        received_ms(self.anchor_ms, self.elapsed_ms)
    }
}

/// Anchor plus elapsed time.
pub(crate) fn received_ms(anchor_ms: Option<i64>, elapsed_ms: u64) -> Option<i64> {
    anchor_ms?.checked_add_unsigned(elapsed_ms)
}
