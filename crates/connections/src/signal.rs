//! How connections tell their shard that they have room again.

use std::sync::{Mutex, PoisonError};

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
}

impl Signal {
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
