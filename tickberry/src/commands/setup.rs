//! `tickberry setup`: makes what tickberry needs on another server.

use std::process::ExitCode;

use tickberry_service::exit::{Code, Failure};
use tickberry_service::secret;
use tickberry_store::influx::{Plan, set_up};
use tickberry_store::{ErrorKind, StoreError};

use crate::cli::{Setup, SetupInfluxDb};
use crate::config::File;

pub(crate) fn run(what: Setup, file: &File) -> Result<ExitCode, Failure> {
    let Setup::Influxdb(options) = what;
    influxdb(options, file)
}

fn influxdb(options: SetupInfluxDb, file: &File) -> Result<ExitCode, Failure> {
    let SetupInfluxDb { tokens, url, shorten } = options;
    let config = &file.aggregator.store;
    let env = |name: &str| std::env::var(name).ok();
    let admin = secret::find("INFLUXDB_ADMIN_TOKEN", "influxdb-admin-token", env)
        .map_err(|error| Failure::new(Code::Config, error))?;
    let server = &config.influxdb;
    let url = url.or_else(|| server.url.clone()).unwrap_or_else(|| "http://127.0.0.1:8086".to_owned());
    let plan = Plan {
        url,
        org: server.org.clone(),
        buckets: [
            (server.bucket.clone(), config.trades_age),
            (server.minutes_bucket.clone(), config.minutes_age),
        ],
        admin,
        folder: tokens,
        shorten,
    };
    let steps = set_up(&plan).map_err(|error| failure(&error))?;
    let text: String = steps.iter().map(|step| format!("{step}\n")).collect();
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn failure(error: &StoreError) -> Failure {
    let code = match error.kind() {
        ErrorKind::Away => Code::Unavailable,
        ErrorKind::Refused => Code::NoPermission,
        ErrorKind::Config => Code::Config,
        _ => Code::Io,
    };
    Failure::new(code, error)
}
