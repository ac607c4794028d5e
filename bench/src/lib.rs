//! Our numbers, the peers' and the limit in one run.
//!
//! Everything is timed in turn, round after round, in one process and on the same trades, and the smallest time of each
//! counts: that is what the machine does when nothing else disturbs it. What is claimed are the ratios. A row that loses
//! stays in the table.

mod clock;
pub mod journals;
pub mod peers;
mod table;
pub mod trades;

pub use clock::{Contest, nanoseconds_each};
pub use table::print;
