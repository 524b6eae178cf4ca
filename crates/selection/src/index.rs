//! From an event to its audience, without visiting those who do not want it.
//!
//! ```text
//! topic ──▶ patterns that select it (hash for exact ones, trie for wildcards)
//!             └─▶ per pattern: entries without a filter ──────────────────────────▶ audience
//!                              entries found by a value of the event (hash) ─┐
//!                              entries that nothing finds ───────────────────┴─ the whole filter holds? ──▶ audience
//! ```
//!
//! A value only finds candidates; the whole filter decides. So the choice of the value, which is the one that the
//! fewest others are found by, is a matter of speed alone. The cost of an event follows its size, the patterns on its
//! way and its candidates, not the number of entries. Inserting and removing cost what one filter costs.

mod bucket;
mod check;
mod key;
mod postings;
mod topics;

use std::sync::Arc;

use standpipe_protocol::{EventView, Topic};

use crate::{
    Filter, Pattern,
    arena::Arena,
    fields::{Fields, Slots},
    filter::Node,
};
use bucket::Bucket;
use check::Check;
use postings::{Posting, Postings};
use topics::Topics;

/// Who wants which event: any number of subscribers, each with any number of entries.
#[derive(Debug)]
pub struct Index {
    entries: Arena<Held>,
    checks: Arena<Check>,
    buckets: Arena<Bucket>,
    topics: Topics,
    /// What the filters name, so that an event is read once for all of them.
    fields: Fields,
}

/// The receipt for one insertion, and what it takes to undo it. Means nothing to another index.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Entry(u32);

/// One entry: what it takes to remove it. No event looks at it.
#[derive(Debug)]
struct Held {
    bucket: u32,
    posting: Posting,
    /// The conjunct by whose values the entry is found; without one it is a candidate for every event.
    found_by: Option<u32>,
    filter: Option<Arc<Filter>>,
}

impl Index {
    /// An index of nobody.
    pub fn new() -> Self {
        Self {
            entries: Arena::new(),
            checks: Arena::new(),
            buckets: Arena::new(),
            topics: Topics::default(),
            fields: Fields::new(),
        }
    }

    /// Adds an entry: `subscriber` wants the events of `pattern` that `filter` selects.
    pub fn insert(&mut self, subscriber: u32, pattern: &Pattern, filter: Option<Arc<Filter>>) -> Entry {
        let bucket_number = self.topics.find(pattern).unwrap_or_else(|| {
            let number = self.buckets.insert(Bucket::new(pattern.clone()));
            self.topics.insert(pattern, number);
            number
        });
        let slots = filter.as_ref().map(|filter| filter.claim(&mut self.fields)).unwrap_or_default();
        let found_by = filter.as_ref().and_then(|filter| rarest(filter, &slots, self.buckets.get(bucket_number)?));
        let check = filter.as_ref().and_then(|filter| Check::new(filter, &slots, found_by));

        let number = self.entries.next();
        let posting = match check {
            Some(check) => Posting::candidate(subscriber, self.checks.insert(check)),
            None => Posting::proven(subscriber, number),
        };
        let found_by = found_by.and_then(|place| u32::try_from(place).ok());
        let held = Held { bucket: bucket_number, posting, found_by, filter };
        if let Some(bucket) = self.buckets.get_mut(bucket_number) {
            bucket.entries += 1;
            match held.key_node() {
                Some(node) => key::each(node, &mut |key| bucket.insert(key, &slots, posting)),
                None => held.unfound(bucket).insert(posting),
            }
        }
        Entry(self.entries.insert(held))
    }

    /// Removes an entry, and everything that was kept for it alone.
    #[expect(clippy::needless_pass_by_value, reason = "a receipt is good for one removal")]
    pub fn remove(&mut self, entry: Entry) {
        let Entry(number) = entry;
        let Some(held) = self.entries.remove(number) else { return };
        let Some(bucket) = self.buckets.get_mut(held.bucket) else { return };
        bucket.entries -= 1;
        match held.key_node() {
            Some(node) => {
                let slots = held.filter.as_ref().map(|filter| filter.slots(&self.fields)).unwrap_or_default();
                key::each(node, &mut |key| bucket.remove(key, &slots, held.posting));
            }
            None => held.unfound(bucket).remove(held.posting),
        }
        if bucket.is_empty()
            && let Some(bucket) = self.buckets.remove(held.bucket)
        {
            self.topics.remove(&bucket.pattern);
        }
        if let Some(filter) = &held.filter {
            filter.release(&mut self.fields);
        }
        if let Some(check) = held.posting.check() {
            self.checks.remove(check);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces what is in `out` by the subscribers who want `event`: each once, in ascending order.
    pub fn audience(&self, event: EventView<'_>, out: &mut Vec<u32>) {
        out.clear();
        let mut found = None;
        self.topics.each(event.topic, &mut |number| {
            let Some(bucket) = self.buckets.get(number) else { return };
            bucket.open.each(|posting| out.push(posting.subscriber));
            if bucket.has_filters() {
                let found = found.get_or_insert_with(|| self.fields.read(event));
                bucket.candidates(found, |posting| {
                    let is_wanted = match posting.check() {
                        None => true,
                        Some(check) => self.checks.get(check).is_some_and(|check| check.holds(found)),
                    };
                    if is_wanted {
                        out.push(posting.subscriber);
                    }
                });
            }
        });
        out.sort_unstable();
        out.dedup();
    }

    /// How many entries have a pattern that selects `topic`, whatever their filters say.
    pub fn selecting(&self, topic: &Topic) -> usize {
        let mut entries = 0;
        self.topics.each(topic, &mut |number| entries += self.buckets.get(number).map_or(0, |bucket| bucket.entries));
        entries
    }

    /// Whether nothing is left of what was once inserted.
    #[cfg(test)]
    fn is_bare(&self) -> bool {
        let is_nothing_held = self.is_empty() && self.checks.len() == 0 && self.buckets.len() == 0;
        is_nothing_held && self.topics.is_empty() && self.fields.is_bare()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    /// The conjunct by whose values it is found.
    fn key_node(&self) -> Option<&Node> {
        self.filter.as_ref()?.conjuncts().get(self.found_by? as usize)
    }

    /// Where it is kept if no value finds it.
    fn unfound<'b>(&self, bucket: &'b mut Bucket) -> &'b mut Postings {
        if self.filter.is_none() { &mut bucket.open } else { &mut bucket.checked }
    }
}

/// The conjunct whose values find the fewest entries so far, and of equal ones that with the fewest values.
fn rarest(filter: &Filter, slots: &Slots, bucket: &Bucket) -> Option<usize> {
    /// So many values tell enough of a long list.
    const SAMPLE: usize = 16;
    let counted = filter.conjuncts().iter().enumerate();
    let mut keyed = counted.filter_map(|(place, node)| Some((place, node, key::count(node)?))).peekable();
    let first = keyed.next()?;
    if keyed.peek().is_none() {
        return Some(first.0);
    }
    let cost = |(_, node, count): &(usize, &Node, usize)| {
        let (mut seen, mut crowd) = (0, 0);
        key::each(node, &mut |key| {
            if seen < SAMPLE {
                crowd = bucket.crowd(key, slots).max(crowd);
            }
            seen += 1;
        });
        (crowd, *count)
    };
    std::iter::once(first).chain(keyed).min_by_key(cost).map(|(place, ..)| place)
}

#[cfg(test)]
mod tests;
