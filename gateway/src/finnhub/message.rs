//! What a frame of Finnhub's turns out to be.

use std::fmt;

use tickberry_wire::Trade;

/// One frame, understood as far as it can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Trades and price updates; one bad element does not cost its neighbours.
    Trades {
        /// In the frame's order; empty if none was good.
        trades: Vec<Trade>,
        /// Elements that are no trade.
        rejected: u32,
        /// The first of them: why, and how it begins.
        first_bad: Option<(String, Snippet)>,
    },
    /// The feed is alive.
    Ping,
    /// The feed complains.
    Error {
        /// In its words, cut to a bounded length.
        msg: Snippet,
    },
    /// A message of a type that is not known here.
    Unknown {
        /// The type, cut to a bounded length.
        kind: Snippet,
    },
    /// Not a message at all.
    Garbage {
        /// Why not.
        why: String,
        /// How it begins.
        start: Snippet,
    },
}

/// The beginning of foreign text, harmless to log: bounded, control characters escaped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snippet(String);

impl Snippet {
    /// Most bytes that are kept of the original.
    pub const MAX_LEN: usize = 120;

    /// The beginning of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let cut = &bytes[..bytes.len().min(Self::MAX_LEN)];
        let mut text: String = String::from_utf8_lossy(cut).chars().flat_map(printable).collect();
        if cut.len() < bytes.len() {
            text.push('…');
        }
        Self(text)
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if character.is_control() {
        (None, Some(character.escape_default()))
    } else {
        (Some(character), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_bounded_and_has_no_control_characters() {
        assert_eq!(Snippet::new(b"a\n\x1b[31m").as_str(), "a\\n\\u{1b}[31m");
        let long = Snippet::new(&[b'x'; 10_000]);
        assert_eq!(long.as_str().chars().count(), Snippet::MAX_LEN + 1);
        assert_eq!(Snippet::new(&[0xff, b'a']).as_str(), "\u{fffd}a");
    }
}
