//! The reader against a world of a gateway, its journal and a bus that spoils everything.

mod random;
mod rules;
mod world;
