//! The real binary, started and asked as any user would: command line, HTTP, SQLite, MQTT, signals.

mod address;
mod browser;
mod database;
mod eventually;
mod grafana;
mod home;
mod http;
mod influx;
pub mod influx_store;
mod journal;
pub mod lab;
mod process;
pub mod raw;
pub mod servers;
mod shelf;
mod tap;
mod turn;
mod up;

pub use address::Host;
pub use browser::{Browser, Cell};
pub use database::{Database, MinuteRow, TABLES};
pub use eventually::eventually;
pub use grafana::{Grafana, GrafanaOptions, project_files};
pub use home::TempHome;
pub use http::{Client, Stream};
pub use influx::{Influx, OPERATOR, ORG};
pub use influx_store::InfluxStore;
pub use journal::Journal;
pub use process::{Finished, Process, binary, command};
pub use shelf::{PASSWORD, Role};
pub use tap::{Heard, Tap, published};
pub use turn::turn;
pub use up::{SOURCE, TOKEN, Up, UpOptions};
