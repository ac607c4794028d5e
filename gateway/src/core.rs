//! The pure parts together: a frame goes in at the top, batches to publish and things to do about the connection
//! come out.

use tickberry_wire::json::FeedState;
use tickberry_wire::{GapReason, Symbol, Trade};

use crate::finnhub::{
    Action, Copies, Endpoint, FrameKind, Handshake, Message, Parser, Session, SessionSettings, Snippet,
};
use crate::metrics::Metrics;
use crate::recorder::{Moment, Recorder};
use crate::symbols::SymbolBook;

#[cfg(test)]
mod tests;

/// What has to be done about the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Open one.
    Connect,
    /// Ask for these symbols on it.
    Subscribe(Vec<Symbol>),
    /// Drop it.
    Close,
}

/// Strange input is logged once a kind; after that it is only counted.
#[derive(Debug, Default)]
struct Logged {
    element: bool,
    garbage: bool,
    unknown: bool,
    errors: Vec<Snippet>,
}

/// Different error texts that are logged.
const MAX_ERRORS_LOGGED: usize = 16;

/// Parser, session, recorder and symbols.
pub struct Core {
    parser: Parser,
    session: Session,
    recorder: Recorder,
    symbols: SymbolBook,
    copies: Copies,
    metrics: Metrics,
    /// Takes the token out of foreign text before it is logged.
    endpoint: Endpoint,
    logged: Logged,
    said: Option<(FeedState, Option<String>)>,
}

impl Core {
    pub(crate) fn new(
        settings: SessionSettings,
        endpoint: Endpoint,
        recorder: Recorder,
        metrics: Metrics,
        now: Moment,
    ) -> Self {
        Self {
            parser: Parser::default(),
            symbols: SymbolBook::new(&settings.symbols),
            session: Session::new(settings, now.mono_ms),
            recorder,
            copies: Copies::default(),
            metrics,
            endpoint,
            logged: Logged::default(),
            said: None,
        }
    }

    /// The connection's life.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The journal's front.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// The symbols.
    pub fn symbols(&self) -> &SymbolBook {
        &self.symbols
    }

    /// Time has passed; call at [`Session::deadline`].
    pub fn tick(&mut self, now: Moment, random: f64) -> Vec<Command> {
        let actions = self.session.tick(now.mono_ms, random);
        self.act(actions, now)
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Moment) -> Vec<Command> {
        self.metrics.connections.inc();
        let actions = self.session.connected(now.mono_ms);
        self.act(actions, now)
    }

    /// No connection came about.
    pub fn handshake_failed(&mut self, failure: &Handshake, now: Moment, random: f64) {
        self.metrics.failed_attempts.inc();
        self.session.handshake_failed(failure, now.mono_ms, random);
        self.act(Vec::new(), now);
    }

    /// The connection ended.
    pub fn closed(&mut self, why: &str, now: Moment, random: f64) {
        let actions = self.session.closed(why, now.mono_ms, random);
        self.act(actions, now);
    }

    /// A frame was received.
    pub fn frame(&mut self, frame: &[u8], now: Moment) -> Vec<Command> {
        let (actions, alive) = match self.parser.parse(frame) {
            Message::Trades { trades, rejected, first_bad } => {
                if let Some((why, element)) = first_bad {
                    self.rejected(rejected, &why, &element);
                }
                let kind = if trades.is_empty() { FrameKind::Other } else { FrameKind::Trades };
                let alive = trades.is_empty();
                self.count(&trades, now);
                let symbols = trades.iter().map(|trade| &trade.symbol);
                let actions = self.session.frame(kind, symbols, now.mono_ms);
                self.recorder.trades(trades, now);
                (actions, alive)
            }
            other => {
                let kind = self.note(&other);
                (self.session.frame(kind, std::iter::empty(), now.mono_ms), true)
            }
        };
        if alive && actions.iter().any(|action| matches!(action, Action::Resumed { .. })) {
            self.recorder.alive(now);
        }
        self.act(actions, now)
    }

    /// Counts and, the first time, logs what is no trade frame.
    fn note(&mut self, message: &Message) -> FrameKind {
        let Logged { garbage, unknown, errors, .. } = &mut self.logged;
        match message {
            Message::Trades { .. } => {}
            Message::Ping => self.metrics.frames("ping"),
            Message::Error { msg } => {
                self.metrics.frames("error");
                if errors.len() < MAX_ERRORS_LOGGED && !errors.contains(msg) {
                    tracing::warn!(
                        msg = self.endpoint.scrub(msg.as_str()),
                        "Finnhub sent an error; the same one is only counted from now on"
                    );
                    errors.push(msg.clone());
                }
                if msg.as_str().to_ascii_lowercase().contains("too many symbols") {
                    return FrameKind::TooManySymbols;
                }
            }
            Message::Unknown { kind } => {
                self.metrics.frames("unknown");
                if !std::mem::replace(unknown, true) {
                    tracing::warn!(
                        kind = self.endpoint.scrub(kind.as_str()),
                        "Finnhub sent a message of an unknown type; such are only counted from now on"
                    );
                }
            }
            Message::Garbage { why, start } => {
                self.metrics.frames("garbage");
                if !std::mem::replace(garbage, true) {
                    tracing::warn!(%why, start = self.endpoint.scrub(start.as_str()), "a frame is no message of Finnhub's; such are only counted from now on");
                }
            }
        }
        FrameKind::Other
    }

    fn rejected(&mut self, count: u32, why: &str, element: &Snippet) {
        self.metrics.rejected_elements.inc_by(u64::from(count));
        if !std::mem::replace(&mut self.logged.element, true) {
            tracing::warn!(%why, element = self.endpoint.scrub(element.as_str()), "an element of a trade frame is no trade; such are only counted from now on");
        }
    }

    fn count(&mut self, trades: &[Trade], now: Moment) {
        self.metrics.frames("trade");
        if trades.is_empty() {
            return;
        }
        let updates = trades.iter().filter(|trade| trade.is_price_update()).count() as u64;
        self.metrics.trades.inc_by(trades.len() as u64 - updates);
        self.metrics.price_updates.inc_by(updates);
        self.symbols.hear(trades, now.mono_ms);
        if self.copies.is_copy(trades, now.mono_ms) {
            self.metrics.suspected_copies.inc_by(trades.len() as u64);
        }
    }

    /// Sorts actions: the recorder's are done, the connection's are handed on.
    fn act(&mut self, actions: Vec<Action>, now: Moment) -> Vec<Command> {
        let mut commands = Vec::new();
        for action in actions {
            match action {
                Action::Connect => commands.push(Command::Connect),
                Action::Subscribe(symbols) => commands.push(Command::Subscribe(symbols)),
                Action::Close => commands.push(Command::Close),
                Action::Resumed { lost_at, reason } => resumed(lost_at, reason, now),
                Action::LeftOut { symbols, since } => self.recorder.left_out(&symbols, since, now),
            }
        }
        if let Some(reason) = self.session.deaf() {
            self.recorder.lost(self.session.last_frame(), reason);
        }
        self.say();
        commands
    }

    /// Logs a change of state.
    fn say(&mut self) {
        let (state, message) = (self.session.state(), self.session.message());
        if self.said.as_ref().is_some_and(|(said, what)| *said == state && what.as_deref() == message) {
            return;
        }
        match (state, message) {
            (FeedState::Connecting | FeedState::Subscribing, _) => tracing::debug!(?state, "feed"),
            (_, Some(message)) => tracing::warn!(?state, "feed: {message}"),
            (_, None) => tracing::info!(?state, "feed"),
        }
        self.said = Some((state, message.map(str::to_owned)));
    }
}

fn resumed(lost_at: Option<u64>, reason: GapReason, now: Moment) {
    match lost_at {
        Some(lost_at) => {
            let seconds = now.mono_ms.saturating_sub(lost_at) as f64 / 1000.0;
            tracing::info!(reason = reason.as_str(), seconds, "the feed is heard again; the gap is recorded");
        }
        None => tracing::info!("the feed is heard"),
    }
}
