//! The broker: rumqttd's router behind listeners of our own.
//!
//! ```text
//!  services ──▶ service listener ──▶ ingress link ─┐
//!     ▲                                            ▼
//!     └───────── service hub ◀── feed link ── rumqttd's router (one ring of bounded size)
//!                                                  │
//!  taps ◀─── tap listener ◀─── tap hub ◀── feed link
//! ```
//!
//! rumqttd's router is fast and small, but its listener can be bricked or killed in nine known ways. So **no client,
//! service or tap, is ever a connection of the router**: it has exactly three links, made at the start and never
//! disconnected, and sees exactly one filter. What comes in from the network is checked before it gets there. The
//! router's ring decouples the two hubs: taps that are many or slow cost the services nothing.
//!
//! Promises: every queue here is bounded in messages and bytes, and each loss is counted with its reason; a broker whose
//! router has died ends ([`Built::run`] returns an error). Refusals: no persistence, no QoS 1 or 2 towards clients,
//! no `$share`, no `$` topics, no topic outside `tickberry/v1/`, and nothing from a tap but subscriptions.

mod auth;
mod codec;
mod config;
mod connection;
mod end;
mod error;
mod handshake;
mod hub;
mod listener;
mod metrics;
mod outbox;
mod retained;
mod router;
mod server;
mod session;
mod topic;

pub use auth::{Authenticator, Credentials, Refusal, Rights, SharedSecret};
pub use config::{Config, Limits};
pub use error::Error;
pub use server::{Built, build};
