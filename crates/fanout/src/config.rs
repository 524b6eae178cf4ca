//! How many shards there are, and how much the log holds.

use std::{sync::Arc, time::Duration};

use standpipe_ledger::Tariff;

use crate::Demand;

/// The settings of the fan-out. Every number is positive.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tasks that clients are spread over; one for each worker thread is right.
    pub shards: usize,
    /// The most events that the log holds.
    pub max_events: usize,
    /// The most memory that the log's events take, in bytes.
    pub max_bytes: usize,
    /// The longest that the log holds an event.
    pub max_age: Duration,
    /// The most keys whose latest event is held for snapshots.
    pub max_keys: usize,
    /// The most memory that these events take, in bytes.
    pub max_keys_bytes: usize,
    /// The most memory that what waits for all clients may take beside the log and the keys, in bytes.
    pub max_queue_bytes_total: usize,
    /// The longest that a client may take to read a snapshot: the state that it reads is held as long.
    pub snapshot_patience: Duration,
    /// So many clients of a shard that read the log at the same time read it together. With fewer, an index for them would
    /// cost more than it saves.
    pub crowd: usize,
    /// What events are charged as, where they are.
    pub tariff: Option<Arc<Tariff>>,
    /// Where the instances of demand-driven sources are, if there are such sources.
    pub demand: Option<Arc<dyn Demand>>,
}

#[cfg(test)]
impl Config {
    /// A log for tests: of everything but events there is more than enough.
    pub(crate) fn of_events(max_events: usize) -> Self {
        Self {
            shards: 1,
            max_events,
            max_bytes: 1 << 30,
            max_age: Duration::from_secs(3600),
            max_keys: 1 << 20,
            max_keys_bytes: 1 << 30,
            max_queue_bytes_total: 1 << 30,
            snapshot_patience: Duration::from_secs(60),
            crowd: 32,
            tariff: None,
            demand: None,
        }
    }
}
