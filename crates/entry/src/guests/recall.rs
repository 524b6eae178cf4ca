//! What is remembered of many, in bounded memory. Whoever has not been seen for longest is forgotten first.
//!
//! Two generations: what is used moves into the young one; when that is half of the bound, the old one is forgotten and
//! the young one becomes it. So forgetting costs nothing while nothing is forgotten, and no list has to be kept in order.

use std::{collections::HashMap, hash::Hash, mem};

/// At most so many values by key. A value that may not be forgotten is kept.
#[derive(Debug)]
pub(super) struct Recall<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// As many as one generation holds.
    half: usize,
}

impl<K: Hash + Eq, V: Default> Recall<K, V> {
    /// Remembers at least half of `max`, and at most `max` besides those that may not be forgotten.
    pub(super) fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (max / 2).max(1) }
    }

    /// What is known of `key`; if nothing is, the default. `keep` tells what may not be forgotten to make room.
    pub(super) fn entry(&mut self, key: K, keep: impl Fn(&V) -> bool) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            let mut forgotten = mem::replace(&mut self.old, mem::take(&mut self.young));
            forgotten.retain(|_, value| keep(value));
            self.old.extend(forgotten);
        }
        let known = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| known.unwrap_or_default())
    }

    /// What is known of `key`. Looking does not count as seeing it.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 20;

    proptest! {
        #[test]
        fn the_last_half_that_was_seen_is_known_and_the_bound_holds(keys in prop::collection::vec(0_u32..60, 0..400)) {
            let mut recall: Recall<u32, u32> = Recall::new(MAX);
            for (i, key) in keys.iter().enumerate() {
                *recall.entry(*key, |_| false) = *key + 1;
                prop_assert!(recall.len() <= MAX);
                let mut seen = Vec::new();
                for key in keys[..=i].iter().rev() {
                    if !seen.contains(key) && seen.len() < MAX / 2 {
                        seen.push(*key);
                    }
                }
                for key in seen {
                    prop_assert_eq!(recall.get_mut(&key).copied(), Some(key + 1));
                }
            }
        }

        #[test]
        fn what_may_not_be_forgotten_is_kept(keys in prop::collection::vec(0_u32..200, 0..400)) {
            let mut recall: Recall<u32, bool> = Recall::new(MAX);
            for key in &keys {
                let is_kept = key % 10 == 0;
                *recall.entry(*key, |kept| *kept) |= is_kept;
            }
            for key in keys.iter().filter(|key| *key % 10 == 0) {
                prop_assert_eq!(recall.get_mut(key).copied(), Some(true));
            }
            prop_assert!(recall.len() <= MAX + 20);
        }
    }
}
