//! All open connections, by name.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use dashmap::DashMap;
use standpipe_protocol::{CloseReason, ConnectionId};

use crate::Connection;

/// The connections that are open, and how many were.
///
/// Invariant: a connection is in it from before its first byte is written until its task has ended.
#[derive(Debug)]
pub struct Registry {
    connections: DashMap<ConnectionId, Arc<Connection>>,
    opened: AtomicU64,
    closed: Vec<AtomicU64>,
}

impl Default for Registry {
    fn default() -> Self {
        let closed = CloseReason::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self { connections: DashMap::new(), opened: AtomicU64::new(0), closed }
    }
}

impl Registry {
    /// Adds a connection.
    pub fn insert(&self, connection: Arc<Connection>) {
        self.opened.fetch_add(1, Relaxed);
        self.connections.insert(connection.id(), connection);
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, id: ConnectionId, reason: CloseReason) {
        if self.connections.remove(&id).is_some()
            && let Some(count) = CloseReason::ALL.iter().position(|r| *r == reason).and_then(|i| self.closed.get(i))
        {
            count.fetch_add(1, Relaxed);
        }
    }

    /// One connection.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.connections.get(&id).map(|entry| entry.clone())
    }

    /// All connections, in no order.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.iter().map(|entry| entry.clone()).collect()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many were ever opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// How many ended, for each reason of the close table.
    pub fn closed(&self) -> impl Iterator<Item = (CloseReason, u64)> {
        CloseReason::ALL.iter().zip(&self.closed).map(|(reason, count)| (*reason, count.load(Relaxed)))
    }
}
