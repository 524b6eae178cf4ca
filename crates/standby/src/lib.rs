//! A local Standby platform: a tool to run and test Actors against, not part of the server.
//!
//! What it does is what the platform's documentation, and its official local runtime, say that the platform does. Where
//! they say nothing, it can be told to behave either way.
//!
//! A [`Platform`] has an API; an [`Actor`] that is deployed on it has a port where callers find it. `fleet` decides which
//! run takes a request, `life` is one run, `proxy` the way between. Every time is one of [`Timing`].
//!
//! **Invariant:** it imports nothing of the server, so that it cannot share a misunderstanding with it.

mod actor;
mod answer;
mod api;
mod call;
mod charge;
mod coding;
mod container;
mod date;
mod deployment;
mod dockerfile;
mod environment;
mod error;
mod events;
mod fault;
mod fleet;
mod folder;
mod hosted;
mod id;
mod life;
mod log;
mod platform;
mod probe;
mod proxy;
mod relay;
mod run;
mod storage;
mod timing;
mod tunnel;
mod usage;

pub use actor::{Actor, Memory, OnCrash, Settings};
pub use deployment::Deployment;
pub use dockerfile::{Copied, Dockerfile, Instruction, Stage};
pub use error::Error;
pub use fault::{Fault, Link, Orphans, Pongs};
pub use log::Line;
pub use platform::{Platform, Request};
pub use run::{Pricing, Run, Tenancy};
pub use timing::Timing;
