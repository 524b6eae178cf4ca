//! Which queued event a newer one of its topic and key may stand for.
//!
//! Keys are compared by the queue, which holds the events. Here only the place is found, by hash: two keys of one hash
//! hide each other, and the older one is then written although it need not be. That costs bytes, never order.

use std::{collections::HashMap, hash::BuildHasher};

use standpipe_protocol::Record;

/// The places of events that may still be replaced, of one connection that asked for it.
///
/// A place is the running number of an entry of the queue, which only grows. Places that have left the queue stay in the
/// table until it is tidied, so the caller must know which those are.
///
/// Invariant: behind a place that is in the table, the queue holds no event of the same topic and key. So an event that
/// is put there comes before none that is older.
#[derive(Debug, Default)]
pub(super) struct Conflation {
    places: HashMap<u64, u64>,
}

/// A table that has been tidied is looked at again when it has grown by this much beyond what the queue holds.
const SLACK: u64 = 16;

impl Conflation {
    /// What stands for the record's topic and key, if it has a key: events without one are never replaced.
    pub(super) fn hash(&self, record: &Record) -> Option<u64> {
        record.key.as_ref().map(|key| self.places.hasher().hash_one((&record.topic, key)))
    }

    /// The place of the latest event with this hash, in the queue or gone from it.
    pub(super) fn place(&self, hash: u64) -> Option<u64> {
        self.places.get(&hash).copied()
    }

    /// An event that may be replaced is queued at `place`; the queue now begins at `first`.
    pub(super) fn put(&mut self, hash: u64, place: u64, first: u64) {
        self.places.insert(hash, place);
        if self.places.len() as u64 > 2 * (place - first) + SLACK {
            self.places.retain(|_, place| *place >= first);
        }
    }

    /// An event that must be delivered itself was queued: none behind it may come before it.
    pub(super) fn forget(&mut self, hash: u64) {
        self.places.remove(&hash);
    }

    /// The queue is empty.
    pub(super) fn forget_all(&mut self) {
        self.places.clear();
    }

    /// How many places are in the table.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds more memory than a queue that is empty should.
    pub(super) fn is_large(&self) -> bool {
        self.places.capacity() as u64 > 2 * SLACK
    }
}
