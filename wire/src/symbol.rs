//! Names: a symbol as the feed writes it, and the configured name of a feed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no [`Symbol`] or [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// Empty, or longer than a symbol may be.
    #[error("symbol {0:?} has {len} bytes; allowed are 1 to {max}", len = .0.len(), max = Symbol::MAX_LEN)]
    SymbolLength(String),
    /// Not a source name.
    #[error("source {0:?} is not a name of 1 to {max} characters out of a-z, 0-9, '_' and '-'", max = Source::MAX_LEN)]
    Source(String),
}

/// A traded thing, named as the feed names it: `BINANCE:BTCUSDT`, `AAPL`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// Longest symbol in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks the length; any UTF-8 is allowed (topics escape what MQTT reserves).
    ///
    /// # Errors
    /// When empty or longer than [`Symbol::MAX_LEN`].
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(SymbolError::SymbolLength(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The symbol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Symbol> for Arc<str> {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

/// A feed's configured name: `finnhub`, `simulated`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source(Arc<str>);

impl Source {
    /// Longest source name in bytes.
    pub const MAX_LEN: usize = 32;

    /// Checks the name: it becomes a topic level, a folder and a column.
    ///
    /// # Errors
    /// When it is not 1 to [`Source::MAX_LEN`] characters out of `a-z`, `0-9`, `_` and `-`.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(allowed) {
            return Err(SymbolError::Source(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = SymbolError;

            fn from_str(text: &str) -> Result<Self, SymbolError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

text_newtype!(Symbol);
text_newtype!(Source);
