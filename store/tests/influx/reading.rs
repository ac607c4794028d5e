//! What is asked, and how what comes is cut.

use serde_json::json;
use tickberry_store::influx::InfluxReader;
use tickberry_store::{ErrorKind, Query, StoreReader};

use crate::fake::Fake;
use crate::kit::config;

#[test]
fn questions_are_quoted_and_bounded() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let reader = InfluxReader::new(config(&fake, &folder)).unwrap();
    let query = Query { source: Some("finnhub".into()), from_ms: 5, to_ms: 6, ..Query::symbol("it's\\", 3) };
    assert!(reader.trades(&query).unwrap().is_empty());
    assert_eq!(
        fake.world().questions.pop().unwrap(),
        "SELECT \"source\", \"symbol\", \"epoch\", \"journal_offset\", \"price\", \"volume\", \"conditions\", \"received_ms\" \
         FROM \"trades\" WHERE time >= 5000000 AND time <= 5999999 AND \"source\" = 'finnhub' AND \"symbol\" = 'it\\'s%5C' \
         ORDER BY time ASC LIMIT 3"
    );
    let none = Query { from_ms: 6, to_ms: 6, ..query };
    assert!(reader.minutes(&none).unwrap().is_empty());
    assert!(fake.world().questions.is_empty(), "an empty range asks nothing");
}

#[test]
fn rows_of_the_last_time_are_asked_for_again_and_cut_in_order() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let reader = InfluxReader::new(config(&fake, &folder)).unwrap();
    // In the server's order, slot by slot; the journal's order is the other way round.
    let row = |nanos: i64, offset: i64| {
        json!([
            nanos,
            "finnhub",
            "A",
            1,
            offset,
            0.5,
            9_007_199_254_740_992.0,
            null,
            9_007_199_254_740_993_i64
        ])
    };
    fake.world().answer = Some(json!({ "series": [{ "values": [row(5_000_001, 9), row(5_000_002, 8)] }] }));
    let query = Query { from_ms: 0, to_ms: 100, ..Query::symbol("A", 2) };
    let rows = reader.trades(&query).unwrap();
    assert_eq!(rows.iter().map(|r| r.journal_offset).collect::<Vec<_>>(), [8, 9]);
    assert_eq!(
        (rows[0].time_ms, rows[0].volume, rows[0].received_ms),
        (5, 9_007_199_254_740_992.0, Some(9_007_199_254_740_993))
    );
    let last = fake.world().questions.pop().unwrap();
    assert!(last.contains("time >= 5000000 AND time <= 5999999") && !last.contains("LIMIT"), "{last}");
}

#[test]
fn a_server_that_fails_is_an_error_and_not_an_empty_answer() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    let reader = InfluxReader::new(config(&fake, &folder)).unwrap();
    fake.world().answer = Some(json!({ "error": "timeout" }));
    assert_eq!(reader.series().unwrap_err().kind(), ErrorKind::Away);
    fake.world().answer = Some(json!({ "error": "database not found: minutes" }));
    assert_eq!(reader.series().unwrap_err().kind(), ErrorKind::Refused);
    fake.world().answer = None;
    assert!(reader.series().unwrap().is_empty(), "and the next read is well again");
}
