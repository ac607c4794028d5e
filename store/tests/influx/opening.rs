//! What a server has to be before anything is written there.

use std::sync::Arc;

use tickberry_store::influx::{InfluxConfig, InfluxWriter, look};
use tickberry_store::{ErrorKind, StoreError};

use crate::fake::Fake;
use crate::kit::config;

fn refused(config: InfluxConfig) -> StoreError {
    let error = InfluxWriter::open(config.clone()).err().expect("it does not do");
    assert_eq!(look(&config).unwrap_err().to_string(), error.to_string(), "check says the same");
    error
}

#[test]
fn each_reason_names_the_thing_and_the_remedy() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    assert_eq!(look(&config(&fake, &folder)).unwrap(), "v2.9.1");
    let says = |config: InfluxConfig, kind: ErrorKind, words: &[&str]| {
        let error = refused(config);
        assert_eq!(error.kind(), kind, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error} lacks {word}");
        }
        assert!(!error.to_string().contains("secret-token"));
    };
    for version in ["v2.9.0", "1.8.10", "dev"] {
        fake.world().version = version.into();
        says(config(&fake, &folder), ErrorKind::Refused, &[version, "2.9.1 or newer", "upgrade"]);
    }
    fake.world().version = "v2.10.0".into();
    fake.world().buckets.remove("minutes");
    says(config(&fake, &folder), ErrorKind::Refused, &["no bucket \"minutes\"", "tickberry setup influxdb"]);
    fake.world().token = "another".into();
    says(
        config(&fake, &folder),
        ErrorKind::Refused,
        &["the token", "bucket \"trades\"", "INFLUXDB_TOKEN_FILE"],
    );
    let no_token = InfluxConfig { token: Arc::new(|| Err("no token".into())), ..config(&fake, &folder) };
    says(no_token, ErrorKind::Refused, &["no token", "INFLUXDB_TOKEN_FILE"]);
    // A port where nobody is.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = InfluxConfig { url: format!("http://{nobody}"), ..config(&fake, &folder) };
    says(nobody, ErrorKind::Away, &["check that it runs there"]);
}

#[tokio::test]
async fn it_can_be_opened_and_dropped_in_an_asynchronous_caller() {
    let (fake, folder) = (Fake::start(), tempfile::tempdir().unwrap());
    drop(InfluxWriter::open(config(&fake, &folder)).unwrap());
}

#[test]
fn a_server_that_says_nothing_is_given_up_after_five_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let fake = Fake::start();
    let begin = std::time::Instant::now();
    let error = InfluxWriter::open(InfluxConfig { url, ..config(&fake, &folder) }).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Away);
    assert!((4..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}
