//! Whether a billed event may be written now: asked by every connection, told by the one task that charges.
//!
//! Where nothing is capped and all is well, the answer costs a look at two numbers that rarely change. Money is behind a
//! lock, which is taken once for as many events as a write holds.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
};

use crate::{Budget, Class, Outlook, Usd, tariff::MAX_NAMES};

/// What is delivered while it cannot be billed: the journal cannot be written, or the sink refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbilled {
    /// Nothing of what costs money: it waits in the log.
    Hold,
    /// All, and nobody pays.
    Give,
}

/// Why nothing is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The budget is free again when something on its way is confirmed, or is not.
    Budget,
    /// Billing does not work at present, or too much is unsettled.
    Billing,
    /// The budget is spent: it ends here.
    Exhausted,
}

/// What one connection may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Any number, to be billed.
    Billed,
    /// So many, to be billed: their money is set aside.
    Reserved(u64),
    /// Any number, and nobody pays.
    Unbilled,
    /// None.
    No(Pause),
}

/// See the file's description.
#[derive(Debug)]
pub(crate) struct Gate {
    unbilled: Unbilled,
    /// The price of each class; nothing where it is not known, which it always is where there is a cap.
    prices: Vec<Usd>,
    /// What one connection may owe.
    max_owed: Option<Usd>,
    is_capped: bool,
    stalled: AtomicBool,
    /// A bit for each class that is not charged any more.
    denied: AtomicU32,
    money: Mutex<Money>,
}

#[derive(Debug)]
struct Money {
    budget: Option<Budget>,
    /// Who waits, in the order of their first asking. Bounded by the connections: each has one ticket.
    waiting: BTreeMap<Ticket, Waker>,
    tickets: u64,
}

/// A place in the queue of those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Gate {
    pub(crate) fn new(prices: Vec<Usd>, budget: Option<Budget>, unbilled: Unbilled, max_owed: Option<Usd>) -> Self {
        let money = Money { budget, waiting: BTreeMap::new(), tickets: 0 };
        Self {
            unbilled,
            prices,
            max_owed,
            is_capped: money.budget.is_some(),
            stalled: AtomicBool::new(false),
            denied: AtomicU32::new(0),
            money: Mutex::new(money),
        }
    }

    /// Asks for up to `wanted` events of `class`, for an account that `is_full` of unsettled ones or not.
    pub(crate) fn pass(&self, class: Class, wanted: u64, is_full: bool) -> Pass {
        if self.stalled.load(Relaxed) || self.denied.load(Relaxed) & bit(class) != 0 {
            return match self.unbilled {
                Unbilled::Hold => Pass::No(Pause::Billing),
                Unbilled::Give => Pass::Unbilled,
            };
        }
        if is_full {
            return Pass::No(Pause::Billing);
        }
        if !self.is_capped {
            return Pass::Billed;
        }
        let price = self.price(class);
        let mut money = self.money();
        let Some(budget) = &mut money.budget else { return Pass::Billed };
        match budget.reserve(price, wanted) {
            0 if budget.outlook(price) == Outlook::Exhausted => Pass::No(Pause::Exhausted),
            0 => Pass::No(Pause::Budget),
            granted => Pass::Reserved(granted),
        }
    }

    /// Has `waker` woken when asking again may help. Who has a ticket keeps its place.
    pub(crate) fn wait(&self, ticket: Option<Ticket>, waker: &Waker) -> Ticket {
        let mut money = self.money();
        let ticket = ticket.unwrap_or_else(|| {
            money.tickets += 1;
            Ticket(money.tickets)
        });
        money.waiting.insert(ticket, waker.clone());
        ticket
    }

    /// Nobody waits with this ticket any more.
    pub(crate) fn leave(&self, ticket: Ticket) {
        self.money().waiting.remove(&ticket);
    }

    /// What was reserved for `count` events of `class` is free again.
    pub(crate) fn release(&self, class: Class, count: u64) {
        if self.is_capped && count > 0 {
            self.change(|budget| budget.release(self.price(class).times(count)));
        }
    }

    /// `count` events of `class` that were reserved are confirmed.
    pub(crate) fn confirm(&self, class: Class, count: u64) {
        if self.is_capped && count > 0 {
            let amount = self.price(class).times(count);
            self.money().budget.iter_mut().for_each(|budget| budget.confirm(amount));
        }
    }

    /// `count` events of `class` that were owed are charged, or may be.
    pub(crate) fn settle(&self, class: Class, count: u64) {
        self.change(|budget| budget.settle(self.price(class).times(count)));
    }

    /// `count` events of `class` that were owed will not be charged.
    pub(crate) fn forgive(&self, class: Class, count: u64) {
        self.change(|budget| budget.forgive(self.price(class).times(count)));
    }

    /// An earlier process of the run left `count` events of `class` to be charged.
    pub(crate) fn inherit(&self, class: Class, count: u64) {
        self.change(|budget| budget.inherit(self.price(class).times(count)));
    }

    /// Nothing of `class` will be charged any more.
    pub(crate) fn deny(&self, class: Class) {
        self.denied.fetch_or(bit(class), Relaxed);
        self.wake_all();
    }

    /// Billing works, or does not at present.
    pub(crate) fn set_stalled(&self, stalled: bool) {
        if self.stalled.swap(stalled, Relaxed) != stalled {
            self.wake_all();
        }
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed)
    }

    /// The budget as it stands.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.money().budget.clone()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.money().waiting.len()
    }

    /// Whether somebody who owes so many of each class owes as much as one may.
    pub(crate) fn is_too_much(&self, owed: impl Iterator<Item = (Class, u64)>) -> bool {
        let owed = || owed.fold(Usd::ZERO, |sum, (class, count)| sum + self.price(class).times(count));
        self.max_owed.is_some_and(|max| owed() >= max)
    }

    fn price(&self, class: Class) -> Usd {
        self.prices.get(class.index()).copied().unwrap_or_default()
    }

    /// Changes the budget, and wakes as many as may now get something: or all, to hear that nobody ever will.
    fn change(&self, change: impl FnOnce(&mut Budget)) {
        let mut money = self.money();
        let Money { budget, waiting, .. } = &mut *money;
        let least = self.prices.iter().copied().filter(|price| *price > Usd::ZERO).min().unwrap_or_default();
        let wake = budget.as_mut().map_or(u64::MAX, |budget| {
            change(budget);
            match budget.outlook(least) {
                Outlook::Free => budget.free().pays_for(least),
                Outlook::Tied => 0,
                Outlook::Exhausted => u64::MAX,
            }
        });
        let wake = usize::try_from(wake).unwrap_or(usize::MAX);
        let woken: Vec<_> = std::iter::from_fn(|| waiting.pop_first()).take(wake).collect();
        drop(money);
        for (_, waker) in woken {
            waker.wake();
        }
    }

    /// Wakes all who wait, to ask again.
    pub(crate) fn wake_all(&self) {
        let woken = std::mem::take(&mut self.money().waiting);
        woken.into_values().for_each(Waker::wake);
    }

    fn money(&self) -> MutexGuard<'_, Money> {
        self.money.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bit(class: Class) -> u32 {
    // Invariant: a tariff has no more names than this has bits.
    const { assert!(MAX_NAMES <= u32::BITS as usize) };
    1_u32.checked_shl(u32::from(class.0)).unwrap_or(0)
}
