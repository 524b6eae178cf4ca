//! Whole clients on a whole fan-out, by theme.

mod conflation;
mod convoy;
mod deliver;
mod describe;
mod grant;
mod memory;
mod model;
mod plan;
mod snapshot;
pub(crate) mod world;
