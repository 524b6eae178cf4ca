//! What the settlement says of itself, for metrics and for the end of the process.

use super::{Settlement, Stage};
use crate::{Answer, Class, EventName, Payer};

/// What became of the deliveries of one event, in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassNumbers {
    /// Proven to have been received, and billed.
    pub confirmed: u64,
    /// Charged.
    pub charged: u64,
    /// Will not be charged: the sink does not accept it, or who would pay is gone.
    pub denied: u64,
    /// May have been charged or not, and is not tried again.
    pub dropped: u64,
}

/// What the calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Charges that were accepted.
    pub accepted: u64,
    /// Calls that were told to come back later.
    pub deferred: u64,
    /// Calls of which nobody knows what they did.
    pub unknown: u64,
    /// Calls that were refused for good.
    pub denied: u64,
    /// Times when the counts could not be read.
    pub counts_failed: u64,
}

impl Numbers {
    pub(super) fn count(&mut self, answer: &Answer) {
        *match answer {
            Answer::Charged => &mut self.accepted,
            Answer::NotNow { .. } => &mut self.deferred,
            Answer::Unknown => &mut self.unknown,
            Answer::Denied(_) => &mut self.denied,
        } += 1;
    }
}

impl Settlement {
    /// What the calls came to so far.
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// What became of each event's deliveries.
    pub fn by_class(&self) -> impl Iterator<Item = (&EventName, ClassNumbers)> {
        self.books.iter().map(|book| (&book.priced.name, book.numbers))
    }

    /// How often the sink has charged an event in this run, as far as is known.
    pub fn counts_of(&self, class: Class) -> Option<u64> {
        self.books.get(class.index())?.counted
    }

    /// Confirmed deliveries of an event that are neither charged nor given up.
    pub fn unsettled(&self, class: Class) -> u64 {
        self.lines.iter().filter(|((_, of), _)| *of == class).map(|(_, line)| line.owed).sum()
    }

    /// The same, of one payer.
    pub fn unsettled_of(&self, payer: Payer) -> u64 {
        self.lines.iter().filter(|((who, _), _)| *who == payer).map(|(_, line)| line.owed).sum()
    }

    /// Of what is unsettled, what may have been charged.
    pub fn doubtful(&self, class: Class) -> u64 {
        let doubtful = self.batches.values().filter(|batch| batch.class == class && batch.stage == Stage::Doubtful);
        doubtful.map(|batch| batch.count).sum()
    }

    /// Whether nothing is owed, under way or to be written down.
    pub fn is_settled(&self) -> bool {
        self.batches.is_empty() && self.entries.is_empty() && self.lines.values().all(|line| line.owed == 0)
    }
}
