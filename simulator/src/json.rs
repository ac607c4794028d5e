//! Finnhub's JSON, written by hand: the gateway's parser is checked against this text, so nothing of it is shared.

use std::fmt::Write as _;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::trade::{Conditions, Trade};

/// The keep-alive frame.
pub const PING: &str = r#"{"type":"ping"}"#;
/// What a subscription over the plan's limit is answered with. It does not name the symbol.
pub const TOO_MANY: &str = r#"{"msg":"Subscribing to too many symbols","type":"error"}"#;

/// How trade frames are spelled. The default is what was seen on the wire; the rest is legal JSON for the same
/// trades, so that a parser that depends on the spelling shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Style {
    /// Keys of frames and trades in random order instead of the alphabetical one.
    pub shuffle_keys: bool,
    /// Symbols with `\u00XX` escapes.
    pub escape_symbols: bool,
    /// Small numbers with an exponent (`5e-05` for `0.00005`), as Python and Go write them.
    pub exponents: bool,
    /// What stands in `c`.
    pub conditions: ConditionStyle,
}

/// What a frame says in `c`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionStyle {
    /// What the trade has.
    #[default]
    AsIs,
    /// `null` everywhere.
    Null,
    /// No `c` anywhere.
    Absent,
    /// `[]` everywhere.
    Empty,
}

/// One trade frame: `{"data":[…],"type":"trade"}`. `rng` is drawn from only if `style` shuffles.
pub fn trade_frame<'a>(
    trades: impl IntoIterator<Item = &'a Trade>,
    style: Style,
    rng: &mut Xoshiro256PlusPlus,
) -> String {
    let mut data = String::from(r#""data":["#);
    for (i, trade) in trades.into_iter().enumerate() {
        if i > 0 {
            data.push(',');
        }
        object(&mut data, &mut members(trade, style), style, rng);
    }
    data.push(']');
    let mut frame = String::with_capacity(data.len() + 20);
    object(&mut frame, &mut [data, r#""type":"trade""#.to_owned()], style, rng);
    frame
}

/// The members of a trade in alphabetical order.
pub(crate) fn members(trade: &Trade, style: Style) -> Vec<String> {
    let conditions = match style.conditions {
        ConditionStyle::AsIs => trade.conditions,
        ConditionStyle::Null => Conditions::Null,
        ConditionStyle::Absent => Conditions::Absent,
        ConditionStyle::Empty => Conditions::List(&[]),
    };
    let mut members = Vec::with_capacity(5);
    match conditions {
        Conditions::Null => members.push(r#""c":null"#.to_owned()),
        Conditions::Absent => {}
        Conditions::List(codes) => members.push(format!(r#""c":[{}]"#, quoted(codes))),
    }
    members.push(format!(r#""p":{}"#, number(&trade.price, style)));
    members.push(format!(r#""s":{}"#, symbol(&trade.symbol, style)));
    members.push(format!(r#""t":{}"#, trade.time_ms));
    members.push(format!(r#""v":{}"#, number(&trade.volume, style)));
    members
}

pub(crate) fn object(out: &mut String, members: &mut [String], style: Style, rng: &mut Xoshiro256PlusPlus) {
    if style.shuffle_keys {
        members.shuffle(rng);
    }
    out.push('{');
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(member);
    }
    out.push('}');
}

fn quoted(codes: &[&str]) -> String {
    codes.iter().map(|code| format!(r#""{code}""#)).collect::<Vec<_>>().join(",")
}

fn symbol(text: &str, style: Style) -> String {
    if !style.escape_symbols {
        return serde_json::Value::from(text).to_string();
    }
    let mut out = String::from('"');
    for unit in text.encode_utf16() {
        // Writing to a String can't fail.
        let _infallible = write!(out, "\\u{unit:04x}");
    }
    out.push('"');
    out
}

/// `0.00005` → `5e-05` where asked for and shorter; everything else as it is.
fn number(plain: &str, style: Style) -> String {
    let fraction = plain.strip_prefix("0.").filter(|_| style.exponents);
    let Some(fraction) = fraction.filter(|f| f.starts_with("0000")) else { return plain.to_owned() };
    let digits = fraction.trim_start_matches('0');
    let exponent = fraction.len() - digits.len() + 1;
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e-{exponent:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn rng() -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(1)
    }

    fn trade(price: &str, volume: &str, conditions: Conditions) -> Trade {
        let symbol = "BINANCE:BTCUSDT".into();
        Trade { symbol, time_ms: 1723161255342, price: price.into(), volume: volume.into(), conditions }
    }

    #[test]
    fn a_frame_is_spelled_as_on_the_wire() {
        let trades = [
            trade("61837.63", "0.02", Conditions::Null),
            trade("26626", "0.00009", Conditions::List(&["1", "12"])),
        ];
        assert_eq!(
            trade_frame(&trades, Style::default(), &mut rng()),
            r#"{"data":[{"c":null,"p":61837.63,"s":"BINANCE:BTCUSDT","t":1723161255342,"v":0.02},{"c":["1","12"],"p":26626,"s":"BINANCE:BTCUSDT","t":1723161255342,"v":0.00009}],"type":"trade"}"#
        );
    }

    #[test]
    fn a_strange_spelling_says_the_same() {
        let trades = [trade("61837.63", "0.00009", Conditions::Null)];
        let style = Style {
            shuffle_keys: true,
            escape_symbols: true,
            exponents: true,
            conditions: ConditionStyle::Empty,
        };
        let mut rng = rng();
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let text = trade_frame(&trades, style, &mut rng);
            let value: serde_json::Value = serde_json::from_str(&text).expect("legal JSON");
            let first = &value["data"][0];
            assert_eq!(first["s"], "BINANCE:BTCUSDT");
            assert_eq!(first["v"].as_f64(), Some(0.00009));
            assert_eq!(first["c"], serde_json::json!([]));
            assert!(text.contains("9e-05") && text.contains("\\u0042"), "{text}");
            orders.insert(text);
        }
        assert!(orders.len() > 20, "only {} orders of keys in 50 frames", orders.len());
        let absent = Style { conditions: ConditionStyle::Absent, ..Style::default() };
        assert!(!trade_frame(&trades, absent, &mut rng).contains(r#""c""#));
    }

    #[test]
    fn exponents_keep_every_digit() {
        let style = Style { exponents: true, ..Style::default() };
        for (plain, text) in [
            ("0.00001234", "1.234e-05"),
            ("0.000000015", "1.5e-08"),
            ("0.0001", "0.0001"),
            ("0", "0"),
            ("12", "12"),
        ] {
            assert_eq!(number(plain, style), text);
        }
    }
}
