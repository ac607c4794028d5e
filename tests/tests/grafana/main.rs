//! `grafana/` with the real servers: what is provisioned, every query, and the alerts. Needs what scripts/servers makes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

#[path = "../system/feed.rs"]
#[allow(dead_code, reason = "the system tests' own; not all of it is needed here")]
mod feed;

mod alerts;
mod cost;
mod files;
mod lab;
mod live;
mod provisioned;
mod queries;
