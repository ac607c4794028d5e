//! The parser on frames recorded from Finnhub. Skips, and says so, where the recordings are not there.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::PathBuf;

use serde_json::value::RawValue;
use tickberry_gateway::finnhub::{Message, Parser};

#[derive(serde::Deserialize)]
struct Line {
    frame: String,
}

/// A frame as an independent reader sees it: every number as its text.
#[derive(serde::Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Vec<Element>,
}

#[derive(serde::Deserialize)]
struct Element {
    s: String,
    p: Box<RawValue>,
    t: i64,
    v: Box<RawValue>,
    c: Option<Vec<String>>,
}

fn frames() -> Option<Vec<String>> {
    let folder = std::env::var_os("TB_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join("finnhub_real_frames.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there; set TB_DATA to the folder of the recordings", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().frame).collect())
}

#[test]
fn every_number_comes_back_as_it_went_in() {
    let Some(frames) = frames() else { return };
    let mut parser = Parser::default();
    let (mut trade_frames, mut trades, mut pings, mut errors) = (0, 0, 0, 0);
    for text in &frames {
        let expected: Frame = serde_json::from_str(text).unwrap();
        match parser.parse(text.as_bytes()) {
            Message::Trades { trades: parsed, rejected: 0, first_bad: None } => {
                assert_eq!((expected.kind.as_str(), parsed.len()), ("trade", expected.data.len()));
                assert!(parser.parse_fast(text.as_bytes()).is_some(), "needs serde: {text}");
                for (parsed, expected) in parsed.iter().zip(&expected.data) {
                    assert_eq!(parsed.symbol.as_str(), expected.s);
                    assert_eq!(parsed.time_ms, expected.t);
                    assert_eq!(parsed.price.to_string(), expected.p.get());
                    assert_eq!(parsed.volume.to_string(), expected.v.get());
                    let codes = parsed.conditions.as_ref().map(|list| list.codes().collect::<Vec<_>>());
                    assert_eq!(codes, expected.c.as_ref().map(|c| c.iter().map(String::as_str).collect()));
                }
                trade_frames += 1;
                trades += parsed.len();
            }
            Message::Ping => pings += 1,
            Message::Error { msg } => {
                assert_eq!(msg.as_str(), "Subscribing to too many symbols");
                errors += 1;
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!((frames.len(), trade_frames, trades, pings, errors), (56, 52, 244, 3, 1));
}
