//! Which events of one log the application already has, where the cursor alone does not tell.

use std::collections::{HashSet, VecDeque};

/// How many events are remembered.
const CAPACITY: usize = 1 << 16;

/// The last [`CAPACITY`] events that were handed on, by `seq`. When it is full, the event handed on first is forgotten:
/// were it to come again, the application would get it twice, which the wire allows across reconnects.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    seqs: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    /// Remembers `seq`. False if it was there already.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        if !self.seqs.insert(seq) {
            return false;
        }
        self.order.push_back(seq);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.seqs.remove(&oldest);
        }
        true
    }

    /// The log is another one: its numbers mean other events.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut seen = Seen::default();
        for seq in 0..=CAPACITY as u64 {
            assert!(seen.insert(seq));
        }
        assert!(!seen.insert(1), "still remembered");
        assert!(seen.insert(0), "forgotten");
        assert_eq!((seen.seqs.len(), seen.order.len()), (CAPACITY, CAPACITY));
        seen.clear();
        assert!(seen.insert(1));
    }
}
