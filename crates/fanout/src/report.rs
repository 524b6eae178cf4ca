//! What a shard says of itself when asked: for metrics, and for those who look at connections.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use standpipe_ledger::{Tally, Totals};
use standpipe_protocol::{Confirm, ConnectionId, Cursor, GapReason, Identity, Overflow, Spread, Transport};

/// Counts by a closed set of kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountBy<K>(pub BTreeMap<&'static str, u64>, std::marker::PhantomData<K>);

impl<K: Word> Default for CountBy<K> {
    fn default() -> Self {
        Self(K::WORDS.iter().map(|word| (*word, 0)).collect(), std::marker::PhantomData)
    }
}

impl<K: Word> CountBy<K> {
    pub(crate) fn count(&mut self, kind: &K) {
        *self.0.entry(kind.word()).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (word, n) in &other.0 {
            *self.0.entry(word).or_default() += n;
        }
    }
}

/// A kind that has a word in metrics.
pub trait Word {
    /// All words.
    const WORDS: &'static [&'static str];
    /// The word of this kind.
    fn word(&self) -> &'static str;
}

impl Word for Overflow {
    const WORDS: &'static [&'static str] = &["disconnect", "catch_up", "skip"];
    fn word(&self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::CatchUp => "catch_up",
            Self::Skip => "skip",
        }
    }
}

/// What a client did with what waited for it, when too much waited for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relief {
    /// It was closed.
    Closed,
    /// It reads it from the log.
    Returned,
    /// It is told a gap.
    Skipped,
}

impl Word for Relief {
    const WORDS: &'static [&'static str] = &["closed", "returned", "skipped"];
    fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Returned => "returned",
            Self::Skipped => "skipped",
        }
    }
}

impl Word for GapReason {
    const WORDS: &'static [&'static str] = &["slow_consumer", "history_expired", "epoch_changed", "rate_limited"];
    fn word(&self) -> &'static str {
        self.as_str()
    }
}

/// What a shard counts as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events read from the log, for whomever.
    pub dispatched: u64,
    /// For how many clients of a shard each of them was.
    pub audiences: Spread,
    /// Deliveries that were read from the log for one client.
    pub pulled: u64,
    /// Clients that joined others to read the log with them.
    pub rides: u64,
    /// Snapshots that were shown to their end.
    pub snapshots: u64,
    /// Keys shown in snapshots.
    pub shown: u64,
    /// Clients that did not keep up, by what followed.
    pub overflows: CountBy<Overflow>,
    /// Clients that gave up what waited for them because too much waited for all, by what followed.
    pub reliefs: CountBy<Relief>,
    /// Times that a client had had what its plan gives it.
    pub throttled: u64,
    /// Gaps told, by reason.
    pub gaps: CountBy<GapReason>,
}

/// A client that has proven to have received something less than this ago is consuming. Open is not consuming: who is only
/// connected may have nothing to read, or not read.
pub(crate) const CONSUMING: Duration = Duration::from_secs(60);

/// The sums over one shard, or over all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Open connections.
    pub connections: u64,
    /// Of these, with at least one subscription.
    pub subscribed: u64,
    /// Of these, proven within a minute to have received something.
    pub consuming: u64,
    /// Of these, reading the log at a cursor of their own.
    pub pulling: u64,
    /// Subscriptions in all.
    pub subscriptions: u64,
    /// What the index holds: as many, or something was left behind.
    pub entries: u64,
    /// Bytes queued for clients.
    pub queue_bytes: u64,
    /// How long the frame waits that has waited longest in a queue.
    pub queue_age: Duration,
    /// How far behind the head the shard that is furthest behind stands.
    pub lag: u64,
    /// What became of the events, of open and of ended connections.
    pub totals: Totals,
    /// What was counted.
    pub counters: Counters,
    /// Pongs and acknowledgements that proved nothing.
    pub unproven: u64,
    /// Errors told to clients, by code.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Adds another shard's.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.subscribed += other.subscribed;
        self.consuming += other.consuming;
        self.pulling += other.pulling;
        self.subscriptions += other.subscriptions;
        self.entries += other.entries;
        self.queue_bytes += other.queue_bytes;
        self.queue_age = self.queue_age.max(other.queue_age);
        self.lag = self.lag.max(other.lag);
        self.totals.merge(&other.totals);
        self.counters.dispatched += other.counters.dispatched;
        self.counters.audiences.merge(&other.counters.audiences);
        self.counters.pulled += other.counters.pulled;
        self.counters.rides += other.counters.rides;
        self.counters.snapshots += other.counters.snapshots;
        self.counters.shown += other.counters.shown;
        self.counters.throttled += other.counters.throttled;
        self.unproven += other.unproven;
        for (code, count) in &other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.counters.overflows.merge(&other.counters.overflows);
        self.counters.reliefs.merge(&other.counters.reliefs);
        self.counters.gaps.merge(&other.counters.gaps);
    }
}

/// One connection, for those who operate the server.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Its name.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: String,
    /// Who it is: `subject`, `credential`, `plan` and `expires`, each only if it is known.
    #[serde(flatten)]
    pub identity: Arc<Identity>,
    /// When it was accepted, milliseconds since 1970-01-01 UTC.
    pub since: u64,
    /// `idle`, `push`, `pull`, `skip` or `ended`.
    pub mode: &'static str,
    /// What it asked for.
    pub subscriptions: Vec<DescribedSubscription>,
    /// What its events travel by.
    pub transport: Transport,
    /// What proof of receipt it owes; told only if it owes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
    /// What happens if it does not keep up.
    pub overflow: Overflow,
    /// The last place that was fully written.
    pub position: Option<Cursor>,
    /// How many places the log is ahead of what was evaluated for it.
    pub lag: u64,
    /// Bytes queued for it.
    pub queue_bytes: usize,
    /// When it last proved to be there, milliseconds since 1970-01-01 UTC; 0 before the first time.
    pub last_receipt: u64,
    /// Pongs and acknowledgements that proved nothing.
    pub unproven: u64,
    /// What became of its events.
    pub ledger: Tally,
    /// Of those that were confirmed, how many were billed.
    pub billed: u64,
    /// Of those that were billed, how many were neither charged nor given up at its last receipt or ping.
    pub unsettled: u64,
}

/// What comes first in the order of those for whom most waits.
pub(crate) fn waiting(queue_bytes: usize, lag: u64) -> Reverse<(usize, u64)> {
    Reverse((queue_bytes, lag))
}

/// The topics of one name: there is one that all share, or one in each of some instances of demand-driven sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DescribedTopic {
    /// The name.
    pub topic: String,
    /// In how many instances; told only if it is no topic that all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// Of how many of its events the log holds.
    pub events: usize,
    /// How many of these it was given within the last minute.
    pub last_minute: usize,
    /// When it was given the last one, milliseconds since 1970-01-01 UTC.
    pub last: u64,
    /// How many subscriptions have a pattern that selects it, whatever their filters say.
    pub subscriptions: usize,
}

/// One subscription of a [`Description`].
#[derive(Debug, Clone, Serialize)]
pub struct DescribedSubscription {
    /// The pattern.
    pub topics: String,
    /// What it names an instance of a demand-driven source by; told only if it does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The filter, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Value>,
    /// Whether it begins with a snapshot; told only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub snapshot: bool,
    /// Whether of what waits only the latest of each key is kept; told only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub conflate: bool,
}
