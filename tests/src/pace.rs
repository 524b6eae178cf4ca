//! Publishing at a pace, and how much the server holds meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Server, Usage};

/// How fast events are published: so many at once, so often.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Events in one request.
    pub batch: usize,
    /// From one request to the next. A request that is late is not made up for.
    pub every: Duration,
}

/// The most that was seen of the server between two requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peak {
    /// What waited for its clients, in bytes.
    pub queue_bytes: usize,
    /// The memory that this took beside the log, in bytes.
    pub queue_memory: usize,
    /// Memory in use, in bytes.
    pub resident: usize,
}

impl Pace {
    /// Publishes all events, and looks at the server meanwhile. Nobody else publishes.
    ///
    /// # Panics
    /// If their places in the log are not the next ones.
    pub async fn publish(self, server: &Server, events: &[Value]) -> Peak {
        let mut clock = interval(self.every);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut peak, mut last) = (Peak::default(), None);
        for batch in events.chunks(self.batch) {
            clock.tick().await;
            for seq in server.publish(batch).await {
                assert!(last.is_none_or(|last| seq == last + 1), "places have no gap: {seq} behind {last:?}");
                last = Some(seq);
            }
            let metrics = server.metrics().await;
            let bytes = |name| usize::try_from(metrics.count(name)).expect("a size in memory");
            peak.queue_bytes = peak.queue_bytes.max(bytes("standpipe_connections_queue_bytes"));
            peak.queue_memory = peak.queue_memory.max(bytes("standpipe_connections_queue_memory_bytes"));
            peak.resident = peak.resident.max(Usage::of(server.id()).resident);
        }
        peak
    }
}
