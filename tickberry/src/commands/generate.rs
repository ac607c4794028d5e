//! `tickberry generate`: manual pages and completions, from the definition the command line is parsed with.

use std::path::Path;
use std::process::ExitCode;

use tickberry_service::exit::{Code, Failure};

use crate::cli::{Cli, Generate};

pub(crate) fn run(what: Generate) -> Result<ExitCode, Failure> {
    match what {
        Generate::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::definition(), "tickberry", &mut script);
            super::print(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Generate::Man { to } => pages(&to),
    }
}

fn pages(folder: &Path) -> Result<ExitCode, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(Code::Io, format!("cannot write into {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(cannot)?;
    clap_mangen::generate_to(Cli::definition(), folder).map_err(cannot)?;
    Ok(ExitCode::SUCCESS)
}
