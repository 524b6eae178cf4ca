//! The `standpipe` binary, as a library that its tests can use.

pub mod check;
pub mod config;
pub mod demo;
pub mod telemetry;
