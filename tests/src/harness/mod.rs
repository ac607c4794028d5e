//! The real binary, started and asked as any user would: command line, HTTP, SQLite, MQTT, signals.

mod address;
mod browser;
mod database;
mod eventually;
mod home;
mod http;
mod journal;
mod process;
pub mod raw;
mod shelf;
mod tap;
mod turn;
mod up;

pub use address::Host;
pub use browser::{Browser, Cell};
pub use database::{Database, MinuteRow, TABLES};
pub use eventually::eventually;
pub use home::TempHome;
pub use http::{Client, Stream};
pub use journal::Journal;
pub use process::{Finished, Process, binary, command};
pub use shelf::{PASSWORD, Role};
pub use tap::{Heard, Tap, published};
pub use turn::turn;
pub use up::{SOURCE, TOKEN, Up, UpOptions};
