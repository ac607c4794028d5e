//! `tickberry simulate`: behave like Finnhub on a local port.

use std::process::ExitCode;

use tickberry_service::exit::{Code, Failure};
use tickberry_service::{Shutdown, log, shutdown};
use tickberry_simulator::{Config, Simulator, SimulatorError};

use crate::cli::Simulate;
use crate::config::File;

/// Where it listens if nobody says otherwise: `up`, which runs one inside, takes any free port.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 9180);

pub(crate) async fn run(options: Simulate, file: File) -> Result<ExitCode, Failure> {
    log::init(&file.log)?;
    let mut config = file.simulator;
    if config.listen == Config::default().listen {
        config.listen = LISTEN.into();
    }
    config.listen = options.listen.unwrap_or(config.listen);
    config.seed = options.seed.unwrap_or(config.seed);
    config.frame_trades = options.frame.map_or(config.frame_trades, |trades| trades as usize);
    config.recorded.speed = options.speed.unwrap_or(config.recorded.speed);
    if !options.recorded.is_empty() {
        config.recorded.files = options.recorded;
    }
    let simulator = Simulator::build(config).await.map_err(refuse)?;
    let text = format!("a Finnhub lookalike listens: tickberry up --finnhub-url {}\n", simulator.url());
    super::print(text.as_bytes())?;
    let ended = Shutdown::new();
    shutdown::on_signals(ended.clone()).map_err(|error| Failure::new(Code::Io, error))?;
    simulator.run(ended).await.map_err(refuse)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn refuse(error: SimulatorError) -> Failure {
    let code = match &error {
        SimulatorError::Bind { .. } => Code::Unavailable,
        SimulatorError::Config(_) => Code::Config,
        SimulatorError::Recording(_) => Code::Io,
    };
    Failure::new(code, error)
}
