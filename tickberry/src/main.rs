//! `tickberry`: one binary, the role is the subcommand.

mod cli;
mod commands;
mod config;
mod place;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tickberry_service::exit::{Code, Failure};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tickberry: {failure}");
            ExitCode::from(failure.code() as u8)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { config, command } = cli;
    match command {
        Command::Generate(what) => commands::generate::run(what),
        Command::Setup(what) => commands::setup::run(what, &config::load_file(config.as_deref())?),
        Command::Simulate(options) => {
            block_on(commands::simulate::run(options, config::load_file(config.as_deref())?))
        }
        Command::Tap(options) => {
            block_on(commands::tap::run(options, &config::load_file(config.as_deref())?))
        }
        Command::Status(remote) => {
            block_on(commands::status::run(remote, &config::load_file(config.as_deref())?))
        }
        Command::Audit(options) => {
            block_on(commands::audit::run(options, &config::load_file(config.as_deref())?))
        }
        Command::Up(options) => block_on(commands::up::run(config::load(config.as_deref(), &options)?)),
        Command::Check(role) => block_on(commands::check::run(config::load_check(config.as_deref(), role)?)),
        Command::Gateway(role) => {
            block_on(commands::role::gateway(config::load_role(config.as_deref(), role)?))
        }
        Command::Broker(role) => {
            block_on(commands::role::broker(config::load_role(config.as_deref(), role)?))
        }
        Command::Aggregator(role) => {
            block_on(commands::role::aggregator(config::load_role(config.as_deref(), role)?))
        }
        Command::Console(role) => {
            block_on(commands::role::console(config::load_role(config.as_deref(), role)?))
        }
    }
}

/// How long threads are waited for after the orderly end: with it, less than the 5 s that are promised.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Io, format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    // Everybody had time to end. A thread that still waits for a disk must not hold the process up.
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}

/// Help and version are no errors; everything else is wrong use.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if let Err(printing) = error.print() {
        eprintln!("tickberry: {printing}");
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Code::Usage as u8),
    }
}
