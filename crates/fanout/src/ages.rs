//! Events in the order in which their keys were heard of last: the newest is added, any can leave, the oldest is known.
//!
//! A list through the places of a slab, so that nothing is searched for and nothing is allocated for each event.

use std::sync::Arc;

use slab::Slab;
use standpipe_protocol::Record;

/// See the file's description.
///
/// Invariant: `newer` leads from `oldest` through all of them to `newest`, `older` the same way back.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    held: Slab<Aged>,
    oldest: Option<usize>,
    newest: Option<usize>,
}

#[derive(Debug)]
struct Aged {
    record: Arc<Record>,
    older: Option<usize>,
    newer: Option<usize>,
}

impl Ages {
    /// Adds the newest, and tells its place.
    pub(crate) fn add(&mut self, record: Arc<Record>) -> usize {
        let place = self.held.insert(Aged { record, older: None, newer: None });
        self.join(self.newest, Some(place));
        self.join(Some(place), None);
        place
    }

    /// Removes the one at `place`, if one is there.
    pub(crate) fn remove(&mut self, place: usize) -> Option<Arc<Record>> {
        let Aged { record, older, newer } = self.held.try_remove(place)?;
        self.join(older, newer);
        Some(record)
    }

    /// Removes the oldest.
    pub(crate) fn remove_oldest(&mut self) -> Option<Arc<Record>> {
        self.remove(self.oldest?)
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Makes neighbours of two; where there is none, the other one is at an end.
    fn join(&mut self, older: Option<usize>, newer: Option<usize>) {
        match older.and_then(|older| self.held.get_mut(older)) {
            Some(aged) => aged.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.held.get_mut(newer)) {
            Some(aged) => aged.older = older,
            None => self.newest = older,
        }
    }
}
