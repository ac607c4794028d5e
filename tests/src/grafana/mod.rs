//! The dashboards and alerts in `grafana/`, taken apart: their queries, what they must answer, what they did answer.

mod asked;
mod check;
mod data;
mod hook;
mod names;
mod pipeline;

pub use asked::{Asked, Kind, dashboard, dashboards, of_dashboard, of_rule};
pub use check::{ask, check, expected};
pub use data::{Buckets, SOURCE, SYMBOL, TRADES_BUCKET, market, now_ms, renamed};
pub use hook::{Hook, Notice};
pub use names::{Names, known, used};
pub use pipeline::{Moment, STEP_MS, calm, pipeline, series};
