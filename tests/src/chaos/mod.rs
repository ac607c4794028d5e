//! Real faults on the real processes: killed, stopped, parted, at random from a seed, and after each round every trade
//! and every window against the oracle.
//!
//! ```text
//! feeder ──ws──▶ gateway ══cable══▶ broker ══cable══▶ aggregator 0 ──▶ store
//!  (here)          ║                   └──▶ tap (here)     aggregator 1 ──▶ store, or the same one
//!                  ╚══════════cable════════ HTTP ══════════════╝
//! ```
//!
//! What is done follows from seed and round alone ([`plan`], [`steps`]); what comes of it does not, since the
//! scheduler has its say. [`market`] makes frames that can be told from one another, so that [`ledger`] knows of each what
//! became of it. [`verdict`] says what must hold after a round; [`round`] and [`campaign`] play.

pub mod cable;
pub mod campaign;
pub mod feeder;
pub mod ledger;
pub mod machine;
pub mod market;
pub mod plan;
pub mod round;
pub mod shelf;
pub mod steps;
pub mod tally;
pub mod verdict;
