//! What connections tell their shard: that they have room again, and how much memory waits for their clients.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use standpipe_protocol::ConnectionId;
use tokio::sync::Notify;

/// The connections of one shard that wait for more and can take it.
///
/// Invariant: a connection is in it once, because it has to be asked ([`crate::Connection::want_room`]) each time. So it
/// needs no bound but the number of connections, and nobody waits to put something in.
#[derive(Debug, Default)]
pub struct Signal {
    ready: Mutex<Vec<ConnectionId>>,
    notify: Notify,
    frame_bytes: AtomicUsize,
    own_bytes: AtomicUsize,
}

/// How much memory waits for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// The frames that are queued or being written. A frame that several clients wait for is counted for each.
    pub frame_bytes: usize,
    /// What is there for one client alone, in bytes: the frames that are not shared, and the entries of the queues.
    pub own_bytes: usize,
}

impl Held {
    pub(crate) fn add(&mut self, more: Self) {
        self.frame_bytes += more.frame_bytes;
        self.own_bytes += more.own_bytes;
    }

    pub(crate) fn remove(&mut self, less: Self) {
        self.frame_bytes = self.frame_bytes.saturating_sub(less.frame_bytes);
        self.own_bytes = self.own_bytes.saturating_sub(less.own_bytes);
    }
}

impl Signal {
    /// What waits for all connections of the shard, short of a few KiB for each that has something queued
    /// (connections report when that much has changed, and when nothing waits any more).
    pub fn held(&self) -> Held {
        Held { frame_bytes: self.frame_bytes.load(Relaxed), own_bytes: self.own_bytes.load(Relaxed) }
    }

    /// One connection held `before`, and holds `now`.
    pub(crate) fn report(&self, before: Held, now: Held) {
        // Invariant: what a connection takes away it has added before, so the wrapping sums are never negative.
        self.frame_bytes.fetch_add(now.frame_bytes.wrapping_sub(before.frame_bytes), Relaxed);
        self.own_bytes.fetch_add(now.own_bytes.wrapping_sub(before.own_bytes), Relaxed);
    }

    pub(crate) fn raise(&self, connection: ConnectionId) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.notify.notify_one();
    }

    /// Takes all that are ready.
    pub fn take(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until one is ready.
    pub async fn raised(&self) {
        self.notify.notified().await;
    }
}
