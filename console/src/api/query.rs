//! The query strings of the read API, parsed into proof.
//!
//! Each refusal names the parameter, its value and what would be allowed, because the person who
//! reads it is holding a URL, not this source.

use jiff::Timestamp;

use super::record::Format;

/// Largest `limit`: such an answer is made in memory, on a Pi. Without a limit it is streamed.
pub const MAX_LIMIT: usize = 50_000;

/// What `/api/v1/minutes`, `trades` and `gaps` are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// Only this symbol.
    pub(crate) symbol: String,
    /// Only this source; all of them when absent.
    pub(crate) source: Option<String>,
    /// Rows from this time on (inclusive). Absent with a limit: the newest rows.
    pub(crate) from_ms: Option<i64>,
    /// Rows before this time (exclusive).
    pub(crate) to_ms: Option<i64>,
    /// Most rows to answer with; all of the range when absent.
    pub(crate) limit: Option<usize>,
    /// JSON or CSV.
    pub(crate) format: Format,
}

/// A parameter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{parameter}`{}; allowed: {allowed}", given(.value))]
pub(crate) struct BadParameter {
    /// Its name, as given.
    pub(crate) parameter: String,
    /// Its value; `None` when it is missing.
    pub(crate) value: Option<String>,
    /// What would have been taken.
    pub(crate) allowed: &'static str,
}

fn given(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| " is missing".into(), |value| format!(" is `{value}`"))
}

const KEYS: &str = "`symbol`, `source`, `from`, `to`, `limit`, `format`";
const TIME: &str =
    "milliseconds since 1970 (1764583200000) or RFC 3339 (2025-12-01T10:00:00Z; write + as %2B)";

/// Parses decoded `key=value` pairs. Unknown and repeated keys are refused: a typo in `from` must not
/// silently answer with other rows.
pub(crate) fn parse(pairs: &[(String, String)]) -> Result<Query, BadParameter> {
    let mut seen: Vec<&str> = Vec::new();
    let mut query = Query {
        symbol: String::new(),
        source: None,
        from_ms: None,
        to_ms: None,
        limit: None,
        format: Format::Json,
    };
    for (key, value) in pairs {
        let bad = |allowed| BadParameter { parameter: clip(key), value: Some(clip(value)), allowed };
        if seen.contains(&key.as_str()) {
            return Err(bad("each parameter once"));
        }
        match key.as_str() {
            "symbol" if (1..=64).contains(&value.len()) => query.symbol.clone_from(value),
            "symbol" => return Err(bad("1 to 64 bytes, such as AAPL or BINANCE:BTCUSDT")),
            "source" if is_source(value) => query.source = Some(value.clone()),
            "source" => return Err(bad("1 to 32 of a-z 0-9 _ -, such as finnhub")),
            "from" => query.from_ms = Some(time(value).ok_or_else(|| bad(TIME))?),
            "to" => query.to_ms = Some(time(value).ok_or_else(|| bad(TIME))?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                query.limit = Some(limit.ok_or_else(|| bad("a whole number from 1 to 50000"))?);
            }
            "format" => {
                query.format = match value.as_str() {
                    "json" => Format::Json,
                    "csv" => Format::Csv,
                    _ => return Err(bad("`json` or `csv`")),
                };
            }
            _ => return Err(bad(KEYS)),
        }
        seen.push(key);
    }
    if query.symbol.is_empty() {
        let allowed = "1 to 64 bytes, such as AAPL or BINANCE:BTCUSDT";
        return Err(BadParameter { parameter: "symbol".into(), value: None, allowed });
    }
    if let (Some(from), Some(to)) = (query.from_ms, query.to_ms)
        && from > to
    {
        let allowed = "a time not after `to`";
        return Err(BadParameter { parameter: "from".into(), value: Some(from.to_string()), allowed });
    }
    Ok(query)
}

/// Whether this can be the name of a source.
pub(crate) fn is_source(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn time(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    // An unescaped `+01:00` arrives with a space in the place of its sign.
    let parsed = text.parse::<Timestamp>().or_else(|_| text.replace(' ', "+").parse::<Timestamp>());
    parsed.ok().map(Timestamp::as_millisecond)
}

/// What is echoed back is bounded, whatever was sent.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        text.split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn takes_what_is_documented() {
        let query =
            parse(&pairs("symbol=AAPL&source=finnhub&from=1000&to=1970-01-01T00:00:02Z&limit=5&format=csv"));
        let expected = Query {
            symbol: "AAPL".into(),
            source: Some("finnhub".into()),
            from_ms: Some(1000),
            to_ms: Some(2000),
            limit: Some(5),
            format: Format::Csv,
        };
        assert_eq!(query, Ok(expected));
    }

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        for (text, ms) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("2026-11-23T10:00:00Z", Some(1_795_428_000_000)),
            ("2026-11-23T11:00:00+01:00", Some(1_795_428_000_000)),
            ("2026-11-23T11:00:00 01:00", Some(1_795_428_000_000)),
            ("yesterday", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(time(text), ms, "{text}");
        }
    }

    #[test]
    fn refusals_name_parameter_value_and_what_is_allowed() {
        for (query, message) in [
            ("", "parameter `symbol` is missing; allowed: 1 to 64 bytes"),
            ("symbol=", "parameter `symbol` is ``; allowed: 1 to 64 bytes"),
            ("symbol=A&limit=0", "parameter `limit` is `0`; allowed: a whole number from 1 to 50000"),
            ("symbol=A&limit=50001", "parameter `limit` is `50001`; allowed"),
            ("symbol=A&format=xml", "parameter `format` is `xml`; allowed: `json` or `csv`"),
            ("symbol=A&from=noon", "parameter `from` is `noon`; allowed: milliseconds"),
            ("symbol=A&form=1", "parameter `form` is `1`; allowed: `symbol`, `source`, `from`"),
            ("symbol=A&symbol=B", "parameter `symbol` is `B`; allowed: each parameter once"),
            ("symbol=A&source=UPPER", "parameter `source` is `UPPER`; allowed: 1 to 32"),
            ("symbol=A&from=9&to=8", "parameter `from` is `9`; allowed: a time not after `to`"),
        ] {
            let error = parse(&pairs(query)).expect_err(query).to_string();
            assert!(error.starts_with(message), "{query}: {error}");
        }
    }
}
