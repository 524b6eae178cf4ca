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
mod key;
mod postings;
mod topics;

use std::sync::Arc;

use standpipe_protocol::EventView;

use crate::{
    Filter, Pattern,
    arena::Arena,
    fields::{Fields, Found, Slot},
};
use bucket::Bucket;
use key::{Key, keys};
use topics::Topics;

/// Who wants which event: any number of subscribers, each with any number of entries.
#[derive(Debug)]
pub struct Index {
    entries: Arena<Held>,
    buckets: Arena<Bucket>,
    topics: Topics,
    /// What the filters name, so that an event is read once for all of them.
    fields: Fields,
}

/// The receipt for one insertion, and what it takes to undo it. Means nothing to another index.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Entry(u32);

/// One entry.
#[derive(Debug)]
struct Held {
    subscriber: u32,
    bucket: u32,
    check: Option<Check>,
}

/// What an event has to pass.
#[derive(Debug)]
struct Check {
    filter: Arc<Filter>,
    slots: Box<[Slot]>,
    /// The conjunct by whose values the entry is found; without one it is a candidate for every event.
    found_by: Option<usize>,
}

impl Index {
    /// An index of nobody.
    pub fn new() -> Self {
        Self { entries: Arena::new(), buckets: Arena::new(), topics: Topics::new(), fields: Fields::new() }
    }

    /// Adds an entry: `subscriber` wants the events of `pattern` that `filter` selects.
    pub fn insert(&mut self, subscriber: u32, pattern: &Pattern, filter: Option<Arc<Filter>>) -> Entry {
        let bucket_number = self.topics.find(pattern).unwrap_or_else(|| {
            let number = self.buckets.insert(Bucket::new(pattern.clone()));
            self.topics.insert(pattern, number);
            number
        });
        let mut check = filter.map(|filter| Check { slots: filter.claim(&mut self.fields), found_by: None, filter });
        if let (Some(check), Some(bucket)) = (&mut check, self.buckets.get(bucket_number)) {
            check.found_by = rarest(check, bucket);
        }
        let number = self.entries.insert(Held { subscriber, bucket: bucket_number, check });
        if let (Some(bucket), Some(held)) = (self.buckets.get_mut(bucket_number), self.entries.get(number)) {
            match &held.check {
                None => bucket.open.insert(number),
                Some(check) => match check.keys() {
                    None => bucket.checked.insert(number),
                    Some(keys) => keys.iter().for_each(|key| bucket.insert(key, &check.slots, number)),
                },
            }
        }
        Entry(number)
    }

    /// Removes an entry, and everything that was kept for it alone.
    #[expect(clippy::needless_pass_by_value, reason = "a receipt is good for one removal")]
    pub fn remove(&mut self, entry: Entry) {
        let Entry(number) = entry;
        let Some(held) = self.entries.remove(number) else { return };
        let Some(bucket) = self.buckets.get_mut(held.bucket) else { return };
        match &held.check {
            None => bucket.open.remove(number),
            Some(check) => {
                match check.keys() {
                    None => bucket.checked.remove(number),
                    Some(keys) => keys.iter().for_each(|key| bucket.remove(key, &check.slots, number)),
                }
                check.filter.release(&mut self.fields);
            }
        }
        if bucket.is_empty()
            && let Some(bucket) = self.buckets.remove(held.bucket)
        {
            self.topics.remove(&bucket.pattern);
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
            bucket.open.each(|entry| out.extend(self.entries.get(entry).map(|held| held.subscriber)));
            if bucket.has_filters() {
                let found = found.get_or_insert_with(|| self.fields.read(event));
                bucket.candidates(found, |entry| {
                    out.extend(self.entries.get(entry).filter(|held| held.wants(found)).map(|held| held.subscriber));
                });
            }
        });
        out.sort_unstable();
        out.dedup();
    }

    /// Whether nothing is left of what was once inserted.
    #[cfg(test)]
    fn is_bare(&self) -> bool {
        self.is_empty() && self.buckets.len() == 0 && self.topics.is_empty() && self.fields.is_bare()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    fn wants(&self, found: &Found<'_>) -> bool {
        self.check.as_ref().is_none_or(|check| check.filter.holds(found, &check.slots))
    }
}

impl Check {
    /// The values by which the entry is found.
    fn keys(&self) -> Option<Vec<Key<'_>>> {
        keys(self.filter.conjuncts().get(self.found_by?)?)
    }
}

/// The conjunct whose values find the fewest entries so far, and of equal ones that with the fewest values.
fn rarest(check: &Check, bucket: &Bucket) -> Option<usize> {
    /// So many values tell enough of a long list.
    const SAMPLE: usize = 16;
    let mut best = None;
    for (place, conjunct) in check.filter.conjuncts().iter().enumerate() {
        let Some(keys) = keys(conjunct) else { continue };
        let crowd = keys.iter().take(SAMPLE).map(|key| bucket.crowd(key, &check.slots)).max().unwrap_or(0);
        let cost = (crowd, keys.len());
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, place));
        }
    }
    best.map(|(_, place)| place)
}

#[cfg(test)]
mod tests;
