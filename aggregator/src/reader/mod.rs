//! Which record is next, and where it comes from: the bus while nothing is missing, the journal otherwise.
//!
//! [`Reader`] is pure: events and the time go in, [`Order`]s come out. Whatever happens on the bus (messages lost,
//! doubled, late, in another order; the broker gone), it asks the journal for everything from the next offset on and
//! joins the live stream again. That is the only way to recover there is.
//!
//! What it hands on is a sequence without hole or double. Most of it is handed on before it is durable; that part,
//! the *overlay*, is taken back by [`Order::Discard`] if its epoch turns out to have ended first.
//!
//! **The journal has the last word.** A batch of another epoch on the bus may be the first sign of a new life of the
//! gateway or the last of an old one, and nothing in it says which. So it is a hint to ask the journal, which names
//! its epoch with each answer; an epoch is only taken for ended when the journal says so.

mod held;
mod state;
#[cfg(test)]
mod tests;

pub use state::{JournalHead, Order, Reader};
