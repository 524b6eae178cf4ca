//! What a connection may take, and how long it may take it.

use std::time::Duration;

use standpipe_liveness::Rate;
use standpipe_protocol::Limits;

use crate::Way;

/// The settings that all connections share. Every number is positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The most that may wait for a client, in bytes.
    pub max_queue_bytes: usize,
    /// The longest that a frame may wait for a client whose overflow policy is `disconnect`.
    pub max_queue_age: Duration,
    /// The most that is written beyond the last receipt, in bytes.
    pub max_unconfirmed_bytes: usize,
    /// The most that is written beyond the last receipt, in data frames.
    pub max_unconfirmed_frames: u64,
    /// The largest message of a client, in bytes.
    pub max_frame: usize,
    /// From one ping to the next, ± 10 % by connection.
    pub ping_interval: Duration,
    /// How long a ping may go unanswered.
    pub pong_timeout: Duration,
    /// From one heartbeat message to the next, ± 10 % by connection.
    pub heartbeat: Duration,
    /// How long a client may be connected before it subscribes to something.
    pub first_step: Duration,
    /// How long a client that has unsubscribed from everything may stay.
    pub idle: Duration,
    /// How often a client may send commands; `ack` is none of them.
    pub command_rate: Option<Rate>,
    /// How many events a client gets.
    pub event_rate: Option<Rate>,
    /// How far back a client may resume.
    pub history: Option<Duration>,
    /// How long not one byte may be written.
    pub write_timeout: Duration,
    /// The least time between two writes of a client that gets much; a quiet one is written to at once.
    pub flush_interval: Duration,
    /// Subscriptions at the same time, as told in `welcome`.
    pub max_subscriptions: usize,
}

impl Config {
    /// What a client is told in `welcome`.
    pub fn limits(&self) -> Limits {
        Limits {
            max_subscriptions: self.max_subscriptions,
            max_frame_bytes: self.max_frame,
            max_unconfirmed_bytes: self.max_unconfirmed_bytes,
            max_unconfirmed_frames: self.max_unconfirmed_frames,
        }
    }

    /// How many bytes may be queued for one more frame to come this way.
    pub(crate) fn bound(&self, way: Way) -> usize {
        match way {
            Way::Live | Way::Conflated => self.max_queue_bytes,
            Way::Replay => self.max_queue_bytes / 8,
        }
    }

    /// At most this many bytes are queued when a client that had no room gets more this way.
    pub(crate) fn low_water(&self, way: Way) -> usize {
        match way {
            Way::Live | Way::Conflated => self.max_queue_bytes / 4,
            Way::Replay => self.max_queue_bytes / 16,
        }
    }

    /// What answers and notices may take beyond `max_queue_bytes`, before the client counts as slow for them too.
    pub(crate) fn reserve(&self) -> usize {
        (self.max_queue_bytes / 4).max(16 * 1024)
    }
}
