//! One file a command.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod generate;
pub(crate) mod role;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod tap;
pub(crate) mod up;

/// The innermost reason of an error: what a person can act on.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
