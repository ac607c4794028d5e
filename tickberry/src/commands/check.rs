//! `tickberry check`: tries token, broker, store, clock and disk. Each failing line ends with what mends it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tickberry_gateway::finnhub::{Connector, Endpoint, Handshake};
use tickberry_service::data_dir::DataDir;
use tickberry_service::exit::{Code, Failure};
use tickberry_service::mqtt::{self, BusConfig, Event};
use tickberry_store::StoreReader as _;
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
    // A running tickberry holds the directory; then its connection is not disturbed by a second one on the same token.
    let kind = if settings.simulated { "simulated" } else { "real" };
    let lock = settings.data_dir.exists().then(|| DataDir::open(&settings.data_dir, kind));
    let running = matches!(&lock, Some(Err(failure)) if failure.code() == Code::Unavailable);
    let findings = [
        ("token", token(&settings, running).await),
        ("broker", broker(&settings, running).await),
        ("store", store(&settings)),
        ("clock", clock(SystemTime::now())),
        ("disk", disk(&settings.data_dir)),
    ];
    let mut well = true;
    for (name, finding) in findings {
        match finding {
            Ok(text) => println!("ok    {name:<7} {text}"),
            Err((text, remedy)) => {
                well = false;
                println!("FAIL  {name:<7} {text}: {remedy}");
            }
        }
    }
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

async fn broker(settings: &Settings, running: bool) -> Finding {
    let address = settings.file.broker.taps.to_string();
    let bus = BusConfig { address: address.clone(), username: None, password: None };
    let (_publisher, mut events) = mqtt::connect(bus, "check", None, vec![topic::all("status")]);
    let answer = tokio::time::timeout(PATIENCE, events.recv()).await;
    match answer {
        Ok(Some(Event::Up | Event::Message { .. })) => Ok(format!("{address} answers")),
        _ if !running => Ok(format!("not running at {address}; `tickberry up` brings its own")),
        Ok(Some(Event::Down(why))) => {
            Err((format!("{address}: {why}"), "give the taps' address as broker.taps".to_owned()))
        }
        _ => Err((format!("{address} does not answer"), "give the taps' address as broker.taps".to_owned())),
    }
}

fn store(settings: &Settings) -> Finding {
    let path = settings.file.aggregator.store.path.clone();
    let path = path.unwrap_or_else(|| settings.data_dir.join("tickberry.sqlite3"));
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
