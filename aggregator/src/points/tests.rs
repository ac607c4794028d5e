use tickberry_store::influx::pipeline::{PipelinePoint, Value};

use super::collect::Collector;

const GATEWAY: &str = r#"{"service":"gateway","node":"pi3","state":"online","source":"finnhub","simulated":false,
    "feed_state":"live","since_ms":1000,"message":null,"last_frame_ms":95500,"last_trade_ms":null,"epoch":7,"head":120,
    "committed":100,"durable":true,"disk_bytes_today":4096,"journal":"http://pi3/","symbols":[],
    "counted":{"frames":12,"trades":110,"price_updates":1,"rejected_elements":2,"unpublished_batches":3,
    "unmirrored_trades":4,"dropped_records":5},"health":{"at_ms":100000,"process":{"resident_bytes":6000000,
    "cpu_seconds":1.5},"host":{"temperature_celsius":51.5,"throttled":null,"disk_free_bytes":9,"disk_total_bytes":10,
    "written_bytes":null,"memory_available_bytes":11}}}"#;
const AGGREGATOR: &str = r#"{"service":"aggregator","node":"pi4","state":"online","streams":[{"source":"finnhub",
    "epoch":7,"consumed":90,"stored":80,"store":"influxdb","message":null,"counted":{"fetches":1,"store_writes":9}}],
    "health":{"at_ms":101000,"process":{"resident_bytes":null,"cpu_seconds":0.25},"host":{}}}"#;

fn field(points: &[PipelinePoint], measurement: &str, name: &str) -> Option<Value> {
    let point = points.iter().find(|point| point.measurement.name == measurement)?;
    point.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

#[test]
fn a_gateways_status_is_three_points_once() {
    let mut collector = Collector::default();
    let points = collector.hear("gateway", "pi3", GATEWAY.as_bytes(), 5_000);
    assert_eq!(points.len(), 3);
    assert!(points.iter().all(|point| point.at_ms == 100_000));
    let of = |name| field(&points, "pipeline_gateway", name);
    assert_eq!(of("feed_state"), Some(Value::Text("live".into())));
    assert_eq!(of("silent_seconds"), Some(Value::Float(4.5)));
    assert_eq!(of("durable"), Some(Value::Integer(1)));
    assert_eq!((of("frames"), of("dropped_records")), (Some(Value::Integer(12)), Some(Value::Integer(5))));
    assert_eq!(field(&points, "pipeline_host", "temperature_celsius"), Some(Value::Float(51.5)));
    assert_eq!(field(&points, "pipeline_host", "throttled"), None, "what a host does not tell is left out");
    let gateway = points.iter().find(|point| point.measurement.name == "pipeline_gateway").unwrap();
    assert_eq!(gateway.tags, ["pi3", "finnhub"]);
    assert_eq!(gateway.fields.len(), gateway.measurement.fields.len());
    assert!(collector.hear("gateway", "pi3", GATEWAY.as_bytes(), 6_000).is_empty(), "nothing new");
}

#[test]
fn an_aggregators_streams_are_set_beside_their_journal() {
    let mut collector = Collector::default();
    let alone = collector.hear("aggregator", "pi4", AGGREGATOR.as_bytes(), 1_000);
    assert!(alone.iter().all(|point| point.measurement.name != "pipeline_aggregator"), "no gateway yet");
    collector.hear("gateway", "pi3", GATEWAY.as_bytes(), 2_000);
    let again = AGGREGATOR.replace("101000", "116000");
    let points = collector.hear("aggregator", "pi4", again.as_bytes(), 17_000);
    let of = |name| field(&points, "pipeline_aggregator", name);
    assert_eq!((of("head"), of("committed")), (Some(Value::Integer(120)), Some(Value::Integer(100))));
    assert_eq!((of("stored"), of("store_writes")), (Some(Value::Integer(80)), Some(Value::Integer(9))));
    assert_eq!(of("behind_seconds"), Some(Value::Float(15.0)));
    assert_eq!(of("fetch_failures"), None);
}

#[test]
fn a_gateway_that_is_gone_is_silent_for_longer_and_longer_beside_one_that_lives() {
    let mut collector = Collector::default();
    let at = |name: &str, at_ms: i64| {
        GATEWAY
            .replace("pi3", name)
            .replace("100000", &at_ms.to_string())
            .replace("95500", &at_ms.to_string())
    };
    let mut silent = Vec::new();
    collector.up(Some(0));
    for now_ms in (100_000..=400_000).step_by(15_000) {
        collector.hear("gateway", "pi5", at("pi5", now_ms).as_bytes(), now_ms);
        if now_ms <= 115_000 {
            collector.hear("gateway", "pi3", at("pi3", now_ms).as_bytes(), now_ms);
        }
        // Its last will, and what the broker keeps: no news.
        collector.hear("gateway", "pi3", br#"{"service":"gateway","node":"pi3","state":"offline"}"#, now_ms);
        for point in collector.missed(now_ms) {
            assert_eq!((point.measurement.name, point.at_ms), ("pipeline_gateway", now_ms));
            assert_eq!(point.tags, ["pi3", "finnhub"], "the other one lives");
            silent.push(point.fields.clone());
        }
    }
    let first = vec![("silent_seconds", Value::Float(45.0))];
    let last = vec![("silent_seconds", Value::Float(285.0))];
    assert_eq!((silent.len(), silent.first(), silent.last()), (17, Some(&first), Some(&last)));
    // The broker was away: all have time to be heard again.
    collector.up(None);
    assert!(collector.missed(500_000).is_empty());
    collector.up(Some(500_000));
    assert!(collector.missed(510_000).is_empty());
    assert_eq!(collector.missed(545_000).len(), 2);
    // Taken off the shelf: its status is cleared.
    collector.hear("gateway", "pi3", b"", 545_000);
    assert_eq!(collector.missed(545_000).len(), 1);
}

#[test]
fn an_aggregator_that_is_gone_falls_behind() {
    let mut collector = Collector::default();
    collector.hear("aggregator", "pi4", AGGREGATOR.as_bytes(), 1_000);
    collector.hear("gateway", "pi3", GATEWAY.as_bytes(), 50_000);
    collector.up(Some(0));
    let points = collector.missed(90_000);
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].tags, ["pi4", "finnhub", "influxdb"]);
    assert_eq!(points[0].fields, [("behind_seconds", Value::Float(40.0))]);
}

#[test]
fn what_is_no_status_is_no_point() {
    let mut collector = Collector::default();
    for payload in ["", "{", "[]", r#"{"state":"offline"}"#, r#"{"health":{"at_ms":"x"}}"#] {
        assert!(collector.hear("gateway", "pi3", payload.as_bytes(), 1).is_empty(), "{payload}");
    }
}
