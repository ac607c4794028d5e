//! `tickberry check`: tries token, broker, store, clock and disk. Each failing line ends with what mends it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tickberry_gateway::finnhub::{Connector, Endpoint, Handshake};
use tickberry_service::data_dir::Look;
use tickberry_service::exit::{Code, Failure};
use tickberry_service::mqtt::{self, BusConfig, Event};
use tickberry_store::StoreReader as _;
use tickberry_store::influx;
use tickberry_store::sqlite::SqliteReader;
use tickberry_wire::topic;

use crate::config::Settings;

/// How long a service has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// 2025-01-01: a clock before it was never set.
const SET_CLOCK: u64 = 1_735_689_600;
/// Free space below which a card is too full: the store's trades alone may take 1 GiB.
const LEAST_FREE: u64 = 2 << 30;

/// What one try found: a sentence, and for a failure what mends it.
type Finding = Result<String, (String, String)>;

pub(crate) async fn run(settings: Settings) -> Result<ExitCode, Failure> {
    let whole = Look::at(&settings.data_dir);
    let gateway = Look::at(&settings.data_dir.join("gateway"));
    // Whoever is connected is not disturbed by a second connection on the same token.
    let running = whole.held || gateway.held;
    let taps = whole.said("mqtt").map_or_else(|| settings.file.broker.taps.to_string(), str::to_owned);
    let mut findings = vec![
        ("token", token(&settings, running).await),
        ("broker", broker(&taps, running).await),
        ("store", store(&settings).await),
        ("clock", clock(SystemTime::now())),
        ("disk", disk(&settings.data_dir).and_then(|text| kind(&settings, &whole).map(|()| text))),
    ];
    if settings.bus_password.is_some() {
        findings.push(("bus", bus(&settings).await));
    }
    let (mut well, mut text) = (true, String::new());
    for (name, finding) in findings {
        match finding {
            Ok(found) => text += &format!("ok    {name:<7} {found}\n"),
            Err((found, remedy)) => {
                well = false;
                text += &format!("FAIL  {name:<7} {found}: {remedy}\n");
            }
        }
    }
    super::print(text.as_bytes())?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(Code::Failure as u8) })
}

async fn token(settings: &Settings, running: bool) -> Finding {
    let config = &settings.file.gateway;
    if settings.simulated {
        return Ok("none; `tickberry up` runs the simulator. Set FINNHUB_TOKEN for market data".to_owned());
    }
    if running {
        return Ok("not tried, for a tickberry is running and one token serves one connection; see `tickberry status`".to_owned());
    }
    let remedy = |text: &str| text.to_owned();
    let endpoint = Endpoint::new(&config.finnhub_url, settings.token.clone())
        .map_err(|error| (error.to_string(), remedy("correct gateway.finnhub_url or the token")))?;
    let connector = Connector::new(endpoint, config.finnhub_ca.as_deref())
        .map_err(|error| (error.to_string(), remedy("correct gateway.finnhub_ca")))?;
    match connector.connect().await {
        Ok(socket) => {
            socket.close().await;
            Ok(format!("{} accepts it", connector.endpoint()))
        }
        Err(Handshake::Status(status @ (401 | 403))) => Err((
            format!("{} answers {status}", connector.endpoint()),
            remedy("copy the token from finnhub.io/dashboard again"),
        )),
        Err(Handshake::Status(429)) => Err((
            format!("{} answers 429, too many connections", connector.endpoint()),
            remedy("stop the other program that uses this token, and wait a minute"),
        )),
        Err(Handshake::Status(status)) => Err((
            format!("{} answers {status}", connector.endpoint()),
            remedy("try again later; the feed is unwell"),
        )),
        Err(Handshake::Failed(why)) => Err((why, remedy("check the network, DNS and gateway.finnhub_url"))),
    }
}

async fn broker(address: &str, running: bool) -> Finding {
    let taps = BusConfig { address: address.to_owned(), username: None, password: None };
    match answers(taps).await {
        Ok(()) => Ok(format!("{address} answers")),
        Err(_) if !running => Ok(format!("not running at {address}; `tickberry up` brings its own")),
        Err(why) => Err((format!("{address}: {why}"), "give the taps' address as broker.taps".to_owned())),
    }
}

/// The services' own way to the broker, where they have one.
async fn bus(settings: &Settings) -> Finding {
    let bus = super::role::bus(settings).map_err(|failure| (failure.to_string(), String::new()))?;
    let address = bus.address.clone();
    match answers(bus).await {
        Ok(()) => Ok(format!("{address} takes BUS_PASSWORD")),
        Err(why) if why.starts_with(mqtt::REFUSED) => Err((
            format!("{address}: {why}"),
            "set BUS_PASSWORD to what the broker was started with".to_owned(),
        )),
        Err(why) => Err((
            format!("{address}: {why}"),
            "start `tickberry broker`, or give its services' address as bus.address".to_owned(),
        )),
    }
}

async fn answers(bus: BusConfig) -> Result<(), String> {
    // Of the same name as another Pi's, which may ask at the same time, it would end that one's connection.
    let id = format!("check-{:016x}", rand::random::<u64>());
    let (_publisher, mut events) = mqtt::connect(bus, &id, None, vec![topic::all("status")]);
    match tokio::time::timeout(PATIENCE, events.recv()).await {
        Ok(Some(Event::Up | Event::Message { .. })) => Ok(()),
        Ok(Some(Event::Down(why))) => Err(why),
        _ => Err("no answer".to_owned()),
    }
}

/// A directory remembers what its data is.
fn kind(settings: &Settings, whole: &Look) -> Result<(), (String, String)> {
    let kind = if settings.simulated { "simulated" } else { "real" };
    match &whole.kind {
        Some(found) if found != kind => Err((
            format!("{} holds {found} data and `tickberry up` would be {kind}", settings.data_dir.display()),
            "give another directory with --data-dir, or set the token (or unset it) as it was".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Its requests may take seconds, on a thread that may wait.
async fn store(settings: &Settings) -> Finding {
    let config = &settings.file.aggregator;
    let server = config.store.influxdb.store(super::role::influxdb_token(config), &settings.data_dir);
    let Some(server) = server else { return sqlite(settings) };
    let what = format!(
        "InfluxDB at {}, organisation {:?}, buckets {:?} and {:?}",
        server.url, server.org, server.bucket, server.minutes_bucket
    );
    let looked = tokio::task::spawn_blocking(move || influx::look(&server)).await;
    match looked {
        Ok(Ok(version)) => Ok(format!("{what}: {version} answers and takes the token")),
        Ok(Err(error)) => {
            // The remedy is the error's last part.
            let text = error.to_string();
            let (found, remedy) =
                text.rsplit_once("; ").unwrap_or((&text, "check aggregator.store.influxdb"));
            Err((found.to_owned(), remedy.to_owned()))
        }
        Err(error) => Err((error.to_string(), "report it".to_owned())),
    }
}

fn sqlite(settings: &Settings) -> Finding {
    let path = settings.file.aggregator.store.path.clone();
    // An aggregator of its own keeps it in a directory of its own.
    let own = settings.data_dir.join("aggregator");
    let folder = if own.is_dir() { own } else { settings.data_dir.clone() };
    let path = path.unwrap_or_else(|| folder.join("tickberry.sqlite3"));
    if !path.exists() {
        return Ok(format!("{} will be made at the first start", path.display()));
    }
    match SqliteReader::open(&path).and_then(|reader| reader.series()) {
        Ok(series) => Ok(format!("{} opens, {} series", path.display(), series.len())),
        Err(error) => Err((
            error.to_string(),
            format!("move {} away; the journal fills a new one as far as it reaches", path.display()),
        )),
    }
}

fn clock(now: SystemTime) -> Finding {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if seconds < SET_CLOCK {
        let text = "the clock was not set; trades are kept without a time of reception".to_owned();
        return Err((text, "timedatectl set-ntp true, and a network with NTP".to_owned()));
    }
    Ok(format!("{}", jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default()))
}

fn disk(folder: &Path) -> Finding {
    let remedy = || "free some space, or give another directory with --data-dir".to_owned();
    let cannot = |error: std::io::Error| (format!("{}: {error}", folder.display()), remedy());
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let probe = folder.join("check.tmp");
    let written =
        File::create(&probe).and_then(|mut file| file.write_all(b"tickberry").and_then(|()| file.sync_all()));
    let removed = std::fs::remove_file(&probe);
    written.and(removed).map_err(cannot)?;
    let space = rustix::fs::statvfs(folder).map_err(|error| cannot(error.into()))?;
    let free = space.f_bavail * space.f_frsize;
    if free < LEAST_FREE {
        return Err((
            format!("{} has {} MiB free, {} are wanted", folder.display(), free >> 20, LEAST_FREE >> 20),
            remedy(),
        ));
    }
    Ok(format!("{} can be written and synced, {} MiB free", folder.display(), free >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_lines_say_what_mends_them() {
        assert!(clock(UNIX_EPOCH).unwrap_err().1.contains("set-ntp"));
        assert!(clock(SystemTime::now()).is_ok());
        assert!(disk(Path::new("/proc/nowhere")).unwrap_err().1.contains("--data-dir"));
        let folder = tempfile::tempdir().unwrap();
        assert!(disk(&folder.path().join("new")).is_ok());
    }
}
