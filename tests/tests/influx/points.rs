//! The points about the pipeline: what docs/grafana.md says is there, made from the status topics of the real services.

use crate::kit::options;
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::time::Duration;
use tickberry_tests::grafana::known;
use tickberry_tests::harness::{InfluxStore, TempHome, Up, eventually, turn};

/// What not every host tells.
const NOT_EVERYWHERE: [&str; 3] = ["temperature_celsius", "throttled", "written_bytes"];

/// Every field of every measurement, each with the type of the document's column.
async fn all_there(influx: &InfluxStore) -> Result<usize> {
    let document = include_str!("../../../docs/grafana.md");
    let mut there = 0;
    for line in document.lines().filter(|line| line.starts_with("| `pipeline_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let measurement = cells[0].trim_matches('`');
        let rows = influx.influxql("tickberry", &format!("SHOW FIELD KEYS FROM \"{measurement}\"")).await?;
        let found: BTreeSet<(String, String)> = rows
            .iter()
            .map(|row| ["fieldKey", "fieldType"].map(|key| row[key].as_str().unwrap_or_default().to_owned()))
            .map(|[name, kind]| (name, kind))
            .collect();
        for (names, kind) in cells[2..].iter().zip(["string", "float", "integer"]) {
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let is_there = found.contains(&(name.to_owned(), kind.to_owned()));
                ensure!(
                    is_there || NOT_EVERYWHERE.contains(&name),
                    "{measurement}.{name}: {kind} not in {found:?}"
                );
                there += usize::from(is_there);
            }
        }
    }
    Ok(there)
}

#[tokio::test]
async fn what_services_say_of_themselves_is_in_the_store() {
    let _turn = turn().await;
    let home = TempHome::new("influx-points");
    let influx = InfluxStore::ready(&home, &[]).await.unwrap();
    let feed = crate::feed::Feed::generated(1.0).await;
    let mut up = Up::start(&home, &options(&home, feed.address(), &influx)).await.unwrap();
    let there = eventually(Duration::from_secs(60), "every field of the document is there", async || {
        up.process.must_live()?;
        all_there(&influx).await
    })
    .await
    .unwrap();
    let documented: usize = known(include_str!("../../../docs/grafana.md")).values().map(BTreeSet::len).sum();
    println!("{there} fields; {documented} names in the document, tags included");
    assert!(there >= 32, "{there}");

    // The offsets of a point are those of one moment, in the order of the way.
    let rows = influx
        .influxql(
            "tickberry",
            "SELECT stored, consumed, committed, head, behind_seconds FROM pipeline_aggregator",
        )
        .await
        .unwrap();
    let newest = rows.last().unwrap();
    let number = |key: &str| newest[key].as_f64().unwrap();
    assert!(number("committed") <= number("head") && number("stored") <= number("consumed"), "{newest:?}");
    assert!(number("behind_seconds") < 30.0, "{newest:?}");
    up.stop().await.unwrap();
}
