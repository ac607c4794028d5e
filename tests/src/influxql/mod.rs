//! What InfluxQL answers, from the points alone: the oracle of the dashboards' queries.
//!
//! Only as much of the language as they use, and anything else is an error, so that no query goes unchecked.

mod answer;
mod lexer;
mod parse;
mod point;
mod select;

pub use answer::{Range, Row, Series, answer};
pub use parse::{Condition, Expression, Query, Select, parse};
pub use point::{Point, Value};

#[cfg(test)]
mod tests;
