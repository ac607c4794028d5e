//! An independent oracle: what the store must hold, from the trades alone.
//!
//! Big rationals from the first digit to the last; one rounding, to the double nearest to the exact value,
//! at the end. It shares no code with the aggregator or the wire, on purpose: both can only be wrong in the
//! same way if the design is.

mod compare;
mod exact;
#[cfg(test)]
mod faults;
pub mod recorded;
mod trade;
mod windows;

pub use compare::same;
pub use exact::{Exact, exact, nearest};
pub use trade::{Sent, Trade, TradeRow, in_arrival_order, matched};
pub use windows::{Window, Windows, days, minutes};
