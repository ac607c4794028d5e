//! `tickberry simulate`: behave like Finnhub on a local port.

use std::process::ExitCode;

use tickberry_service::exit::{Code, Failure};
use tickberry_service::{Shutdown, log, shutdown};
use tickberry_simulator::{Config, Recorded, Simulator, SimulatorError};

use crate::cli::Simulate;

pub(crate) async fn run(options: Simulate) -> Result<ExitCode, Failure> {
    log::init(&log::Config::default())?;
    let config = Config {
        listen: options.listen,
        seed: options.seed,
        frame_trades: options.frame as usize,
        recorded: Recorded { files: options.recorded, speed: options.speed, ..Recorded::default() },
        ..Config::default()
    };
    let simulator = Simulator::build(config).await.map_err(refuse)?;
    println!("a Finnhub lookalike listens: tickberry up --finnhub-url {}", simulator.url());
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
