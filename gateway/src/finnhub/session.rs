//! The life of a connection to the feed, as a plain state machine: events and the time go in, actions come out.
//!
//! Times are monotonic milliseconds. After every call the caller does the [`Action`]s in order and calls
//! [`Session::tick`] no later than [`Session::deadline`].

use tickberry_wire::json::FeedState;
use tickberry_wire::{GapReason, Symbol};

use super::Backoff;

mod limit;
#[cfg(test)]
mod tests;

use limit::Limit;

/// What a session is configured with.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// What to subscribe to, in this order.
    pub symbols: Vec<Symbol>,
    /// Without any frame for this long the connection is dead, whatever TCP says.
    pub stall_ms: u64,
    /// Without a trade for this long the feed is called quiet.
    pub quiet_ms: u64,
    /// Shortest delay before a new attempt.
    pub backoff_first_ms: u64,
    /// Longest delay before a new attempt.
    pub backoff_max_ms: u64,
    /// Frames over this long make a spell healthy: delays begin again from the shortest.
    pub healthy_ms: u64,
    /// Shortest delay when somebody else seems to use the key.
    pub surplus_ms: u64,
    /// Delay when the key is refused.
    pub refused_ms: u64,
    /// Whether there is a key.
    pub has_token: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            symbols: Vec::new(),
            stall_ms: 150_000,
            quiet_ms: 60_000,
            backoff_first_ms: 500,
            backoff_max_ms: 60_000,
            healthy_ms: 60_000,
            surplus_ms: 60_000,
            refused_ms: 300_000,
            has_token: true,
        }
    }
}

/// A second connection on the same key is closed within this time.
const SURPLUS_WITHIN_MS: u64 = 1_000;

/// What a received frame was, as far as the session cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// It held at least one good trade or price update.
    Trades,
    /// The feed says that a symbol is one too many.
    TooManySymbols,
    /// Anything else: it shows that the feed is alive.
    Other,
}

/// Why a connection did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// The server answered with this HTTP status.
    Status(u16),
    /// Anything else, in words without the key.
    Failed(String),
}

/// What the caller has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a connection; answer with `connected` or `handshake_failed`.
    Connect,
    /// Ask for these symbols.
    Subscribe(Vec<Symbol>),
    /// Drop the connection; no `closed` is expected for it.
    Close,
    /// The frame just given is the first since `lost_at`: the time between was not heard.
    Resumed {
        /// When the last frame before was received; `None` if this process has heard nothing before.
        lost_at: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// The plan's limit left these symbols out since that time (again every few minutes while it does).
    LeftOut {
        /// Which.
        symbols: Vec<Symbol>,
        /// Since when.
        since: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// No connection; the next attempt is due then.
    Down { retry_at: u64 },
    /// An attempt is under way.
    Connecting,
    /// Subscribed then.
    Up { since: u64 },
}

/// The state machine.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    link: Link,
    state: FeedState,
    since: u64,
    message: Option<String>,
    backoff: Backoff,
    surplus: Backoff,
    /// Of the connection that stands: its first frame.
    first_frame: Option<u64>,
    /// Of any connection.
    last_frame: Option<u64>,
    last_trade: Option<u64>,
    /// Set while the next frame ends a time of deafness.
    deaf: Option<GapReason>,
    limit: Limit,
}

impl Session {
    /// A session that has not connected yet; the first `tick` does.
    pub fn new(settings: SessionSettings, now: u64) -> Self {
        Self {
            backoff: Backoff::new(settings.backoff_first_ms, settings.backoff_max_ms),
            // Of its delays at least the upper half is drawn, so twice the minimum to begin with.
            surplus: Backoff::new(settings.surplus_ms * 2, settings.surplus_ms * 10),
            limit: Limit::default(),
            settings,
            link: Link::Down { retry_at: now },
            state: FeedState::Connecting,
            since: now,
            message: None,
            first_frame: None,
            last_frame: None,
            last_trade: None,
            deaf: Some(GapReason::Start),
        }
    }

    /// What the feed is doing.
    pub const fn state(&self) -> FeedState {
        self.state
    }

    /// Since when.
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// What is wrong and what to do about it, if anything is.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref().or(self.limit.message())
    }

    /// Why the feed is not heard, while it is not.
    pub const fn deaf(&self) -> Option<GapReason> {
        self.deaf
    }

    /// When the last frame of any kind was received.
    pub const fn last_frame(&self) -> Option<u64> {
        self.last_frame
    }

    /// Whether a symbol is believed to be left out by the plan's limit.
    pub fn is_left_out(&self, symbol: &Symbol) -> bool {
        self.limit.is_left_out(symbol)
    }

    /// When `tick` has to be called at the latest.
    pub fn deadline(&self) -> u64 {
        match self.link {
            Link::Down { retry_at } => retry_at,
            // The connecting side has its own time limit and reports it.
            Link::Connecting => u64::MAX,
            Link::Up { since } => {
                let stall = self.heard_since(since) + self.settings.stall_ms;
                let quiet = match (self.state, self.last_trade) {
                    (FeedState::Live, Some(trade)) => trade + self.settings.quiet_ms,
                    _ => u64::MAX,
                };
                stall.min(quiet).min(self.limit.deadline())
            }
        }
    }

    /// Time has passed. `random` from 0 to 1 spreads delays.
    pub fn tick(&mut self, now: u64, random: f64) -> Vec<Action> {
        match self.link {
            Link::Down { retry_at } if retry_at <= now => {
                self.link = Link::Connecting;
                self.enter(FeedState::Connecting, now);
                vec![Action::Connect]
            }
            Link::Up { since } => {
                let silent = now.saturating_sub(self.heard_since(since));
                if silent >= self.settings.stall_ms {
                    let mut actions = self.limit.end(now);
                    self.stalled(now, silent, random);
                    actions.push(Action::Close);
                    return actions;
                }
                if self.state == FeedState::Live
                    && self.last_trade.is_some_and(|trade| trade + self.settings.quiet_ms <= now)
                {
                    self.enter(FeedState::Quiet, now);
                }
                self.limit.tick(now, &self.settings.symbols)
            }
            _ => Vec::new(),
        }
    }

    /// The connection stands.
    pub fn connected(&mut self, now: u64) -> Vec<Action> {
        self.link = Link::Up { since: now };
        self.first_frame = None;
        self.limit.begin(now);
        self.enter(FeedState::Subscribing, now);
        // Nothing is remembered by the other side: everything is asked for each time.
        vec![Action::Subscribe(self.settings.symbols.clone())]
    }

    /// A frame was received; `symbols` are those it holds trades of.
    pub fn frame<'a>(
        &mut self,
        kind: FrameKind,
        symbols: impl Iterator<Item = &'a Symbol>,
        now: u64,
    ) -> Vec<Action> {
        if !matches!(self.link, Link::Up { .. }) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if let Some(reason) = self.deaf.take() {
            actions.push(Action::Resumed { lost_at: self.last_frame, reason });
        }
        self.first_frame.get_or_insert(now);
        self.last_frame = Some(now);
        match kind {
            FrameKind::Trades => {
                self.last_trade = Some(now);
                self.message = None;
                self.enter(FeedState::Live, now);
                actions.extend(self.limit.heard(symbols, now));
            }
            FrameKind::TooManySymbols => self.limit.complaint(now),
            FrameKind::Other => {}
        }
        if self.state == FeedState::Subscribing && kind == FrameKind::Other {
            self.message = None;
            self.enter(FeedState::Quiet, now);
        }
        actions
    }

    /// The connection ended, for this reason (in words without the key).
    pub fn closed(&mut self, why: &str, now: u64, random: f64) -> Vec<Action> {
        let Link::Up { since } = self.link else { return Vec::new() };
        let actions = self.limit.end(now);
        self.deaf_for(GapReason::Disconnect);
        if now.saturating_sub(since) < SURPLUS_WITHIN_MS {
            let message = format!("the feed closed the connection at once ({why})");
            self.is_surplus(&message, now, random);
        } else {
            self.settle_backoff();
            let delay = self.backoff.next_ms(random);
            self.wait(FeedState::BackingOff, delay, now);
            self.message = Some(format!("the feed closed the connection ({why}); trying again"));
        }
        actions
    }

    /// An attempt to connect failed.
    pub fn handshake_failed(&mut self, failure: &Handshake, now: u64, random: f64) {
        match failure {
            Handshake::Status(status @ (401 | 403)) => {
                self.deaf_for(GapReason::Refused);
                let delay =
                    self.settings.refused_ms + (self.settings.refused_ms as f64 / 10.0 * random) as u64;
                self.wait(FeedState::Refused, delay, now);
                let what = if self.settings.has_token {
                    format!("Finnhub refuses the token (HTTP {status}): put a valid one in place and restart")
                } else {
                    format!("the feed wants a token (HTTP {status}): set FINNHUB_TOKEN and restart")
                };
                let seconds = self.settings.refused_ms / 1000;
                self.message = Some(format!("{what}; trying again every {seconds} s until then"));
            }
            Handshake::Status(429) => {
                self.is_surplus("Finnhub answers \"too many connections\" (HTTP 429)", now, random);
            }
            other => {
                let delay = self.backoff.next_ms(random);
                self.wait(FeedState::BackingOff, delay, now);
                self.message = Some(match other {
                    Handshake::Status(status) => {
                        format!("Finnhub answers HTTP {status} instead of a stream; trying again")
                    }
                    Handshake::Failed(why) => format!("Finnhub cannot be reached: {why}; trying again"),
                });
            }
        }
    }

    fn stalled(&mut self, now: u64, silent: u64, random: f64) {
        self.deaf_for(GapReason::Stall);
        self.settle_backoff();
        let delay = self.backoff.next_ms(random);
        self.wait(FeedState::Stalled, delay, now);
        self.message = Some(format!(
            "nothing was heard for {} s, not even a ping, though the connection stood; connecting anew",
            silent / 1000
        ));
    }

    fn is_surplus(&mut self, what: &str, now: u64, random: f64) {
        self.deaf_for(GapReason::Refused);
        let delay = self.surplus.next_ms(random);
        self.wait(FeedState::Surplus, delay, now);
        self.message = Some(format!(
            "{what}: another process seems to use the same token, and Finnhub allows one connection a token; \
             stop the other one, or give each its own; trying again in {} s",
            delay / 1000
        ));
    }

    /// The later reason names what keeps the feed away, but the first start stays a start.
    fn deaf_for(&mut self, reason: GapReason) {
        if self.deaf != Some(GapReason::Start) {
            self.deaf = Some(reason);
        }
    }

    fn wait(&mut self, state: FeedState, delay: u64, now: u64) {
        self.link = Link::Down { retry_at: now + delay };
        self.enter(state, now);
    }

    /// Only a spell of frames makes delays short again: a server that accepts and closes is not hammered.
    fn settle_backoff(&mut self) {
        if let (Some(first), Some(last)) = (self.first_frame, self.last_frame)
            && last.saturating_sub(first) >= self.settings.healthy_ms
        {
            self.backoff.reset();
            self.surplus.reset();
        }
    }

    fn heard_since(&self, connected: u64) -> u64 {
        self.last_frame.map_or(connected, |frame| frame.max(connected))
    }

    fn enter(&mut self, state: FeedState, now: u64) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }
}
