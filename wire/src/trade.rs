//! One trade as the feed reports it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Decimal, Symbol};

/// One execution, or, with volume zero, a price update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trade {
    /// What was traded.
    pub symbol: Symbol,
    /// When, in milliseconds since 1970 UTC, by the exchange's clock.
    pub time_ms: i64,
    /// At which price.
    pub price: Decimal,
    /// How much of it.
    pub volume: Decimal,
    /// The feed's trade conditions; `None` where it sent none (absent or `null`), which is not the same as an empty list.
    pub conditions: Option<Conditions>,
}

impl Trade {
    /// Finnhub's "trade" with volume 0: it moves the last price and counts in no window.
    pub const fn is_price_update(&self) -> bool {
        self.volume.is_zero()
    }
}

/// First plausible trade time: 2000-01-01 UTC.
pub const PLAUSIBLE_FROM_MS: i64 = 946_684_800_000;
/// End of the plausible trade times: 2200-01-01 UTC.
pub const PLAUSIBLE_TO_MS: i64 = 7_258_118_400_000;

/// Whether a trade's time may open a window. Others are stored and counted as implausible.
pub const fn is_plausible_time(time_ms: i64) -> bool {
    PLAUSIBLE_FROM_MS <= time_ms && time_ms < PLAUSIBLE_TO_MS
}

/// A trade's list of conditions, as codes of the feed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Arc<[Box<str>]>);

impl Conditions {
    /// Most conditions one trade may carry.
    pub const MAX_COUNT: usize = 32;
    /// Longest condition in bytes.
    pub const MAX_LEN: usize = 32;

    /// The list, or `None` when it is longer, or holds a longer text, than the limits above.
    pub fn new<'a>(codes: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let codes: Arc<[Box<str>]> = codes.into_iter().map(Box::from).collect();
        let fits = codes.len() <= Self::MAX_COUNT && codes.iter().all(|code| code.len() <= Self::MAX_LEN);
        fits.then_some(Self(codes))
    }

    /// The codes in the order they were sent.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}
