//! What is the same for all connections of a client: its patience, its pace, its bounds. No address, no selection.

use std::{path::PathBuf, time::Duration};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its deadlines.
    pub timing: Timing,
    /// Its pace between attempts.
    pub retry: Retry,
    /// Whether it comes back.
    pub reconnect: Reconnect,
    /// The largest message it takes from a server, in bytes.
    pub max_message: usize,
    /// A PEM file with certificates to trust besides those of the system.
    pub extra_ca: Option<PathBuf>,
}

/// How long a client waits for others. All of them end in a reconnect, none in a hang.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the TCP connection and TLS.
    pub connect: Duration,
    /// For the answer to the HTTP upgrade, and again for `welcome`.
    pub handshake: Duration,
    /// For a command to be taken by the network.
    pub write: Duration,
    /// For the other half of the close handshake.
    pub close: Duration,
    /// For a new credential.
    pub renew: Duration,
    /// What a server's silence may exceed two heartbeat intervals by.
    pub slack: Duration,
}

/// How long a client waits between attempts: with *full jitter*, a random time up to `base` that doubles with each
/// failure in a row and stops growing at `cap`. That spreads clients that lost the same server at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The most that is waited after the first failure.
    pub base: Duration,
    /// The most that is ever waited.
    pub cap: Duration,
}

/// Whether a client comes back after a failure that another attempt could mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Always, the first attempt included.
    Always,
    /// Once it was connected: a first attempt that fails is an error.
    OnceConnected,
    /// Never: every end of a connection is an error.
    Never,
}

impl Config {
    /// What the documentation of the wire recommends to every client.
    pub const RECOMMENDED: Self = Self {
        timing: Timing {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(10),
            close: Duration::from_secs(3),
            renew: Duration::from_secs(30),
            slack: Duration::from_secs(5),
        },
        retry: Retry { base: Duration::from_millis(500), cap: Duration::from_secs(20) },
        reconnect: Reconnect::Always,
        max_message: 16 << 20,
        extra_ca: None,
    };
}
