//! Exit codes, after `sysexits.h` where it has one.

use std::fmt;

/// Why a process ends; the number is what it exits with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Code {
    /// Anything without a code of its own.
    Failure = 1,
    /// Wrong use: options, or data of another kind.
    Usage = 64,
    /// A port taken, a lock held, a needed service not there.
    Unavailable = 69,
    /// Input or output failed.
    Io = 74,
    /// Refused: a password, a token, a right.
    NoPermission = 77,
    /// Configuration: file or environment.
    Config = 78,
}

/// An error on its way to `main`: one line that says what to do, and the code to exit with.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// A failure with its code and its one line.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// What to exit with.
    pub const fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
