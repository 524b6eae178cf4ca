//! The platform, as a run sees it: what it is told, what it may ask for and say, what it may charge and how.
//!
//! Facts about the platform are from its documentation and the sources of its official tools; where they leave something
//! open, what is here survives either answer.
//!
//! **Invariant:** the token and the ids of requests are in no message and no log.

mod answer;
pub mod api;
pub mod env;
pub mod error;
pub mod notice;
pub mod run;
pub mod sink;

pub use api::{Api, Endpoint, Last, PATIENCE, Slots};
pub use env::{Env, Mode};
pub use error::Error;
pub use notice::{Machine, Notice};
pub use run::{RunInfo, Tenancy, Tier};
pub use sink::{ApifySink, KEY_LIFE, LATENESS, terms};

#[cfg(test)]
mod tests;
