//! Where the log of the process goes: standard error, for people on a terminal, as one JSON object a line otherwise.
//!
//! No place in the code writes more than 50 lines a second ([`quota`]).
//!
//! `RUST_LOG` says what is shown (`debug`, `info,standpipe_upstream=debug`); without it, everything from `info` on.

mod quota;

use std::io::{self, IsTerminal};

use anyhow::anyhow;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

pub(crate) use quota::QUOTA;

/// What is shown where `RUST_LOG` says nothing.
const DEFAULT: &str = "info";

/// Starts the log. Once in a process.
///
/// # Errors
/// If `RUST_LOG` is no filter, or a log was started before.
pub fn start() -> anyhow::Result<()> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.trim().is_empty());
    let wanted = wanted.as_deref().unwrap_or(DEFAULT);
    let filter = EnvFilter::try_new(wanted).map_err(|error| anyhow!("RUST_LOG is {wanted:?}: {error}"))?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if io::stderr().is_terminal() {
        lines.with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(&*QUOTA)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow!("start the log: {error}"))
}
