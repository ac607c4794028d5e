//! Finnhub's JSON and socket, known nowhere else.
//!
//! What comes over the socket (keys in alphabetical order on the wire, any order accepted):
//!
//! ```text
//! {"data":[{"c":["1","12"],"p":164.0601,"s":"AAPL","t":1680286537580,"v":5}],"type":"trade"}
//! {"data":[{"c":null,"p":61837.63,"s":"BINANCE:BTCUSDT","t":1723161255123,"v":0.00012}],"type":"trade"}
//! {"type":"ping"}
//! {"msg":"Subscribing to too many symbols","type":"error"}
//! ```
//!
//! `p` price, `s` symbol, `t` ms since 1970, `v` volume (0: a price update), `c` conditions (null, absent, empty or a
//! list). There is no trade id and no acknowledgement of a subscription. Frames come out as [`Message`]; what to do
//! about the connection comes out of [`Session`].

mod backoff;
mod copies;
mod endpoint;
mod message;
mod parser;
mod session;
mod socket;

pub use backoff::Backoff;
pub use copies::Copies;
pub use endpoint::{Endpoint, EndpointError};
pub use message::{Message, Snippet};
pub use parser::Parser;
pub use session::{Action, FrameKind, Handshake, Session, SessionSettings};
pub use socket::{Connector, Socket, TlsError};
