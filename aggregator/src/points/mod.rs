//! What the services say of themselves, as points in the store, so that dashboards and alerts need nothing else on a
//! shelf. Nothing of it decides anything: it runs beside the pipelines, on a connection of its own, and only where the
//! store is an InfluxDB.

mod behind;
mod collect;
#[cfg(test)]
mod tests;
mod write;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tickberry_service::Shutdown;
use tickberry_service::mqtt::{BusConfig, Event, connect};
use tickberry_store::influx::InfluxConfig;
use tickberry_wire::topic::{self, Topic};

use collect::Collector;

/// Time between two looks for services that say nothing any more: as often as one that lives says something.
const TICK: Duration = Duration::from_secs(15);

/// Hears every status and has the points written, until the shutdown.
pub(crate) async fn run(bus: BusConfig, client_id: String, server: InfluxConfig, shutdown: Shutdown) {
    let (publisher, mut events) = connect(bus, &client_id, None, vec![topic::all("status")]);
    let points = match write::start(server) {
        Ok(points) => points,
        Err(error) => {
            tracing::error!(%error, "no thread for the pipeline's points; none are written");
            return;
        }
    };
    let mut collector = Collector::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = tick.tick() => {
                collector.missed(wall_ms()).into_iter().for_each(|point| points.offer(point));
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        match event {
            Some(Event::Message { topic, payload }) => {
                let Some(Topic::Status(service, node)) = Topic::parse(&topic) else { continue };
                for point in collector.hear(&service, &node, &payload, wall_ms()) {
                    points.offer(point);
                }
            }
            Some(Event::Up) => collector.up(Some(wall_ms())),
            Some(Event::Down(_)) => collector.up(None),
            None => break,
        }
    }
    publisher.close().await;
}

/// Only differences of it count, but in points that nobody else makes.
fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
