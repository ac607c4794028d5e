//! Whatever the single pass leaves: serde_json decides what the frame is, numbers stay text until they are decimals.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tickberry_wire::{Conditions, Decimal, Trade};

use super::intern::Interner;
use super::salvage;
use crate::finnhub::{Message, Snippet};

/// A frame, its elements still text.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
}

/// A trade, its numbers still text.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    p: &'a RawValue,
    #[serde(borrow)]
    t: &'a RawValue,
    #[serde(borrow)]
    v: &'a RawValue,
    #[serde(borrow)]
    c: Option<Vec<&'a RawValue>>,
}

pub(super) fn message(bytes: &[u8], interner: &mut Interner) -> Message {
    let frame: Frame<'_> = match serde_json::from_slice(bytes) {
        Ok(frame) => frame,
        // Not JSON as a whole. If it is a trade frame with one bad token, its other elements are still good.
        Err(error) => match salvage::elements(bytes) {
            Some(elements) => return trades(elements.into_iter(), interner),
            None => return garbage(error.to_string(), bytes),
        },
    };
    match (frame.kind.as_ref(), frame.data, frame.msg) {
        ("trade", Some(data), _) => match serde_json::from_str::<Vec<&RawValue>>(data.get()) {
            Ok(elements) => trades(elements.into_iter().map(|element| element.get().as_bytes()), interner),
            Err(_) => garbage("\"data\" of a trade frame is not a list".to_owned(), bytes),
        },
        ("trade", None, _) => garbage("a trade frame without \"data\"".to_owned(), bytes),
        ("ping", ..) => Message::Ping,
        ("error", _, msg) => Message::Error { msg: error_text(msg, bytes) },
        (kind, ..) => Message::Unknown { kind: Snippet::new(kind.as_bytes()) },
    }
}

/// The feed's own words, or the whole frame if they are not a text.
fn error_text(msg: Option<&RawValue>, frame: &[u8]) -> Snippet {
    match msg.map(|msg| serde_json::from_str::<Cow<'_, str>>(msg.get())) {
        Some(Ok(text)) => Snippet::new(text.as_bytes()),
        _ => Snippet::new(frame),
    }
}

fn garbage(why: String, bytes: &[u8]) -> Message {
    Message::Garbage { why, start: Snippet::new(bytes) }
}

fn trades<'a>(elements: impl Iterator<Item = &'a [u8]>, interner: &mut Interner) -> Message {
    let (mut trades, mut rejected, mut first_bad) = (Vec::new(), 0u32, None);
    for element in elements {
        match trade(element, interner) {
            Ok(trade) => trades.push(trade),
            Err(why) => {
                rejected = rejected.saturating_add(1);
                first_bad.get_or_insert_with(|| (why, Snippet::new(element)));
            }
        }
    }
    Message::Trades { trades, rejected, first_bad }
}

fn trade(json: &[u8], interner: &mut Interner) -> Result<Trade, String> {
    let element: Element<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let symbol = interner
        .symbol(element.s.as_bytes())
        .ok_or_else(|| format!("\"s\" has {} bytes, a symbol has 1 to 64", element.s.len()))?;
    let time = number("t", element.t)?.normalized();
    if time.scale() != 0 {
        return Err(format!("\"t\" is {time}, not a whole number of milliseconds"));
    }
    let volume = number("v", element.v)?;
    if volume.mantissa() < 0 {
        return Err(format!("\"v\" is {volume}, less than nothing"));
    }
    let conditions = element.c.map(|codes| conditions(&codes)).transpose()?;
    Ok(Trade { symbol, time_ms: time.mantissa(), price: number("p", element.p)?, volume, conditions })
}

fn number(key: &str, raw: &RawValue) -> Result<Decimal, String> {
    Decimal::parse(raw.get()).map_err(|error| format!("\"{key}\": {error}"))
}

/// Codes are strings; should they one day be numbers, a number's text is as good.
fn conditions(codes: &[&RawValue]) -> Result<Conditions, String> {
    let codes = codes.iter().map(|code| match code.get().as_bytes() {
        [b'"', ..] => serde_json::from_str::<Cow<'_, str>>(code.get()).map_err(|error| error.to_string()),
        [b'-' | b'0'..=b'9', ..] => Ok(Cow::Borrowed(code.get())),
        _ => Err("\"c\" holds something that is neither text nor number".to_owned()),
    });
    let codes = codes.collect::<Result<Vec<_>, _>>()?;
    Conditions::new(codes.iter().map(AsRef::as_ref)).ok_or_else(|| "\"c\" is too long".to_owned())
}
