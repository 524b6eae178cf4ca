//! The state of a source, as clients and operators are told it.

use std::fmt;

/// Whether a source delivers.
///
/// ```text
/// connecting ──first data──▶ live ──no data for `stale_after`──▶ stale
///     ▲                        ▲ └────────── data ◀──────────────┘
///     └── attempt ── down ◀── connection lost, or attempt failed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Being connected, or connected without data so far.
    Connecting,
    /// Data arrives.
    Live,
    /// Connected, but no data for longer than its threshold.
    Stale,
    /// Not connected; the next attempt waits for its backoff, or there will be none.
    Down,
}

impl SourceState {
    /// All states, for metrics.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Live, Self::Stale, Self::Down];

    /// The word for it on the wire, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
