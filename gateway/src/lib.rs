//! Finnhub's frames into the journal and onto the bus.
//!
//! ```text
//! Finnhub ──▶ finnhub ──▶ recorder ──▶ journal ──flush each second──▶ committed
//!             socket,       offsets,      │ │
//!             parser,       times,        │ └──▶ serve: the journal over HTTP
//!             session       gaps, ticks   ▼
//!                                     publisher ──▶ batches/{source}
//!                                     mirror    ──▶ trades/{source}/{symbol}
//!                                     status    ──▶ status/gateway/{node}
//! ```
//!
//! What decides is plain code that takes the time as an argument: [`finnhub::Parser`], [`finnhub::Session`],
//! [`recorder::Recorder`], [`symbols::SymbolBook`], all held together by [`core::Core`]. The one loop around it is in
//! [`service`].
//!
//! Promises: a frame is journaled before it is published; publishing drops rather than queues; a refused token, a
//! silent feed, a full disk and an unreachable broker are states, and none of them ends the process.

pub mod config;
pub mod core;
pub mod finnhub;
pub mod journal;
pub mod recorder;
pub mod serve;
pub mod service;
pub mod symbols;

mod driver;
mod link;
mod metrics;
mod mirror;
mod status;

pub use config::{Config, ConfigError};
pub use service::{BuildError, Built, Deps, build};
