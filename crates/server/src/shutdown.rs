//! When the process ends, and in which order.
//!
//! ```text
//! running ──SIGTERM, SIGINT, POST /drain, the platform──▶ draining ──all clients gone, or the deadline──▶ stopping ──▶ exit 0
//!                                                             └── a further signal: no more spreading; or no more charging
//! ```
//! Draining: not ready, no new clients, goodbye to the ones there are. Stopping: sources, entry, shards, in this order.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end the process.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Nobody waits for it. A file that may not grow any further is as a full disk, and not the end of the process.
    _file_size: Signal,
}

/// SIGXFSZ, by its number on Linux (signal(7)) and macOS.
const FILE_SIZE: i32 = 25;

impl Signals {
    /// Takes over SIGTERM and SIGINT, and SIGXFSZ, whose reason writers are told as an error.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    /// Waits for one of them.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits until something says that the process shall end, and says what.
    pub(crate) async fn first(&mut self, asked: &CancellationToken, told: &CancellationToken) -> &'static str {
        tokio::select! {
            signal = self.next() => signal,
            () = asked.cancelled() => "POST /drain",
            () = told.cancelled() => "the platform",
        }
    }
}
