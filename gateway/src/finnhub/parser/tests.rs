//! Every shape of frame, and the single pass against serde.

use proptest::prelude::*;
use tickberry_wire::{Conditions, Decimal, Symbol, Trade};

use super::Parser;
use crate::finnhub::{Message, Snippet};

fn parse(frame: &str) -> Message {
    Parser::default().parse(frame.as_bytes())
}

fn trade(symbol: &str, time_ms: i64, price: &str, volume: &str, conditions: Option<&[&str]>) -> Trade {
    Trade {
        symbol: Symbol::new(symbol).unwrap(),
        time_ms,
        price: Decimal::parse(price).unwrap(),
        volume: Decimal::parse(volume).unwrap(),
        conditions: conditions.map(|codes| Conditions::new(codes.iter().copied()).unwrap()),
    }
}

/// The trades, where all of the frame was good.
fn good(frame: &str) -> Vec<Trade> {
    match parse(frame) {
        Message::Trades { trades, rejected: 0, first_bad: None } => trades,
        other => panic!("{frame}: {other:?}"),
    }
}

/// Good trades, number of bad elements, and why the first is bad.
fn mixed(frame: &str) -> (Vec<Trade>, u32, String) {
    match parse(frame) {
        Message::Trades { trades, rejected, first_bad: Some((why, _)) } => (trades, rejected, why),
        other => panic!("{frame}: {other:?}"),
    }
}

const ONE: &str = r#"{"c":null,"p":1.5,"s":"A","t":1,"v":2}"#;

fn one() -> Trade {
    trade("A", 1, "1.5", "2", None)
}

#[test]
fn the_four_shapes_of_conditions() {
    let frame = r#"{"data":[{"c":null,"p":61837.63,"s":"BINANCE:BTCUSDT","t":1723161255123,"v":0.00012},{"p":26626,"s":"BINANCE:BTCUSDT","t":1723161255124,"v":0.5},{"c":[],"p":164.0601,"s":"AAPL","t":1680286537580,"v":5},{"c":["1","12"],"p":164.10,"s":"AAPL","t":1680286537581,"v":100}],"type":"trade"}"#;
    let expected = [
        trade("BINANCE:BTCUSDT", 1_723_161_255_123, "61837.63", "0.00012", None),
        trade("BINANCE:BTCUSDT", 1_723_161_255_124, "26626", "0.5", None),
        trade("AAPL", 1_680_286_537_580, "164.0601", "5", Some(&[])),
        trade("AAPL", 1_680_286_537_581, "164.10", "100", Some(&["1", "12"])),
    ];
    assert_eq!(good(frame), expected);
    assert!(Parser::default().parse_fast(frame.as_bytes()).is_some(), "everyday frames take the single pass");
}

#[test]
fn any_key_order_white_space_and_unknown_keys() {
    let frame = " {\r\n\t\"type\" : \"trade\" , \"seq\":12, \"x\":null, \"data\" : [ { \"v\":2, \"t\" :1, \"s\": \"A\", \"new\":\"y\", \"p\": 1.5 ,\"c\" : [ \"1\" , \"2\" ] } ] } \n";
    let expected = trade("A", 1, "1.5", "2", Some(&["1", "2"]));
    assert_eq!(good(frame), [expected]);
    assert!(Parser::default().parse_fast(frame.as_bytes()).is_some());
    assert_eq!(
        good(r#"{"data":[{"c":null,"p":1.5,"s":"A","t":1,"v":2,"deep":{"a":[1,{"b":2}]}}],"type":"trade"}"#),
        [one()]
    );
    assert_eq!(good(r#"{"data":[],"type":"trade"}"#), []);
}

#[test]
fn numbers_are_exact_however_they_are_written() {
    for (text, kept) in [
        ("5e-05", "0.00005"),
        ("1E3", "1000"),
        ("123456789012345.678", "123456789012345.678"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1.50", "1.50"),
        ("0", "0"),
        ("-37.63", "-37.63"),
    ] {
        let frame = format!(r#"{{"data":[{{"p":{text},"s":"A","t":1,"v":1}}],"type":"trade"}}"#);
        assert_eq!(good(&frame)[0].price.to_string(), kept);
    }
    let late = r#"{"data":[{"p":1,"s":"A","t":1.723161255123e12,"v":0}],"type":"trade"}"#;
    assert_eq!(good(late)[0].time_ms, 1_723_161_255_123);
    assert!(good(late)[0].is_price_update());
}

#[test]
fn escapes_are_understood() {
    let frame = r#"{"data":[{"\u0070":1.5,"s":"\u0041","t":1,"v":2,"c":["\"]"]}],"t\u0079pe":"trade"}"#;
    assert_eq!(good(frame), [trade("A", 1, "1.5", "2", Some(&["\"]"]))]);
    assert_eq!(
        good(r#"{"data":[{"p":1.5,"s":"Ä:Ö","t":1,"v":2}],"type":"trade"}"#)[0].symbol.as_str(),
        "Ä:Ö"
    );
    assert_eq!(
        good(r#"{"data":[{"p":1,"s":"A","t":1,"v":2,"c":[1,"2"]}],"type":"trade"}"#)[0].conditions,
        Conditions::new(["1", "2"])
    );
}

#[test]
fn one_bad_element_does_not_cost_its_neighbours() {
    let long = "x".repeat(65);
    let long_symbol = format!(r#"{{"p":1,"s":"{long}","t":1,"v":1}}"#);
    let many = format!(r#"{{"p":1,"s":"A","t":1,"v":1,"c":[{}]}}"#, vec!["\"1\""; 33].join(","));
    for (bad, why) in [
        (r#"{"p":1,"s":"A","t":1}"#, "missing field `v`"),
        (r#"{"p":1,"p":2,"s":"A","t":1,"v":1}"#, "duplicate field `p`"),
        (r#"{"p":null,"s":"A","t":1,"v":1}"#, "\"p\": not a JSON number"),
        (r#"{"p":"1","s":"A","t":1,"v":1}"#, "\"p\": not a JSON number"),
        (r#"{"p":1234567890123456789,"s":"A","t":1,"v":1}"#, "more than 18 significant digits"),
        (r#"{"p":1e-40,"s":"A","t":1,"v":1}"#, "more than 30 decimals"),
        (r#"{"p":1,"s":"A","t":1.5,"v":1}"#, "\"t\" is 1.5"),
        (r#"{"p":1,"s":"A","t":1,"v":-1}"#, "\"v\" is -1"),
        (r#"{"p":1,"s":"","t":1,"v":1}"#, "\"s\" has 0 bytes"),
        (&long_symbol, "\"s\" has 65 bytes"),
        (r#"{"p":1,"s":7,"t":1,"v":1}"#, "invalid type"),
        (r#"{"p":1,"s":"A","t":1,"v":1,"c":{}}"#, "invalid type"),
        (r#"{"p":1,"s":"A","t":1,"v":1,"c":[null]}"#, "neither text nor number"),
        (&many, "\"c\" is too long"),
        ("null", "invalid type"),
        ("[]", "invalid length"),
        // Not JSON: the frame is taken apart by its brackets.
        (r#"{"p":NaN,"s":"A","t":1,"v":1}"#, "expected value"),
        (r#"{"p":01,"s":"A","t":1,"v":1}"#, "invalid number"),
        (r#"{"p":1.,"s":"A","t":1,"v":1}"#, "invalid number"),
        (r#"{"p":1 "s":"A","t":1,"v":1}"#, "expected `,`"),
    ] {
        let (trades, rejected, reason) = mixed(&format!(r#"{{"data":[{ONE},{bad},{ONE}],"type":"trade"}}"#));
        assert_eq!((trades.len(), rejected), (2, 1), "{bad}");
        assert!(reason.contains(why), "{bad}: {reason}");
    }
}

#[test]
fn the_first_bad_element_is_shown() {
    let frame = format!(r#"{{"data":[{{"p":1}},{ONE},{{"p":2}}],"type":"trade"}}"#);
    let Message::Trades { rejected: 2, first_bad: Some((_, snippet)), .. } = parse(&frame) else { panic!() };
    assert_eq!(snippet, Snippet::new(br#"{"p":1}"#));
}

#[test]
fn other_messages() {
    assert_eq!(parse(r#"{"type":"ping"}"#), Message::Ping);
    let text = Snippet::new(b"Subscribing to too many symbols");
    assert_eq!(
        parse(r#"{"msg":"Subscribing to too many symbols","type":"error"}"#),
        Message::Error { msg: text }
    );
    assert_eq!(
        parse(r#"{"type":"error","msg":5}"#),
        Message::Error { msg: Snippet::new(br#"{"type":"error","msg":5}"#) }
    );
    assert_eq!(
        parse(r#"{"data":[{"category":"x"}],"type":"news"}"#),
        Message::Unknown { kind: Snippet::new(b"news") }
    );
}

#[test]
fn garbage_is_named_and_bounded() {
    let torn = format!(r#"{{"data":[{ONE},{ONE},{{"c":null,"p":1."#);
    let twice = format!(r#"{{"data":[{ONE}],"data":[],"type":"trade"}}"#);
    let large = "x".repeat(10_000_000);
    let deep = "[".repeat(100_000);
    for (frame, reason) in [
        ("", "EOF"),
        ("hello", "expected value"),
        ("[1,2]", "invalid"),
        ("null", "invalid type"),
        (r#"{"data":[]}"#, "missing field `type`"),
        (r#"{"type":"trade"}"#, "without \"data\""),
        (r#"{"type":"trade","data":null}"#, "without \"data\""),
        (r#"{"type":"trade","data":{}}"#, "not a list"),
        (r#"{"type":7}"#, "invalid type"),
        (&torn, "line 1 column 103"),
        (&twice, "duplicate field"),
        (&large, "expected value"),
        (&deep, "invalid type"),
        ("{\"type\":\"ping\"}\0", "trailing"),
    ] {
        match parse(frame) {
            Message::Garbage { why, start } => {
                let shown = &frame[..frame.len().min(60)];
                assert!(why.contains(reason), "{shown}: {why}");
                assert!(start.as_str().len() <= Snippet::MAX_LEN + 3);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Parser::default().parse(&[0xff; 20]), Message::Garbage { .. }));
}

#[test]
fn the_caches_are_bounded_and_never_mix_names() {
    let mut parser = Parser::default();
    for round in 0..2 {
        for number in 0..5_000 {
            let (symbol, code) = (format!("BINANCE:S{number}USDT"), format!("{number}"));
            let frame = format!(
                r#"{{"data":[{{"c":["{code}"],"p":1,"s":"{symbol}","t":{round},"v":1}}],"type":"trade"}}"#
            );
            let trades = parser.parse_fast(frame.as_bytes()).unwrap();
            assert_eq!(trades, [trade(&symbol, round, "1", "1", Some(&[&code]))]);
        }
    }
}

/// The texts that a value may have, good and bad.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0u64..1_000_000_000, 0u32..9).prop_map(|(n, d)| format!("{n}.{:0width$}", n % 97, width = d as usize + 1)),
        4 => (0i64..2_000_000_000_000).prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|f| format!("{f:?}")),
        1 => any::<f64>().prop_map(|f| format!("{f:e}")),
        1 => "-?[0-9]{1,20}(\\.[0-9]{0,12})?([eE][+-]?[0-9]{1,2})?",
        2 => "\"[A-Z:0-9]{1,12}\"",
        1 => "\"[ -~]{0,6}\"".prop_map(|text| text),
        1 => prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("[]".to_owned()), Just("{}".to_owned())],
        1 => prop::collection::vec("\"[0-9A-Z]{0,3}\"", 0..4).prop_map(|codes| format!("[{}]", codes.join(" ,"))),
    ]
}

fn element() -> impl Strategy<Value = String> {
    let regular = (
        1u32..99_999_999,
        0i64..2_000_000_000_000,
        1u32..99_999,
        prop_oneof![Just("null"), Just("[]"), Just("[\"1\",\"8\"]")],
    )
        .prop_map(|(p, t, v, c)| {
            format!(
                r#"{{"c":{c},"p":{}.{:02},"s":"BINANCE:BTCUSDT","t":{t},"v":0.{v:05}}}"#,
                p / 100,
                p % 100
            )
        });
    let strange = prop::collection::vec(("[pstvcx]", value(), "[ ]{0,1}"), 3..8).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(key, value, space)| format!("\"{key}\"{space}:{space}{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    prop_oneof![3 => regular, 1 => strange]
}

fn whole() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(element(), 0..5)
        .prop_map(|elements| format!(r#"{{"data":[{}],"type":"trade"}}"#, elements.join(",")).into_bytes())
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let spoiled = (whole(), prop::collection::vec(change, 1..3)).prop_map(|(mut frame, changes)| {
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame
    });
    prop_oneof![whole(), spoiled]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever the single pass accepts, serde reads the same.
    #[test]
    fn the_single_pass_agrees_with_serde(frame in frame()) {
        let mut parser = Parser::default();
        if let Some(trades) = parser.parse_fast(&frame) {
            prop_assert_eq!(parser.parse_slow(&frame), Message::Trades { trades, rejected: 0, first_bad: None });
        }
    }

    #[test]
    fn no_bytes_make_it_panic(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Parser::default().parse(&frame);
    }

    #[test]
    fn no_brackets_make_it_panic(frame in r#"[\[\]{}",:\\a1n .-]{0,40}"#) {
        let _ = Parser::default().parse(frame.as_bytes());
    }
}
