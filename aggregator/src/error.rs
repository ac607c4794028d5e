//! Why the aggregator does not start, or ends.

use std::path::PathBuf;

use tickberry_store::StoreError;

/// An error of the aggregator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refuses, and waiting would not mend it.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The store's directory is not there.
    #[error("the store's directory {} is not there; make it, or set another path", .0.display())]
    Directory(PathBuf),
    /// A value of the configuration that makes no sense.
    #[error("aggregator.{key} = {value}: {remedy}")]
    Config {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        remedy: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The store's thread cannot be started.
    #[error("the store's thread: {0}")]
    Thread(std::io::Error),
    /// A task of the service panicked: a mistake in this program.
    #[error("a task ended by itself: {0}")]
    Task(String),
}
