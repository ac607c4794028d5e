//! Frames to [`Message`]s: a single pass over the bytes for what Finnhub sends day in, day out, and serde for whatever
//! looks different. Both give the same trades; a property test holds them to it.

mod fast;
mod intern;
mod salvage;
mod slow;
mod swar;
#[cfg(test)]
mod tests;

use intern::Interner;

use super::Message;

/// Reads frames. Keeps the symbols and condition lists it has met, so that a trade costs no allocation.
#[derive(Default)]
pub struct Parser {
    interner: Interner,
}

impl Parser {
    /// What the frame says. Never fails and never panics: what is no message is [`Message::Garbage`].
    pub fn parse(&mut self, frame: &[u8]) -> Message {
        match fast::trades(frame, &mut self.interner) {
            Some(trades) => Message::Trades { trades, rejected: 0, first_bad: None },
            None => slow::message(frame, &mut self.interner),
        }
    }

    /// Only the single pass: `None` for what it leaves to serde. For tests and benchmarks.
    #[doc(hidden)]
    pub fn parse_fast(&mut self, frame: &[u8]) -> Option<Vec<tickberry_wire::Trade>> {
        fast::trades(frame, &mut self.interner)
    }

    /// Only serde. For tests and benchmarks.
    #[doc(hidden)]
    pub fn parse_slow(&mut self, frame: &[u8]) -> Message {
        slow::message(frame, &mut self.interner)
    }
}
