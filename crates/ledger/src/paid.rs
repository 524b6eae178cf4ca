//! Which events a client has been billed for: what it is shown again, it does not pay again.
//!
//! Exact, and not a mark up to which all counts as paid: who comes back may select something else, and what it was never
//! given lies before that mark as well.

use std::collections::VecDeque;

/// The places in the log that were billed to one client, over all of its connections that are one session.
///
/// It holds at most [`MAX`] stretches, and forgets what lies furthest back when there is one more. That is billed again if
/// it is delivered and proven again.
#[derive(Debug, Clone, Default)]
pub struct Paid {
    /// Invariant: in order, and between two of them at least one place is not billed.
    stretches: VecDeque<Stretch>,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: u64,
    to: u64,
}

/// How many stretches are known: 4 KiB. A client that gets every event of the log needs one, for ever.
const MAX: usize = 256;

impl Paid {
    /// Whether nothing was billed.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Whether the event at `seq` was billed.
    pub fn contains(&self, seq: u64) -> bool {
        // What is new lies behind all that was billed.
        self.stretches.back().is_some_and(|last| seq <= last.to)
            && self.at(seq).checked_sub(1).and_then(|at| self.stretches.get(at)).is_some_and(|it| seq <= it.to)
    }

    /// The event at `seq` is billed. Returns whether it was not before.
    pub fn insert(&mut self, seq: u64) -> bool {
        if let Some(last) = self.stretches.back_mut()
            && last.to.checked_add(1) == Some(seq)
        {
            last.to = seq;
            return true;
        }
        if self.contains(seq) {
            return false;
        }
        let at = self.at(seq);
        let before = at.checked_sub(1).filter(|at| self.stretches.get(*at).is_some_and(|it| it.to + 1 == seq));
        let next = Some(at).filter(|at| self.stretches.get(*at).is_some_and(|it| it.from == seq + 1));
        match (before, next) {
            (Some(before), Some(next)) => {
                let joined = self.stretches.remove(next).map_or(seq, |next| next.to);
                self.reach(before, joined);
            }
            (Some(before), None) => self.reach(before, seq),
            (None, Some(next)) => {
                if let Some(next) = self.stretches.get_mut(next) {
                    next.from = seq;
                }
            }
            (None, None) => self.stretches.insert(at, Stretch { from: seq, to: seq }),
        }
        if self.stretches.len() > MAX {
            self.stretches.pop_front();
        }
        true
    }

    fn reach(&mut self, at: usize, to: u64) {
        if let Some(stretch) = self.stretches.get_mut(at) {
            stretch.to = to;
        }
    }

    /// The first stretch that begins behind `seq`.
    fn at(&self, seq: u64) -> usize {
        self.stretches.partition_point(|stretch| stretch.from <= seq)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_knows_what_was_billed_and_nothing_else(seqs in prop::collection::vec(1u64..60, 0..80)) {
            let (mut paid, mut model) = (Paid::default(), BTreeSet::new());
            for seq in seqs {
                prop_assert_eq!(paid.insert(seq), model.insert(seq));
                for seq in 0..62 {
                    prop_assert_eq!(paid.contains(seq), model.contains(&seq), "{}", seq);
                }
            }
        }
    }

    #[test]
    fn what_lies_furthest_back_is_forgotten_first() {
        let mut paid = Paid::default();
        let last = 2 * MAX as u64 + 2;
        (2..=last).step_by(2).for_each(|seq| assert!(paid.insert(seq)));
        assert_eq!((paid.stretches.len(), paid.contains(2), paid.contains(4)), (MAX, false, true));
        (1..=1000).for_each(|more| assert!(paid.insert(last + more)));
        assert!(paid.contains(4), "stretches are forgotten, not events");
    }
}
