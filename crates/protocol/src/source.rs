//! What there is to tell of a source: its state, as clients and operators know it, and what it has missed.

use std::{fmt, sync::Arc};

use crate::{Topic, topic::Scope};

/// Whether a source delivers.
///
/// ```text
/// connecting ──first data──▶ live ──no data for `stale_after`──▶ stale
///     ▲                        ▲ └────────── data ◀──────────────┘
///     └── attempt ── down ◀── connection lost, or attempt failed
/// ```
///
/// The order is from bad to good: what several sources are together is the greatest of what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Not connected; the next attempt waits for its backoff, or there will be none.
    Down,
    /// Being connected, or connected without data so far.
    Connecting,
    /// Connected, but no data for longer than its threshold.
    Stale,
    /// Data arrives.
    Live,
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

/// Something to tell of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceNews {
    /// The name that clients know it by.
    pub source: Arc<str>,
    /// Where its topics are: for an instance of a demand-driven source, another scope than for all others.
    pub scope: Scope,
    /// Since when it is so, in milliseconds since 1970-01-01 UTC.
    pub since: u64,
    /// What.
    pub turn: SourceTurn,
}

/// What has become of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceTurn {
    /// It is in another state.
    State(SourceState),
    /// It is known, by the feed's own numbers, not to have got all that the feed has sent.
    Gap {
        /// Of what; of nothing that can be told apart, if there is none.
        topic: Option<Topic>,
        /// How much, in the feed's numbers.
        missed: u64,
    },
    /// It was an instance of a demand-driven source, and is no more: no event is in its scope from here on.
    Ended,
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
