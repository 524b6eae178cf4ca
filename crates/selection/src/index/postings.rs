//! A set of entries that one thing finds: nearly always one or a few, at times very many.

use std::collections::BTreeSet;

/// One entry, as an event finds it: whose it is, and what the event still has to pass. The entry itself is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting {
    pub(super) subscriber: u32,
    /// Twice the number of the check, and one; or twice the number of the entry, of which no check is left.
    ///
    /// Invariant: entries and checks number less than two billion, or there would be no memory for them.
    place: u32,
}

/// Entries, each once.
#[derive(Debug, Default)]
pub(super) enum Postings {
    #[default]
    None,
    One(Posting),
    /// In ascending order, at most `MAX_FEW` when it grows.
    Few(Vec<Posting>),
    #[expect(clippy::box_collection, reason = "a set in place would make every lone entry larger")]
    Many(Box<BTreeSet<Posting>>),
}

/// Up to so many, moving the tail of a list is cheaper than searching a tree.
const MAX_FEW: usize = 64;

impl Posting {
    /// What finds the entry proves that its subscriber wants the event.
    pub(super) fn proven(subscriber: u32, entry: u32) -> Self {
        Self { subscriber, place: entry << 1 }
    }

    /// What finds the entry makes it a candidate; the check decides.
    pub(super) fn candidate(subscriber: u32, check: u32) -> Self {
        Self { subscriber, place: (check << 1) | 1 }
    }

    /// The number of the check that decides.
    pub(super) fn check(self) -> Option<u32> {
        (self.place & 1 == 1).then_some(self.place >> 1)
    }
}

impl Postings {
    pub(super) fn insert(&mut self, new: Posting) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) if *one == new => {}
            Self::One(one) => *self = Self::Few(vec![new.min(*one), new.max(*one)]),
            Self::Few(few) => {
                let Err(place) = few.binary_search(&new) else { return };
                if few.len() < MAX_FEW {
                    few.insert(place, new);
                } else {
                    *self = Self::Many(Box::new(few.iter().copied().chain([new]).collect()));
                }
            }
            Self::Many(many) => {
                many.insert(new);
            }
        }
    }

    pub(super) fn remove(&mut self, old: Posting) {
        match self {
            Self::None => {}
            Self::One(one) => {
                if *one == old {
                    *self = Self::None;
                }
            }
            Self::Few(few) => {
                if let Ok(place) = few.binary_search(&old) {
                    few.remove(place);
                }
                if let [one] = **few {
                    *self = Self::One(one);
                }
            }
            Self::Many(many) => {
                many.remove(&old);
                // Half way down, so that coming and going at the bound does not rebuild each time.
                if many.len() <= MAX_FEW / 2 {
                    *self = Self::Few(many.iter().copied().collect());
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
        matches!(self, Self::None)
    }

    /// Visits all of them, by subscriber in ascending order.
    pub(super) fn each(&self, mut visit: impl FnMut(Posting)) {
        match self {
            Self::None => {}
            Self::One(one) => visit(*one),
            Self::Few(few) => few.iter().for_each(|posting| visit(*posting)),
            Self::Many(many) => many.iter().for_each(|posting| visit(*posting)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_posting_tells_what_is_left_to_check() {
        assert_eq!(Posting::proven(7, 3).check(), None);
        assert_eq!(Posting::candidate(7, 3).check(), Some(3));
        assert_ne!(Posting::proven(7, 3), Posting::candidate(7, 3));
    }

    proptest! {
        #[test]
        fn postings_are_a_set_at_every_size(
            operations in proptest::collection::vec((prop::bool::weighted(0.6), 0..200_u32), 0..600),
        ) {
            let (mut postings, mut model) = (Postings::default(), BTreeSet::new());
            for (is_insert, number) in operations {
                let posting = Posting::proven(number / 3, number);
                if is_insert {
                    postings.insert(posting);
                    model.insert(posting);
                } else {
                    postings.remove(posting);
                    model.remove(&posting);
                }
                prop_assert_eq!(postings.len(), model.len());
                prop_assert_eq!(postings.is_empty(), model.is_empty());
            }
            let mut visited = Vec::new();
            postings.each(|posting| visited.push(posting));
            prop_assert_eq!(visited, model.iter().copied().collect::<Vec<_>>());
            for posting in model {
                postings.remove(posting);
            }
            prop_assert!(postings.is_empty());
        }
    }
}
