use super::*;

fn points() -> Vec<Point> {
    let point = |s: i64, close: f64, count: i64| {
        let tags = [("source", "finnhub"), ("symbol", "A")];
        Point::new("minute_trades", &tags, s * 1_000_000_000)
            .float("close", close)
            .integer("trade_count", count)
    };
    vec![point(0, 1.0, 10), point(60, 3.0, 12), point(120, 2.0, 11), point(180, 4.0, 41)]
}

fn rows(query: &str, range: Range) -> Vec<Row> {
    let series = answer(&parse(query).unwrap(), &points(), &range).unwrap();
    series.into_iter().flat_map(|series| series.rows).collect()
}

const ALL: Range = Range { from_ms: 0, to_ms: 180_000, interval_ms: 120_000, now_ms: 240_000 };

#[test]
fn steps_begin_at_multiples_and_ends_are_in() {
    let query = r#"SELECT last("close") AS "c", sum("trade_count") AS "n" FROM "minute_trades" WHERE "symbol" = 'A' AND $timeFilter GROUP BY time($__interval) fill(none)"#;
    let float = |value: f64| Some(Value::Float(value));
    assert_eq!(
        rows(query, ALL),
        [(0, vec![float(3.0), float(22.0)]), (120_000, vec![float(4.0), float(52.0)])]
    );
    assert_eq!(rows(query, Range { to_ms: 59_999, ..ALL }), [(0, vec![float(1.0), float(10.0)])]);
}

#[test]
fn a_rate_looks_back_before_the_range_and_is_never_negative() {
    let query = r#"SELECT non_negative_derivative(last("trade_count"), 1s) AS "r" FROM "minute_trades" WHERE $timeFilter GROUP BY time($__interval) fill(none)"#;
    let range = Range { from_ms: 60_000, to_ms: 180_000, interval_ms: 60_000, now_ms: 240_000 };
    assert_eq!(
        rows(query, range),
        [(60_000, vec![Some(Value::Float(2.0 / 60.0))]), (180_000, vec![Some(Value::Float(0.5))])]
    );
}

#[test]
fn the_newest_rows_and_the_selected_points() {
    let newest = r#"SELECT "close", "symbol" FROM "minute_trades" WHERE "close" < 4 AND $timeFilter ORDER BY time DESC LIMIT 1"#;
    assert_eq!(rows(newest, ALL), [(120_000, vec![Some(Value::Float(2.0)), Some(Value::Text("A".into()))])]);
    let highest = r#"SELECT max("close") AS "c" FROM "minute_trades" WHERE $timeFilter"#;
    assert_eq!(rows(highest, ALL), [(180_000, vec![Some(Value::Float(4.0))])]);
    let change = r#"SELECT (last("close") - first("close")) / first("close") * 100 AS "p" FROM "minute_trades" WHERE $timeFilter"#;
    assert_eq!(rows(change, ALL), [(0, vec![Some(Value::Float(300.0))])]);
}

#[test]
fn what_is_too_long_ago_is_left_out_whatever_the_range() {
    let query =
        r#"SELECT "close" FROM "minute_trades" WHERE time > now() - 2m AND $timeFilter ORDER BY time DESC"#;
    assert_eq!(rows(query, ALL), [(180_000, vec![Some(Value::Float(4.0))])]);
}

#[test]
fn what_is_not_understood_is_an_error() {
    for query in [
        r#"SELECT last("close") FROM "minute_trades""#,
        r#"SELECT last("close") AS "c" FROM minute_trades"#,
        r#"SELECT last("close") AS "c" FROM "m" WHERE $timeFilter GROUP BY time($__interval)"#,
        r#"SELECT last("close") AS "c" FROM "m" WHERE time > 5"#,
        r#"SELECT "a" FROM "m" WHERE time > now()"#,
        r#"SELECT "a" FROM "m" SLIMIT 1"#,
    ] {
        assert!(parse(query).is_err(), "{query}");
    }
    let unknown = parse(r#"SELECT median("close") AS "c" FROM "minute_trades""#).unwrap();
    assert!(answer(&unknown, &points(), &ALL).is_err());
}
