//! A readable difference between what should be stored and what is.

use super::windows::{Window, Windows};
use std::fmt::Write;

const SHOWN: usize = 12;

/// Ok when both are the same, bit for bit; else a line a difference, the first twelve of them.
pub fn same(expected: &Windows, actual: &Windows) -> Result<(), String> {
    let mut lines = Vec::new();
    for (key, want) in expected {
        match actual.get(key) {
            None => lines.push(format!("{} {}: no row; expected {} trades", key.0, key.1, want.trade_count)),
            Some(have) => columns(want, have, &mut |column, want, have| {
                lines.push(format!("{} {}: {column} is {have}, expected {want}", key.0, key.1));
            }),
        }
    }
    for (key, have) in actual.iter().filter(|(key, _)| !expected.contains_key(*key)) {
        lines.push(format!("{} {}: unexpected row of {} trades", key.0, key.1, have.trade_count));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "{} differences in {} windows expected, {} stored",
        lines.len(),
        expected.len(),
        actual.len()
    );
    for line in lines.iter().take(SHOWN) {
        let _infallible = write!(text, "\n  {line}");
    }
    Err(text)
}

fn columns(want: &Window, have: &Window, differ: &mut dyn FnMut(&str, String, String)) {
    let reals = [
        ("open", want.open, have.open),
        ("high", want.high, have.high),
        ("low", want.low, have.low),
        ("close", want.close, have.close),
        ("volume", want.volume, have.volume),
        ("vwap", want.vwap, have.vwap),
        ("avg_price", want.avg_price, have.avg_price),
    ];
    if want.trade_count != have.trade_count {
        differ("trade_count", want.trade_count.to_string(), have.trade_count.to_string());
    }
    for (name, want, have) in reals {
        if want.to_bits() != have.to_bits() {
            differ(name, format!("{want:?}"), format!("{have:?}"));
        }
    }
}
