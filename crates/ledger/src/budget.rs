//! How much may still be delivered before the cap.
//!
//! ```text
//!          reserve (written)          confirm                  settle
//!  free ──────────────────▶ reserved ─────────▶ owed ────────────────▶ settled
//!   ▲──────── release (never proven) ┘            │
//!   └──────── forgive (known not to be charged) ──┘
//! ```
//! Invariant: `settled + owed + reserved ≤ cap`, unless the run had spent more before this process began.

use crate::Usd;

/// The money of one run that has a cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    cap: Usd,
    settled: Usd,
    owed: Usd,
    reserved: Usd,
}

/// Whether there is a point in waiting for money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Some of it is free.
    Free,
    /// None is free now, but what is written or owed may become so.
    Tied,
    /// What is settled leaves less than the price: the end.
    Exhausted,
}

impl Budget {
    /// A budget of `cap` of which `settled` was charged already.
    pub fn new(cap: Usd, settled: Usd) -> Self {
        Self { cap, settled, owed: Usd::ZERO, reserved: Usd::ZERO }
    }

    /// What may be spent in all.
    pub fn cap(&self) -> Usd {
        self.cap
    }

    /// What was charged, or may have been.
    pub fn settled(&self) -> Usd {
        self.settled
    }

    /// What is neither charged, nor owed, nor promised to what is on its way.
    pub fn free(&self) -> Usd {
        self.cap.less(self.settled + self.owed + self.reserved)
    }

    /// Whether an event of `price` can be paid, now or later.
    pub fn outlook(&self, price: Usd) -> Outlook {
        if self.free() >= price {
            Outlook::Free
        } else if self.settled + price > self.cap {
            Outlook::Exhausted
        } else {
            Outlook::Tied
        }
    }

    /// Sets money aside for up to `count` events that are to be written. Returns for how many.
    pub fn reserve(&mut self, price: Usd, count: u64) -> u64 {
        let granted = self.free().pays_for(price).min(count);
        self.reserved = self.reserved + price.times(granted);
        granted
    }

    /// What was reserved and will never be confirmed is free again.
    pub fn release(&mut self, amount: Usd) {
        self.reserved = self.reserved.less(amount);
    }

    /// What was reserved has been confirmed.
    pub fn confirm(&mut self, amount: Usd) {
        self.reserved = self.reserved.less(amount);
        self.owed = self.owed + amount;
    }

    /// What an earlier process of the run left to be charged: owed without having been reserved here.
    pub fn inherit(&mut self, amount: Usd) {
        self.owed = self.owed + amount;
    }

    /// What was owed has been charged, or nobody knows whether it was.
    pub fn settle(&mut self, amount: Usd) {
        self.owed = self.owed.less(amount);
        self.settled = self.settled + amount;
    }

    /// What was owed will not be charged.
    pub fn forgive(&mut self, amount: Usd) {
        self.owed = self.owed.less(amount);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_on_its_way_pauses_and_only_what_is_settled_ends() {
        let price = usd("0.3");
        let mut budget = Budget::new(usd("1"), Usd::ZERO);
        assert_eq!(budget.reserve(price, 5), 3);
        assert_eq!(budget.outlook(price), Outlook::Tied, "one may never be confirmed");
        budget.release(price);
        assert_eq!((budget.outlook(price), budget.reserve(price, 5)), (Outlook::Free, 1));
        budget.confirm(price.times(3));
        assert_eq!(budget.outlook(price), Outlook::Tied, "the sink may refuse it");
        budget.settle(price.times(2));
        budget.forgive(price);
        assert_eq!((budget.outlook(price), budget.reserve(price, 5)), (Outlook::Free, 1));
        budget.confirm(price);
        budget.settle(price);
        assert_eq!((budget.outlook(price), budget.settled()), (Outlook::Exhausted, usd("0.9")));
    }

    #[test]
    fn a_run_that_had_spent_its_cap_before_is_exhausted_from_the_start() {
        let mut budget = Budget::new(usd("1"), usd("1.2"));
        assert_eq!((budget.reserve(usd("0.1"), 1), budget.outlook(usd("0.1"))), (0, Outlook::Exhausted));
    }

    proptest! {
        #[test]
        fn what_is_settled_never_passes_the_cap(operations in prop::collection::vec((0u8..5, 1u64..50), 0..300)) {
            let price = usd("0.0003");
            let mut budget = Budget::new(usd("0.01"), Usd::ZERO);
            let (mut reserved, mut owed) = (0, 0);
            for (operation, n) in operations {
                match operation {
                    0 => reserved += budget.reserve(price, n),
                    1 => { let n = n.min(reserved); reserved -= n; budget.release(price.times(n)); }
                    2 => { let n = n.min(reserved); reserved -= n; owed += n; budget.confirm(price.times(n)); }
                    3 => { let n = n.min(owed); owed -= n; budget.settle(price.times(n)); }
                    _ => { let n = n.min(owed); owed -= n; budget.forgive(price.times(n)); }
                }
                prop_assert!(budget.settled() + price.times(reserved + owed) <= budget.cap());
                let nothing_tied = reserved + owed == 0;
                prop_assert!(!(nothing_tied && budget.outlook(price) == Outlook::Tied), "nobody would ever wake");
            }
        }
    }
}
