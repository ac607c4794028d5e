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
fn what_is_no_status_is_no_point() {
    let mut collector = Collector::default();
    for payload in ["", "{", "[]", r#"{"state":"offline"}"#, r#"{"health":{"at_ms":"x"}}"#] {
        assert!(collector.hear("gateway", "pi3", payload.as_bytes(), 1).is_empty(), "{payload}");
    }
}
