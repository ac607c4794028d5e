//! One role in a process of its own, as on a shelf.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use secrecy::ExposeSecret as _;
use tickberry_broker::SharedSecret;
use tickberry_service::Shutdown;
use tickberry_service::data_dir::DataDir;
use tickberry_service::exit::{Code, Failure};
use tickberry_service::http::{self, Address, Readiness};
use tickberry_service::mqtt::BusConfig;
use tickberry_service::secret;
use tickberry_service::shutdown::{self, DRAIN, Tasks};
use tickberry_service::systemd;
use tickberry_store::influx::{InfluxReader, TokenSource};
use tickberry_store::sqlite::SqliteReader;
use tickberry_store::{ErrorKind, StoreError, StoreReader};
use tokio::net::TcpListener;

use crate::config::Settings;

/// The name services use at the broker.
const SERVICE: &str = "service";

pub(crate) async fn gateway(settings: Settings) -> Result<ExitCode, Failure> {
    if settings.simulated {
        return Err(Failure::new(
            Code::Config,
            "no token: set FINNHUB_TOKEN_FILE or FINNHUB_TOKEN (or gateway.finnhub_url, to use a simulator); `tickberry up` needs neither",
        ));
    }
    let data_dir = DataDir::open(&settings.data_dir.join("gateway"), "real")?;
    let bus = bus(&settings)?;
    let (listener, at) = listen(settings.file.http.gateway, "http.gateway").await?;
    let announced = announced(settings.file.gateway.announce.as_deref(), at)?;
    let deps = tickberry_gateway::Deps {
        token: settings.token,
        simulated: false,
        journal_dir: journal_dir(data_dir.path(), &settings.file.gateway),
        bus,
        node: settings.node,
        http: format!("http://{announced}"),
    };
    let gateway = tickberry_gateway::build(settings.file.gateway, deps).map_err(gateway_failure)?;
    let readiness = ready();
    let routes = gateway.routes().merge(http::operations(readiness, vec![gateway.registry()]));
    run("gateway", listener, routes, |end| async move {
        gateway.run(end).await.map_err(|error| error.to_string())
    })
    .await
}

pub(crate) async fn broker(settings: Settings) -> Result<ExitCode, Failure> {
    let password = settings.bus_password.ok_or_else(no_password)?;
    let authenticator = SharedSecret::new(SERVICE, password.expose_secret().into());
    let (listener, _) = listen(settings.file.http.broker, "http.broker").await?;
    let broker = tickberry_broker::build(settings.file.broker, Arc::new(authenticator))
        .await
        .map_err(broker_failure)?;
    let routes = http::operations(ready(), vec![broker.registry()]);
    run(
        "broker",
        listener,
        routes,
        |end| async move { broker.run(end).await.map_err(|error| error.to_string()) },
    )
    .await
}

pub(crate) async fn aggregator(settings: Settings) -> Result<ExitCode, Failure> {
    let folder = settings.data_dir.join("aggregator");
    let _data_dir = DataDir::open(&folder, "real")?;
    let bus = bus(&settings)?;
    let (listener, _) = listen(settings.file.http.aggregator, "http.aggregator").await?;
    let influxdb_token = influxdb_token(&settings.file.aggregator);
    let environment =
        tickberry_aggregator::Environment { bus, node: settings.node, data_dir: folder, influxdb_token };
    let aggregator =
        tickberry_aggregator::build(settings.file.aggregator, environment).map_err(aggregator_failure)?;
    let routes = http::operations(ready(), vec![aggregator.registry()]);
    run("aggregator", listener, routes, |end| async move {
        aggregator.run(end).await.map_err(|error| error.to_string())
    })
    .await
}

pub(crate) async fn console(settings: Settings) -> Result<ExitCode, Failure> {
    let bus = bus(&settings)?;
    let store = store_beside(&settings.file.aggregator, &settings.data_dir.join("aggregator"))?;
    let page = Address { at: settings.file.http.console, is_default: settings.default_http };
    let listener = http::bind(page, "http.console").await?;
    let console = tickberry_console::build(&settings.file.console, bus, &settings.node, store);
    let routes =
        console.routes().merge(http::operations(console.readiness(), vec![Arc::new(console.registry())]));
    run("console", listener, routes, |end| async move {
        console.run(end).await;
        Ok(())
    })
    .await
}

pub(crate) fn bus(settings: &Settings) -> Result<BusConfig, Failure> {
    let password = settings.bus_password.clone().ok_or_else(no_password)?;
    let address = settings.file.bus.address.clone();
    Ok(BusConfig { address, username: Some(SERVICE.to_owned()), password: Some(password) })
}

fn no_password() -> Failure {
    Failure::new(
        Code::Config,
        "no password for the services at the broker: set BUS_PASSWORD_FILE or BUS_PASSWORD to the same secret for all roles; `tickberry up` needs none",
    )
}

async fn listen(at: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = http::bind(Address { at, is_default: false }, key).await?;
    let at = listener.local_addr().map_err(|error| Failure::new(Code::Io, error))?;
    Ok((listener, at))
}

/// Where aggregators are told to find the journal.
fn announced(configured: Option<&str>, bound: SocketAddr) -> Result<String, Failure> {
    match configured {
        Some(address) => Ok(address.to_owned()),
        None if bound.ip().is_unspecified() => Err(Failure::new(
            Code::Config,
            format!(
                "http.gateway = {bound} is no address that an aggregator elsewhere could use: set gateway.announce, for example \"pi4.local:{}\", or bind one address",
                bound.port()
            ),
        )),
        None => Ok(bound.to_string()),
    }
}

/// A role that was built is ready.
fn ready() -> Readiness {
    let readiness = Readiness::default();
    readiness.set(true);
    readiness
}

async fn run<F: Future<Output = Result<(), String>> + Send + 'static>(
    name: &'static str,
    listener: TcpListener,
    routes: Router,
    service: impl FnOnce(Shutdown) -> F,
) -> Result<ExitCode, Failure> {
    let ended = Shutdown::new();
    shutdown::on_signals(ended.clone()).map_err(|error| Failure::new(Code::Io, error))?;
    let served = Shutdown::new();
    let mut tasks = Tasks::default();
    let (service, end) = (service(ended.clone()), served.clone());
    tasks.spawn(name, async move {
        let result = service.await;
        // Whoever still fetches may do so until the service has drained.
        end.cancel();
        result
    });
    tasks.spawn("http", async move {
        http::serve(listener, routes, served).await.map_err(|error| error.to_string())
    });
    systemd::ready(ended.clone());
    tasks.join(&ended, DRAIN).await.map_err(|error| Failure::new(Code::Failure, error))?;
    Ok(ExitCode::SUCCESS)
}

/// The token at InfluxDB, looked for each time it is needed: one that was mended is used at once.
pub(crate) fn influxdb_token(config: &tickberry_aggregator::Config) -> TokenSource {
    let file = config.store.influxdb.token_file.clone();
    Arc::new(move || {
        let env = |name: &str| std::env::var(name).ok();
        let found = secret::find_configured("INFLUXDB_TOKEN", "influxdb-token", file.as_deref(), env);
        found.map_err(|error| error.to_string())?.ok_or_else(|| "no token".to_owned())
    })
}

/// A reader beside an aggregator, whose file may come later: with its process, or with space on its disk. A server may be
/// away just the same.
pub(crate) fn store_beside(
    config: &tickberry_aggregator::Config,
    data_dir: &Path,
) -> Result<Arc<dyn StoreReader>, Failure> {
    if let Some(server) = config.store.influxdb.store(influxdb_token(config), data_dir) {
        let reader = InfluxReader::new(server).map_err(|error| store_failure(&error))?;
        return Ok(Arc::new(reader));
    }
    let path = store_path(config, data_dir);
    match SqliteReader::open(&path) {
        Ok(reader) => Ok(Arc::new(reader)),
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "the store cannot be read yet; the page has no history until it can");
            Ok(Arc::new(SqliteReader::later(path)))
        }
        // Made by something else, or by a newer release: waiting would not help.
        Err(error) => Err(store_failure(&error)),
    }
}

fn store_path(config: &tickberry_aggregator::Config, data_dir: &Path) -> PathBuf {
    config.store.path.clone().unwrap_or_else(|| data_dir.join("tickberry.sqlite3"))
}

fn store_failure(error: &StoreError) -> Failure {
    let code = match error.kind() {
        ErrorKind::Newer | ErrorKind::Config => Code::Config,
        _ => Code::Io,
    };
    Failure::new(code, error)
}

/// Each source has a journal of its own.
pub(crate) fn journal_dir(data_dir: &Path, config: &tickberry_gateway::Config) -> PathBuf {
    data_dir.join("journal").join(config.source.as_str())
}

pub(crate) fn gateway_failure(error: tickberry_gateway::BuildError) -> Failure {
    Failure::new(if error.is_config() { Code::Config } else { Code::Io }, error)
}

pub(crate) fn aggregator_failure(error: tickberry_aggregator::Error) -> Failure {
    match &error {
        tickberry_aggregator::Error::Store(store) => store_failure(store),
        tickberry_aggregator::Error::Config { .. } => Failure::new(Code::Config, error),
        _ => Failure::new(Code::Io, error),
    }
}

pub(crate) fn broker_failure(error: tickberry_broker::Error) -> Failure {
    let code = match &error {
        tickberry_broker::Error::Bind { .. } => Code::Unavailable,
        tickberry_broker::Error::Limit { .. } => Code::Config,
        _ => Code::Failure,
    };
    Failure::new(code, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_announced_where_others_can_reach_it() {
        let bound = "127.0.0.1:9181".parse().unwrap();
        assert_eq!(announced(None, bound).unwrap(), "127.0.0.1:9181");
        assert_eq!(announced(Some("pi4.local:9181"), bound).unwrap(), "pi4.local:9181");
        let everywhere = "0.0.0.0:9181".parse().unwrap();
        assert_eq!(announced(Some("pi4.local:9181"), everywhere).unwrap(), "pi4.local:9181");
        let failure = announced(None, everywhere).unwrap_err();
        assert!(failure.to_string().contains("gateway.announce"), "{failure}");
    }
}
