//! What connections tell their shard: that they have room again, and how much memory is there for their clients alone.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use standpipe_protocol::{ConnectionId, ErrorCode};
use tokio::sync::Notify;

use crate::{Connection, turnstile::Turnstile};

/// Two connections that write at the same time would share a counter at every event if each told its shard of each. A
/// client that keeps up rarely has this much queued.
pub(crate) const UNREPORTED: usize = 1024;

/// The connections of one shard that wait for more and can take it.
///
/// Invariant: a connection is in it once, because it has to be asked ([`crate::Connection::want_room`]) each time. So it
/// needs no bound but the number of connections, and nobody waits to put something in.
#[derive(Debug, Default)]
pub struct Signal {
    ready: Mutex<Vec<ConnectionId>>,
    notify: Notify,
    own_bytes: AtomicUsize,
    turnstile: Turnstile,
    errors: Errors,
    unproven: AtomicU64,
    beats: AtomicU64,
}

/// Errors told to clients, by code.
#[derive(Debug)]
struct Errors(Vec<AtomicU64>);

impl Default for Errors {
    fn default() -> Self {
        Self(ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Signal {
    /// The memory that is there for clients of the shard alone, in bytes: the entries of their queues, and frames that
    /// nobody shares. Short of [`UNREPORTED`] for each that has something queued.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes.load(Relaxed)
    }

    /// One connection had so much `before`, and has so much `now`.
    pub(crate) fn report(&self, before: usize, now: usize) {
        // Invariant: what a connection takes away it has added before, so the wrapping sum is never negative.
        self.own_bytes.fetch_add(now.wrapping_sub(before), Relaxed);
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

    /// A client is told an error.
    pub(crate) fn count_error(&self, code: ErrorCode) {
        let place = ErrorCode::ALL.iter().position(|known| *known == code);
        if let Some(count) = place.and_then(|place| self.errors.0.get(place)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The shard has looked after its clients' deadlines, as it does a few times a second.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }

    /// How often it has.
    pub fn beats(&self) -> u64 {
        self.beats.load(Relaxed)
    }

    /// A pong or an acknowledgement proves nothing.
    pub(crate) fn count_unproven(&self) {
        self.unproven.fetch_add(1, Relaxed);
    }

    /// How many pongs and acknowledgements of clients of the shard proved nothing.
    pub fn unproven(&self) -> u64 {
        self.unproven.load(Relaxed)
    }

    /// How many errors clients of the shard were told, for each code.
    pub fn errors(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        ErrorCode::ALL.iter().zip(&self.errors.0).map(|(code, count)| (*code, count.load(Relaxed)))
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
