//! A local Standby platform: a tool to run and test Actors against, not part of the server.
//!
//! What it does is what the platform's documentation, and its official local runtime, say that the platform does. Where
//! they say nothing, it can be told to behave either way. So far it has runs and their charges.
//!
//! **Invariant:** it imports nothing of the server, so that it cannot share a misunderstanding with it.

mod answer;
mod api;
mod charge;
mod fault;
mod platform;
mod run;

pub use fault::Fault;
pub use platform::{Platform, Request};
pub use run::{Pricing, Run, Tenancy};
