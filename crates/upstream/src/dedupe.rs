//! Remembers the ids of a source's latest events, to drop what comes twice.
//!
//! Feeds repeat themselves: after a reconnect, from a backup connection, in a publisher's second try. The memory is
//! bounded: the last ids by order of first arrival, so an id that comes again after so many others counts as new.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

/// The latest ids.
#[derive(Debug)]
pub(crate) struct Dedupe {
    max: usize,
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Dedupe {
    /// Remembers at most `max` ids; with 0, nothing is ever a duplicate.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether `id` is new. If so, it is remembered, and the oldest is forgotten for it if there are too many.
    pub(crate) fn admit(&mut self, id: &str) -> bool {
        if self.max == 0 {
            return true;
        }
        if self.known.contains(id) {
            return false;
        }
        if self.order.len() == self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.known.insert(id);
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_new_once() {
        let mut dedupe = Dedupe::new(10);
        assert!(dedupe.admit("a"));
        assert!(!dedupe.admit("a"));
        dedupe.clear();
        assert!(dedupe.admit("a"));
    }

    #[test]
    fn without_a_memory_nothing_is_a_duplicate() {
        let mut dedupe = Dedupe::new(0);
        assert!(dedupe.admit("a") && dedupe.admit("a"));
    }

    proptest! {
        #[test]
        fn it_is_the_last_ids_in_order_of_first_arrival(max in 1_usize..8, ids in prop::collection::vec("[a-l]", 0..200)) {
            let mut dedupe = Dedupe::new(max);
            let mut naive: Vec<String> = Vec::new();
            for id in ids {
                let is_new = !naive.contains(&id);
                if is_new {
                    naive.push(id.clone());
                    if naive.len() > max {
                        naive.remove(0);
                    }
                }
                prop_assert_eq!(dedupe.admit(&id), is_new);
                prop_assert!(dedupe.known.len() <= max && dedupe.order.len() <= max);
            }
        }
    }
}
