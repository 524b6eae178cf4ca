//! Charges that were tried and not answered for, when they can no longer be tried again.
//!
//! The run's own counts tell what became of them, once no attempt can have its effect any more and no other charge of the
//! event is under way: then the difference between what the sink counts and what is known is theirs alone.

use std::time::Instant;

use super::{Settlement, Stage};
use crate::{Counts, CountsError, Entry, Outcome};

/// The doubtful charges of one event. While there are any, no charge of the event is begun.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    batches: Vec<u64>,
    /// No attempt of theirs has its effect after this.
    certain_at: Option<Instant>,
    /// When the sink is asked no longer.
    give_up_at: Option<Instant>,
    /// They are what the sink is being asked about.
    asked: bool,
}

impl Doubt {
    pub(super) fn is_none(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Settlement {
    /// The `number`th charge may have been made or not.
    pub(super) fn doubt(&mut self, number: u64, now: Instant) {
        let Some(batch) = self.batches.get_mut(&number) else { return };
        batch.stage = Stage::Doubtful;
        let certain_at = batch.last_call + self.terms.lateness;
        let Some(book) = self.books.get_mut(batch.class.index()) else { return };
        book.open -= 1;
        let doubt = &mut book.doubt;
        doubt.batches.push(number);
        doubt.certain_at = doubt.certain_at.max(Some(certain_at));
        doubt.give_up_at.get_or_insert(certain_at.max(now) + self.terms.doubt);
    }

    /// Whether the sink's counts are wanted now. If so, [`Settlement::counted`] is called with them.
    pub fn wants_counts(&mut self, now: Instant) -> bool {
        let can_tell = |doubt: &Doubt, open| !doubt.is_none() && open == 0 && doubt.certain_at <= Some(now);
        let is_wanted = self.books.iter().any(|book| can_tell(&book.doubt, book.open));
        if self.counting || now < self.not_before || !is_wanted || self.bucket.take(1, self.rate, now).is_err() {
            return false;
        }
        self.counting = true;
        for book in &mut self.books {
            book.doubt.asked = can_tell(&book.doubt, book.open);
        }
        true
    }

    /// The counts, as they are since [`Settlement::wants_counts`] asked for them, or why there are none.
    pub fn counted(&mut self, counts: Result<&Counts, &CountsError>, now: Instant, random: u64) {
        self.counting = false;
        if let Ok(counts) = counts {
            self.backoff.reset();
            for place in 0..self.books.len() {
                self.resolve(place, counts);
            }
            return;
        }
        self.numbers.counts_failed += 1;
        self.pause(None, now, random);
        let hopeless = self.books.iter_mut().filter(|book| book.doubt.asked && book.doubt.give_up_at <= Some(now));
        let dropped: Vec<u64> = hopeless.flat_map(|book| std::mem::take(&mut book.doubt).batches).collect();
        for number in dropped {
            self.close(number, Outcome::Dropped);
        }
    }

    fn resolve(&mut self, place: usize, counts: &Counts) {
        let Some(book) = self.books.get_mut(place).filter(|book| book.doubt.asked) else { return };
        let seen = counts.get(&book.priced.name).copied().unwrap_or(0);
        let doubtful = std::mem::take(&mut book.doubt).batches;
        let all: u64 = doubtful.iter().filter_map(|number| self.batches.get(number)).map(|batch| batch.count).sum();
        let outcome = match book.counted.and_then(|known| seen.checked_sub(known)) {
            Some(0) => Outcome::Released,
            Some(charged) if charged == all => Outcome::Charged,
            // Some of them, or somebody else charges in this run, or the count was lost sight of.
            _ => Outcome::Dropped,
        };
        let (event, is_known) = (book.priced.name.clone(), outcome != Outcome::Dropped);
        if !is_known {
            book.counted = Some(seen);
        }
        for number in doubtful {
            self.close(number, outcome);
        }
        if !is_known {
            self.entries.push(Entry::Counted { event, total: seen });
        }
    }
}
