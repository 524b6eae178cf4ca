//! The client against a scripted server: over real sockets, and over pipes in memory where time is paused.
#![expect(clippy::unwrap_used, reason = "what a test relies on may fail it")]
#![allow(unreachable_pub, reason = "a test is no library")]

mod commands;
mod pace;
mod refuse;
mod renew;
mod resume;
mod support;
mod tls;
