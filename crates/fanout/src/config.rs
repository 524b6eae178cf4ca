//! How many shards there are, and how much the log holds.

use std::time::Duration;

/// The settings of the fan-out. Every number is positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Tasks that clients are spread over; one for each worker thread is right.
    pub shards: usize,
    /// The most events that the log holds.
    pub max_events: usize,
    /// The most memory that the log's events take, in bytes.
    pub max_bytes: usize,
    /// The longest that the log holds an event.
    pub max_age: Duration,
}
