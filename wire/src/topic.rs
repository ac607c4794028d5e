//! MQTT topics. Built and read here only.

use std::fmt::Write as _;

use crate::{Source, Symbol};

/// Every topic begins with this.
pub const ROOT: &str = "tickberry/v1";

/// A topic of the contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topic {
    /// Binary batches, written by the gateway.
    Batches(Source),
    /// One JSON object a trade or price update.
    Trades(Source, Symbol),
    /// The open minute and the last price.
    Live(Source, Symbol),
    /// Final and revised minutes.
    Minutes(Source, Symbol),
    /// A service's state: service, node.
    Status(String, String),
}

impl Topic {
    /// The topic's text.
    pub fn path(&self) -> String {
        match self {
            Self::Batches(source) => format!("{ROOT}/batches/{source}"),
            Self::Trades(source, symbol) => format!("{ROOT}/trades/{source}/{}", escape(symbol.as_str())),
            Self::Live(source, symbol) => format!("{ROOT}/live/{source}/{}", escape(symbol.as_str())),
            Self::Minutes(source, symbol) => format!("{ROOT}/minutes/{source}/{}", escape(symbol.as_str())),
            Self::Status(service, node) => format!("{ROOT}/status/{}/{}", escape(service), escape(node)),
        }
    }

    /// Reads a topic; `None` for what is not of this contract.
    pub fn parse(path: &str) -> Option<Self> {
        let mut levels = path.strip_prefix(ROOT)?.strip_prefix('/')?.split('/');
        let topic = match (levels.next()?, levels.next()?, levels.next()) {
            ("batches", source, None) => Self::Batches(Source::new(source).ok()?),
            ("trades", source, Some(symbol)) => {
                Self::Trades(Source::new(source).ok()?, unescape_symbol(symbol)?)
            }
            ("live", source, Some(symbol)) => Self::Live(Source::new(source).ok()?, unescape_symbol(symbol)?),
            ("minutes", source, Some(symbol)) => {
                Self::Minutes(Source::new(source).ok()?, unescape_symbol(symbol)?)
            }
            ("status", service, Some(node)) => Self::Status(unescape(service)?, unescape(node)?),
            _ => return None,
        };
        levels.next().is_none().then_some(topic)
    }
}

/// The filter for everything of one kind: `batches`, `trades`, `live`, `minutes` or `status`.
pub fn all(kind: &str) -> String {
    format!("{ROOT}/{kind}/#")
}

/// Whether messages on this topic are kept for later subscribers.
pub fn is_retained(path: &str) -> bool {
    let kind = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/'));
    kind.is_some_and(|kind| {
        ["live/", "minutes/", "status/"].iter().any(|retained| kind.starts_with(retained))
    })
}

/// Percent-encodes what MQTT reserves, what the encoding itself uses, and everything outside printable ASCII.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | b'/' | b'+' | b'#' | 0..=0x20 | 0x7f.. => {
                write!(out, "%{byte:02X}").expect("writing to a string does not fail");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            let hex =
                std::str::from_utf8(&hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().filter(|text| !text.is_empty())
}

fn unescape_symbol(text: &str) -> Option<Symbol> {
    Symbol::new(&unescape(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_topics() {
        let source = Source::new("finnhub").unwrap();
        let path = Topic::Trades(source.clone(), Symbol::new("BINANCE:BTCUSDT").unwrap()).path();
        assert_eq!(path, "tickberry/v1/trades/finnhub/BINANCE:BTCUSDT");
        let path = Topic::Live(source, Symbol::new("IC MARKETS:A/B+#%é").unwrap()).path();
        assert_eq!(path, "tickberry/v1/live/finnhub/IC%20MARKETS:A%2FB%2B%23%25%C3%A9");
        for wrong in [
            "tickberry/v1",
            "tickberry/v2/batches/x",
            "tickberry/v1/batches/X",
            "tickberry/v1/live/a/b/c",
            "x",
        ] {
            assert_eq!(Topic::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_symbol_comes_back(text in "\\PC{1,12}|[\\x00-\\x7f]{1,20}") {
            prop_assume!(text.len() <= Symbol::MAX_LEN);
            let topic = Topic::Minutes(Source::new("s").unwrap(), Symbol::new(&text).unwrap());
            let path = topic.path();
            prop_assert!(path.is_ascii() && !path.contains(['+', '#']) && path.matches('/').count() == 4);
            prop_assert_eq!(Topic::parse(&path), Some(topic));
        }
    }
}
