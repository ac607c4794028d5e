//! The contract between tickberry's parts: what a trade is, how batches of journal records look as bytes, which
//! topics exist and which JSON goes over them.
//!
//! No I/O and no clock. Everything here is a value, or a function from one form of a value to another.
//!
//! | module | what it defines |
//! |---|---|
//! | [`decimal`] | exact decimal numbers that keep the digits they were sent with |
//! | [`trade`] | one trade or price update, its symbol, source and conditions |
//! | [`record`] | the journal's records: trades, control records, epochs, offsets |
//! | [`batch`] | the binary codec, one message for bus, journal and HTTP alike |
//! | [`topic`] | MQTT topics, built and read in this module only |
//! | [`counted`] | what a service has counted, as part of its status |
//! | [`json`] | the JSON shapes of the text topics and of the API |

pub mod batch;
pub mod counted;
pub mod decimal;
pub mod json;
pub mod record;
pub mod symbol;
pub mod topic;
pub mod trade;

pub use batch::{
    Columns, DecodeError, EncodeError, Head, MAX_PAYLOAD, MAX_TRADES, decode, decode_columns, encode, peek,
};
pub use decimal::{Decimal, DecimalError};
pub use record::{Batch, Body, Control, Epoch, EpochStart, Gap, GapReason};
pub use symbol::{Source, Symbol, SymbolError};
pub use trade::{Conditions, Trade, is_plausible_time};
