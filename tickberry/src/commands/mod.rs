//! One file a command.

use std::io::Write as _;

use tickberry_service::exit::{Code, Failure};

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod generate;
pub(crate) mod role;
pub(crate) mod setup;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod tap;
pub(crate) mod up;

/// Writes to standard output. Whoever closed it has seen enough: `tickberry status | head -1`.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Io, format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// The innermost reason of an error: what a person can act on.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
