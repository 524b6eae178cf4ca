//! The `standpipe` server: arguments, configuration, and the layers put together.
//!
//! This crate decides nothing of its own about events, clients or sources. It reads what the operator wants, gives each
//! layer its part, carries what one layer returns to the one that needs it, and ends everything in order.

pub mod args;
mod audit;
mod auth;
mod billing;
pub mod check;
pub mod config;
pub mod demo;
mod descriptors;
mod hosted;
mod instances;
pub mod key;
mod kinds;
mod metrics;
mod panics;
pub mod program;
mod publishing;
mod readiness;
pub mod record;
mod resumption;
mod selfcheck;
mod service;
mod session;
mod shutdown;
mod sockets;
pub mod source;
pub mod tail;
pub mod telemetry;
mod terminal;
mod vitals;
mod watchdog;
pub mod wiring;

pub use kinds::Kinds;
