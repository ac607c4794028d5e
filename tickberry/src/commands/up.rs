//! `tickberry up`: everything in one process, over the same interfaces as on a shelf.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::{ExposeSecret as _, SecretString};
use tickberry_broker::SharedSecret;
use tickberry_service::Shutdown;
use tickberry_service::data_dir::DataDir;
use tickberry_service::exit::{Code, Failure};
use tickberry_service::http::{self, Address};
use tickberry_service::mqtt::BusConfig;
use tickberry_service::shutdown::{self, Stage};
use tickberry_service::systemd;
use tickberry_simulator::Simulator;
use tokio::net::TcpListener;

use crate::config::Settings;

/// How long each stage may drain; together they stay below the promised 5 s.
const STAGES: [Duration; 4] = [
    Duration::from_millis(1500),
    Duration::from_millis(2000),
    Duration::from_millis(600),
    Duration::from_millis(600),
];
/// The name all services use at the broker of this process.
const SERVICE: &str = "service";

pub(crate) async fn run(mut settings: Settings) -> Result<ExitCode, Failure> {
    let kind = if settings.simulated { "simulated" } else { "real" };
    let mut data_dir = DataDir::open(&settings.data_dir, kind)?;
    let page = Address { at: settings.file.http.console, is_default: settings.default_http };
    let listener = http::bind(page, "--http").await?;
    let page = listener.local_addr().map_err(|error| Failure::new(Code::Io, error))?;
    let simulator = if settings.simulated { Some(simulator(&mut settings).await?) } else { None };
    let parts = build(settings, page, simulator).await?;
    let said = data_dir.say("http", parts.page).and_then(|()| data_dir.say("mqtt", parts.taps));
    said.map_err(|error| Failure::new(Code::Io, format!("cannot write to the data directory: {error}")))?;
    // Nobody need read it.
    let _read = super::print(banner(&parts).as_bytes());
    let outcome = serve(parts, listener).await;
    drop(data_dir);
    outcome
}

/// The services, built and bound.
struct Parts {
    simulator: Option<Simulator>,
    broker: tickberry_broker::Built,
    gateway: tickberry_gateway::Built,
    aggregator: tickberry_aggregator::Built,
    console: tickberry_console::Built,
    routes: Router,
    page: SocketAddr,
    taps: SocketAddr,
}

async fn simulator(settings: &mut Settings) -> Result<Simulator, Failure> {
    let simulator =
        Simulator::build(settings.file.simulator.clone()).await.map_err(super::simulate::refuse)?;
    settings.file.gateway.finnhub_url = simulator.url();
    settings.file.gateway.source = "simulated".parse().map_err(|error| Failure::new(Code::Config, error))?;
    settings.token = Some("simulated".into());
    Ok(simulator)
}

async fn build(settings: Settings, page: SocketAddr, simulator: Option<Simulator>) -> Result<Parts, Failure> {
    let Settings { file, token, simulated, default_mqtt, data_dir, node, .. } = settings;
    // Made at the start, known to this process only: the services of this process are the only ones.
    let secret = SecretString::from(format!("{:032x}", rand::random::<u128>()));
    let broker = broker(file.broker, default_mqtt, &secret).await?;
    let taps = broker.tap_address();
    let address = broker.service_address().to_string();
    let bus = BusConfig { address, username: Some(SERVICE.to_owned()), password: Some(secret) };
    let journal_dir = super::role::journal_dir(&data_dir, &file.gateway);
    let http = format!("http://{page}");
    let deps =
        tickberry_gateway::Deps { token, simulated, journal_dir, bus: bus.clone(), node: node.clone(), http };
    let gateway = tickberry_gateway::build(file.gateway, deps).map_err(super::role::gateway_failure)?;
    let aggregator_config = file.aggregator.clone();
    let aggregator = tickberry_aggregator::build(
        file.aggregator,
        tickberry_aggregator::Environment {
            bus: bus.clone(),
            node: node.clone(),
            data_dir: data_dir.clone(),
            influxdb_token: super::role::influxdb_token(&aggregator_config),
        },
    )
    .map_err(super::role::aggregator_failure)?;
    let store = super::role::store_beside(&aggregator_config, &data_dir)?;
    let console = tickberry_console::build(&file.console, bus, &node, store);
    let registries =
        vec![broker.registry(), gateway.registry(), aggregator.registry(), Arc::new(console.registry())];
    let routes =
        console.routes().merge(gateway.routes()).merge(http::operations(console.readiness(), registries));
    Ok(Parts { simulator, broker, gateway, aggregator, console, routes, page, taps })
}

/// Binds the broker; a default tap address that is taken moves on. Services find it on a port of its own choosing.
async fn broker(
    mut config: tickberry_broker::Config,
    may_move: bool,
    secret: &SecretString,
) -> Result<tickberry_broker::Built, Failure> {
    let at = Address { at: config.taps, is_default: may_move };
    // The port is asked for and given back: the broker sets options of its own on its listener.
    config.taps =
        http::bind(at, "--mqtt").await?.local_addr().map_err(|error| Failure::new(Code::Io, error))?;
    config.services = SocketAddr::from(([127, 0, 0, 1], 0));
    let authenticator = SharedSecret::new(SERVICE, secret.expose_secret().into());
    tickberry_broker::build(config, Arc::new(authenticator)).await.map_err(super::role::broker_failure)
}

fn banner(parts: &Parts) -> String {
    let Parts { page, taps, simulator, .. } = parts;
    let (version, host, port) = (env!("CARGO_PKG_VERSION"), taps.ip(), taps.port());
    let feed = if simulator.is_some() {
        "SIMULATED: these are not market data. Set FINNHUB_TOKEN for the real ones"
    } else {
        "Finnhub"
    };
    format!(
        "tickberry {version}\n  page  http://{page}\n  \
         taps  mqtt://{taps}   mosquitto_sub -h {host} -p {port} -t 'tickberry/v1/trades/#'\n  feed  {feed}\n"
    )
}

/// Runs all parts. At the end first the feed, then the store, then who only reads, then what all of them need.
async fn serve(parts: Parts, listener: TcpListener) -> Result<ExitCode, Failure> {
    let ended = Shutdown::new();
    shutdown::on_signals(ended.clone()).map_err(|error| Failure::new(Code::Io, error))?;
    let Parts { simulator, broker, gateway, aggregator, console, routes, .. } = parts;
    let [mut feed, mut store, mut page, mut base] = STAGES.map(Stage::new);
    base.spawn("broker", |end| async move { broker.run(end).await.map_err(text) });
    base.spawn("http", |end| async move { http::serve(listener, routes, end).await.map_err(text) });
    page.spawn("console", |end| async move {
        console.run(end).await;
        Ok(())
    });
    store.spawn("aggregator", |end| async move { aggregator.run(end).await.map_err(text) });
    feed.spawn("gateway", |end| async move { gateway.run(end).await.map_err(text) });
    if let Some(simulator) = simulator {
        feed.spawn("simulator", |end| async move { simulator.run(end).await.map_err(text) });
    }
    systemd::ready(ended.clone());
    let outcome = shutdown::join_stages(vec![feed, store, page, base], &ended).await;
    outcome.map(|()| ExitCode::SUCCESS).map_err(|error| Failure::new(Code::Failure, error))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
