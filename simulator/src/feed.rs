//! Where a connection's trades come from.

use std::sync::{Arc, Mutex, PoisonError};

use crate::generated::Market;
use crate::recorded::Replay;
use crate::trade::Trade;

/// What a feed wants done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send these as one frame.
    Frame(Vec<Trade>),
    /// Nothing before this wall time, ms since 1970, unless subscriptions change.
    Wait(i64),
    /// Nothing ever.
    End,
}

/// A connection's feed: its own view of the generated market, or its key's stream through the recording.
#[derive(Debug)]
pub(crate) enum Feed {
    Generated(Box<Market>),
    Recorded(Arc<Mutex<Replay>>),
}

impl Feed {
    /// The symbols a client must have subscribed to before the feed begins; empty: it begins at once.
    pub(crate) fn symbols(&self) -> Vec<Arc<str>> {
        match self {
            Feed::Generated(_) => Vec::new(),
            Feed::Recorded(replay) => lock(replay).symbols(),
        }
    }

    pub(crate) fn subscribe(&mut self, symbol: &Arc<str>, now_ms: i64) {
        if let Feed::Generated(market) = self {
            market.subscribe(symbol, now_ms);
        }
    }

    pub(crate) fn unsubscribe(&mut self, symbol: &str) {
        if let Feed::Generated(market) = self {
            market.unsubscribe(symbol);
        }
    }

    /// The connection has settled. Returns how many recorded trades its key missed.
    pub(crate) fn begin(&mut self, now_ms: i64) -> u64 {
        match self {
            Feed::Generated(_) => 0,
            Feed::Recorded(replay) => lock(replay).resume(now_ms),
        }
    }

    pub(crate) fn next(&mut self, now_ms: i64, wanted: impl Fn(&str) -> bool) -> Next {
        match self {
            Feed::Generated(market) => market.next(now_ms),
            Feed::Recorded(replay) => lock(replay).next(now_ms, wanted),
        }
    }

    pub(crate) fn leave(&mut self, now_ms: i64) {
        if let Feed::Recorded(replay) = self {
            lock(replay).leave(now_ms);
        }
    }
}

/// No code panics between lock and unlock, so a poisoned lock still guards whole data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
