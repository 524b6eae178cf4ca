//! A set of entries: nearly always one or a few, at times very many.

use std::collections::HashSet;

/// Entries, each once.
#[derive(Debug, Default)]
pub(super) enum Postings {
    #[default]
    None,
    One(u32),
    /// In ascending order, at most `MAX_FEW` when it grows.
    Few(Vec<u32>),
    #[expect(clippy::box_collection, reason = "a set in place would make every lone entry twice as large")]
    Many(Box<HashSet<u32>>),
}

/// Up to so many, moving the tail of a list is cheaper than hashing.
const MAX_FEW: usize = 64;

impl Postings {
    pub(super) fn insert(&mut self, entry: u32) {
        match self {
            Self::None => *self = Self::One(entry),
            Self::One(one) if *one == entry => {}
            Self::One(one) => *self = Self::Few(vec![entry.min(*one), entry.max(*one)]),
            Self::Few(few) => {
                let Err(place) = few.binary_search(&entry) else { return };
                if few.len() < MAX_FEW {
                    few.insert(place, entry);
                } else {
                    *self = Self::Many(Box::new(few.iter().copied().chain([entry]).collect()));
                }
            }
            Self::Many(many) => {
                many.insert(entry);
            }
        }
    }

    pub(super) fn remove(&mut self, entry: u32) {
        match self {
            Self::None => {}
            Self::One(one) => {
                if *one == entry {
                    *self = Self::None;
                }
            }
            Self::Few(few) => {
                if let Ok(place) = few.binary_search(&entry) {
                    few.remove(place);
                }
                if let [one] = **few {
                    *self = Self::One(one);
                }
            }
            Self::Many(many) => {
                many.remove(&entry);
                // Half way down, so that coming and going at the bound does not rebuild each time.
                if many.len() <= MAX_FEW / 2 {
                    let mut few: Vec<u32> = many.iter().copied().collect();
                    few.sort_unstable();
                    *self = Self::Few(few);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits all of them, in any order.
    pub(super) fn each(&self, mut visit: impl FnMut(u32)) {
        match self {
            Self::None => {}
            Self::One(one) => visit(*one),
            Self::Few(few) => few.iter().for_each(|entry| visit(*entry)),
            Self::Many(many) => many.iter().for_each(|entry| visit(*entry)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn postings_are_a_set_at_every_size(
            operations in proptest::collection::vec((prop::bool::weighted(0.6), 0..200_u32), 0..600),
        ) {
            let (mut postings, mut model) = (Postings::default(), BTreeSet::new());
            for (is_insert, entry) in operations {
                if is_insert {
                    postings.insert(entry);
                    model.insert(entry);
                } else {
                    postings.remove(entry);
                    model.remove(&entry);
                }
                prop_assert_eq!(postings.len(), model.len());
            }
            let mut visited = Vec::new();
            postings.each(|entry| visited.push(entry));
            visited.sort_unstable();
            prop_assert_eq!(visited, model.iter().copied().collect::<Vec<_>>());
            for entry in model {
                postings.remove(entry);
            }
            prop_assert!(matches!(postings, Postings::None));
        }
    }
}
