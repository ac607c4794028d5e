//! Folds the journal into exact one-minute windows and writes them to a store.
//!
//! ```text
//!             batches                 orders                    rows, cursor
//!  bus ─────────────────▶ reader ─────────────▶ book ────────────────────────▶ writer ──▶ store
//!   ▲                       ▲ │ fetch            │ committed fold, live fold
//!   │ minutes, live, status │ ▼                  │
//!   └───────────────────────│─journal over HTTP  │
//!   └────────────────────────────────────────────┘
//! ```
//!
//! One pipeline a source. It decides nothing by a clock or by the order of arrival: everything that makes a point
//! is a record of the journal. So any number of aggregators write the same points, and a start, a lost message, a
//! slow store and a store restored from a backup are one and the same case: read the journal from the cursor on.
//!
//! # Layout
//!
//! - [`records`]: what came, decoded once
//! - [`reader`]: which record is next, and where it comes from (pure)
//! - [`window`]: the fold (pure)
//! - [`book`]: the committed fold, the overlay ahead of it, and the rows in between (pure)
//! - [`consumer`]: reader, book and the decisions about the store: what to write when, and what after a failure (pure)
//! - `pipeline`: one source, from bus and journal to the store and back to the bus: the shell around a consumer
//! - `inbox`, `fetch` with [`frames`], `writer`: a pipeline's ways in and out, each bounded
//! - `status`, `live`, `newest`: what it tells on the bus
//! - `service`: everything put together
//!
//! # What it promises
//!
//! - No row, cursor or final minute holds a record that is not committed.
//! - Rows and cursor are one transaction; after any failure it goes back to the cursor the store holds.
//! - A store that is away costs no memory and stops no page.

mod backoff;
pub mod book;
mod config;
pub mod consumer;
mod error;
mod fetch;
pub mod frames;
mod inbox;
mod live;
mod metrics;
mod newest;
mod pipeline;
mod points;
pub mod reader;
pub mod records;
mod retention;
mod rows;
mod service;
mod status;
pub mod window;
mod writer;

pub use config::{Config, InfluxDb, SourceConfig, StoreConfig};
pub use error::Error;
pub use service::{Built, Environment, build, build_with};
pub use writer::Opener;
