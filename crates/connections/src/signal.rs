//! What connections tell their shard: that they have room again, and how much memory waits for their clients.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use standpipe_protocol::ConnectionId;
use tokio::sync::Notify;

use crate::{Connection, turnstile::Turnstile};

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
    turnstile: Turnstile,
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

    /// Whether `connection` may write what was read from the log for it. If not, it is woken when it may.
    pub(crate) fn pass(&self, connection: &Arc<Connection>) -> bool {
        let may_pass = self.turnstile.pass(connection);
        if !may_pass {
            self.notify.notify_one();
        }
        may_pass
    }

    /// `connection` has something to write that was read from the log for it.
    pub(crate) fn line_up(&self, connection: &Arc<Connection>) {
        if self.turnstile.line_up(connection) {
            self.notify.notify_one();
        }
    }

    /// Lets some more of the connections write that wait for it. To be called in each turn of the shard.
    pub fn let_pass(&self) {
        self.turnstile.turn();
    }

    /// Whether connections wait to write.
    pub fn has_line(&self) -> bool {
        self.turnstile.has_line()
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
