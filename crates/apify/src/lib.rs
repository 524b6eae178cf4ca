//! The platform: what a run may charge, and how it is charged.
//!
//! Facts about the platform are from its documentation and the sources of its official tools; where they leave something
//! open, what is here survives either answer.
//!
//! **Invariant:** the token and the ids of requests are in no message and no log.

mod answer;
pub mod api;
pub mod env;
pub mod error;
pub mod run;
pub mod sink;

pub use api::{Api, Endpoint, PATIENCE};
pub use env::Env;
pub use error::Error;
pub use run::{RunInfo, Tenancy, Tier};
pub use sink::{ApifySink, KEY_LIFE, LATENESS, terms};

#[cfg(test)]
mod tests;
