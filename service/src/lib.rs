//! What every daemon of tickberry needs, whatever it does: configuration, secrets, logs, metrics, HTTP, the MQTT
//! client, a data directory, an orderly end. No word of markets here.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`] | one TOML file, environment and options over it, parsed once, errors with their path |
//! | [`secret`] | secrets from files, the environment or systemd, as a type that prints nothing |
//! | [`data_dir`] | the locked directory a process keeps its state in |
//! | [`exit`] | exit codes, and the error that carries one to `main` |
//! | [`health`] | how the process and its host are, for the status topic |
//! | [`http`] | binding, serving, health and metrics routes |
//! | [`log`] | tracing to standard error |
//! | [`mqtt`] | the one MQTT client: drops rather than waits, reconnects for ever |
//! | [`shutdown`] | signals, named tasks, draining with a deadline |
//! | [`systemd`] | ready, alive, stopping |

pub mod config;
pub mod data_dir;
pub mod exit;
pub mod health;
pub mod http;
pub mod log;
pub mod mqtt;
pub mod secret;
pub mod shutdown;
pub mod systemd;

pub use shutdown::Shutdown;
