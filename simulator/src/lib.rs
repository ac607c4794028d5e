//! A Finnhub lookalike on a local port.
//!
//! ```text
//! generated ─┐
//!            ├─▶ feed ─▶ session ─▶ server ─▶ ws://127.0.0.1:PORT/?token=KEY
//! recorded ──┘             ▲
//!                        script (every way the real one misbehaves)
//! ```
//!
//! It is the check on the gateway, so it shares no type and no line of JSON code with it. Everything that decides
//! takes the time as an argument and draws from seeded random numbers: [`Market`] and [`Replay`] are usable without
//! a socket, and yield the same trades for the same seed.
//!
//! What it does not do: TLS, news, REST, forex venues' quirks, hours before and after the regular session.
//!
//! Troubles are a script ([`Step`]), taken in order over all connections; one that is refused, kept waiting, stalls
//! after 100 frames, comes back, and is closed by a deployment ten seconds later:
//!
//! ```
//! let steps: Vec<tickberry_simulator::Step> = serde_json::from_str(r#"[
//!     {"trouble": {"refuse": 429}},
//!     {"trouble": {"hang": "65s"}},
//!     {"after": {"frames": 100}, "trouble": {"stall": {}}},
//!     {"after": {"time": "10s"}, "trouble": {"close": 1001}}
//! ]"#)?;
//! # assert_eq!(steps.len(), 4);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), tickberry_simulator::SimulatorError> {
//! use tickberry_simulator::{Config, Simulator};
//! let simulator = Simulator::build(Config::default()).await?;
//! let (url, control) = (simulator.url(), simulator.control());
//! let shutdown = tokio_util::sync::CancellationToken::new();
//! tokio::spawn(simulator.run(shutdown.clone()));
//! // … connect a client to `url` …
//! control.until(|counts| counts.trades >= 100).await;
//! shutdown.cancel();
//! # Ok(()) }
//! ```

mod clock;
mod config;
mod control;
mod feed;
mod frame;
mod generated;
mod handshake;
mod json;
mod recorded;
mod script;
mod server;
mod session;
mod trade;

pub use config::{AtEnd, Config, Generated, OnReconnect, Recorded, SecondConnection, SessionSpec, Speed};
pub use control::{Control, Counts};
pub use feed::Next;
pub use generated::{Kind, Market, Profile, SLICE_MS, new_york_open, session, slice};
pub use json::{ConditionStyle, PING, Style, TOO_MANY, trade_frame};
pub use recorded::{MAX_TRADES, RecordingError, Replay, finnhub_symbol, load, merge, shuffle};
pub use script::{After, Step, Trouble};
pub use server::{Simulator, SimulatorError, schedule};
pub use trade::{Conditions, Scheduled, Trade, number, plain_number};
