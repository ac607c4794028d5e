//! The generated market: trades that look like recorded ones, for any symbol, as a pure function of seed, symbol
//! and time. Two connections, or the simulator before and after a restart, see the same market.

mod hours;
mod level;
mod market;
mod profile;
mod session;
mod slice;
mod tables;

pub use hours::new_york_open;
pub use market::Market;
pub use profile::{Kind, Profile};
pub use session::session;
pub use slice::{SLICE_MS, slice};
