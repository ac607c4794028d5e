//! `grafana/` with the real servers: what is provisioned, every query, and the alerts. Needs what scripts/servers makes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod alerts;
mod cost;
mod files;
mod lab;
mod provisioned;
mod queries;
