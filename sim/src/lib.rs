//! Gateway, bus, aggregators and store in one deterministic world, with everything that can go wrong.
//!
//! One seed is one world: what happens in it is a schedule made from the seed, and no clock, thread, socket or file
//! has a part in it. The parts that decide are the real ones: [`Recorder`](tickberry_gateway::recorder::Recorder) with
//! its journal, [`Consumer`](tickberry_aggregator::consumer::Consumer) with reader, book and fold. Models take the
//! place of what is around them.
//!
//! # Layout
//!
//! - [`schedule`]: what happens, as data
//! - [`feed`]: trades, with all that is strange about them
//! - [`gateway`], [`aggregator`]: processes on their hosts
//! - [`network`], [`store`]: what is between and behind them
//! - [`world`], `following`, [`events`]: time, messages and faults
//! - [`ledger`], [`verify`]: what was promised, and whether it was kept
//! - [`run`]: a whole seed, and a shorter schedule where one fails
//! - [`breaks`]: faults on purpose, which must be noticed

pub mod aggregator;
pub mod breaks;
pub mod events;
pub mod feed;
mod following;
pub mod gateway;
pub mod ledger;
pub mod network;
pub mod random;
pub mod run;
pub mod schedule;
pub mod store;
pub mod verify;
pub mod world;
