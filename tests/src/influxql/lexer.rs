//! Words of a query.

use anyhow::{Context, Result, bail};

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `SELECT`, `last`, `$timeFilter`; as written.
    Word(String),
    /// `"close"`.
    Name(String),
    /// `'BINANCE:BTCUSDT'`.
    Text(String),
    /// `0.5`.
    Number(f64),
    /// `1s`, in ns.
    Duration(i64),
    /// `(`, `<=`, `..` …
    Sign(String),
}

/// Splits a query into its words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut rest = text.trim_start();
    let mut all = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first)?,
            '0'..='9' => number(rest)?,
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => {
                let long = ["..", "<=", ">=", "!="].iter().find(|sign| rest.starts_with(**sign));
                let length = long.map_or(first.len_utf8(), |sign| sign.len());
                (Token::Sign(rest[..length].to_owned()), length)
            }
        };
        all.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(all)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize)> {
    let inner = rest[1..].find(quote).with_context(|| format!("{rest:?}: the quote does not end"))?;
    let text = rest[1..=inner].to_owned();
    if text.contains('\\') {
        bail!("{text:?}: escapes are not understood here");
    }
    Ok((if quote == '"' { Token::Name(text) } else { Token::Text(text) }, inner + 2))
}

fn number(rest: &str) -> Result<(Token, usize)> {
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let value: f64 = rest[..digits].parse()?;
    let unit = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len() - digits);
    let factor = match &rest[digits..digits + unit] {
        "" => return Ok((Token::Number(value), digits)),
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        other => bail!("{other:?}: no unit of time that is understood here"),
    };
    Ok((Token::Duration((value * factor) as i64), digits + unit))
}
