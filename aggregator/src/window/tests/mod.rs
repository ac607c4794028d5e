//! The rules as tables, and what must hold for any records.

mod naive;
mod random;
mod resume;
mod rules;
mod support;
