//! One charge: who pays, for what, how often, and under which key; and what a call to the sink can come to.

use std::{fmt, sync::Arc, time::Duration};

use standpipe_protocol::ConnectionId;

use crate::EventName;

/// Whose money it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payer {
    /// The run's owner, for all its connections (`SINGLE_TENANT`).
    Run,
    /// The caller of one connection (`MULTI_TENANT`).
    Connection(ConnectionId),
}

/// What the platform knows one request of a caller by, and lets charge that caller by: never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestId(…)")
    }
}

/// The name of one charge, the same over all attempts: who receives two of one key charges once.
///
/// Unique: a running number, the run, and a random part, so that no two processes of a run make the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Key(pub Arc<str>);

impl Key {
    /// The `number`th key of a process, `random` being drawn once when it began.
    pub fn new(run: &str, event: &EventName, number: u64, random: u64) -> Self {
        Self(format!("{run}-{event}-{random:016x}-{number}").into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So many confirmed deliveries, to be charged at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Its name.
    pub key: Key,
    /// Who pays.
    pub payer: Payer,
    /// What proves the payer, where it is not the run's owner.
    pub request: Option<RequestId>,
    /// What for.
    pub event: EventName,
    /// How often; at least 1.
    pub count: u64,
}

/// What one attempt to charge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is charged, by this attempt or by an earlier one of the same key.
    Charged,
    /// This attempt has certainly charged nothing, and a later one may.
    NotNow {
        /// The pause that was asked for.
        retry_after: Option<Duration>,
    },
    /// Nobody knows: no answer, or one that does not tell.
    Unknown,
    /// This attempt has certainly charged nothing, and none like it ever will.
    Denied(Denied),
}

/// A charge that will never be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What else will not be accepted either.
    pub scope: Scope,
    /// What was said, for people.
    pub why: String,
}

/// How far a denial reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This charge.
    Charge,
    /// All charges of its payer.
    Payer,
    /// All charges of its event.
    Event,
    /// All charges.
    Everything,
}
