//! The journal as a whole: on a real directory, on a model disk that forgets, killed, damaged, and over HTTP.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in their helper functions")]

mod basics;
mod crashes;
mod damage;
mod faults;
mod http;
mod identity;
mod killed;
mod recorded;
mod returned;
mod sealed;
mod support;
