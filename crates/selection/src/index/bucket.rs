//! The entries of one pattern.

use std::{collections::hash_map, hash::Hash};

use ahash::AHashMap;
use smol_str::SmolStr;

use super::{
    key::Key,
    postings::{Posting, Postings},
};
use crate::{
    Pattern,
    decimal::Decimal,
    fields::{Found, Slot},
    value::{Scalar, Value},
};

/// The entries of one pattern, by how an event finds them.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) pattern: Pattern,
    /// How many there are, however they are found.
    pub(super) entries: usize,
    /// Those without a filter.
    pub(super) open: Postings,
    /// Those whose filter no value finds: candidates for every event.
    pub(super) checked: Postings,
    by_field: AHashMap<Slot, ByValue>,
}

/// The entries that are found by a value of one field.
#[derive(Debug, Default)]
struct ByValue {
    texts: AHashMap<SmolStr, Postings>,
    numbers: AHashMap<Decimal, Postings>,
    truths: Postings,
    falsehoods: Postings,
    nulls: Postings,
}

impl Bucket {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, entries: 0, open: Postings::None, checked: Postings::None, by_field: AHashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && !self.has_filters()
    }

    pub(super) fn has_filters(&self) -> bool {
        !self.checked.is_empty() || !self.by_field.is_empty()
    }

    /// Has an entry be found by a value.
    pub(super) fn insert(&mut self, key: &Key<'_>, slots: &[Slot], posting: Posting) {
        if let Some(slot) = key.slot(slots) {
            self.by_field.entry(slot).or_default().insert(key.value, posting);
        }
    }

    /// Undoes an insertion, and keeps nothing that is empty.
    pub(super) fn remove(&mut self, key: &Key<'_>, slots: &[Slot], posting: Posting) {
        let Some(slot) = key.slot(slots) else { return };
        if let hash_map::Entry::Occupied(mut by_value) = self.by_field.entry(slot) {
            by_value.get_mut().remove(key.value, posting);
            if by_value.get().is_empty() {
                by_value.remove();
            }
        }
    }

    /// How many entries are found by this value.
    pub(super) fn crowd(&self, key: &Key<'_>, slots: &[Slot]) -> usize {
        let by_value = key.slot(slots).and_then(|slot| self.by_field.get(&slot));
        by_value.and_then(|by_value| by_value.named(key.value)).map_or(0, Postings::len)
    }

    /// Visits every entry that may want the event; one that several values find, several times.
    pub(super) fn candidates(&self, found: &Found<'_>, mut visit: impl FnMut(Posting)) {
        self.checked.each(&mut visit);
        if self.by_field.is_empty() {
            return;
        }
        for (slot, value) in found.iter() {
            let postings = self.by_field.get(slot).and_then(|by_value| by_value.found(value));
            if let Some(postings) = postings {
                postings.each(&mut visit);
            }
        }
    }
}

impl ByValue {
    /// The entries that a value of an event finds.
    fn found(&self, value: &Value<'_>) -> Option<&Postings> {
        match value {
            Value::Text { text, .. } => self.texts.get(&**text),
            Value::Number(number) => self.numbers.get(number),
            Value::Bool(true) => Some(&self.truths),
            Value::Bool(false) => Some(&self.falsehoods),
            Value::Null => Some(&self.nulls),
            Value::Other => None,
        }
    }

    /// The entries that are found by a value of a filter.
    fn named(&self, value: &Scalar) -> Option<&Postings> {
        match value {
            Scalar::Text(text) => self.texts.get(text.as_str()),
            Scalar::Number(number) => self.numbers.get(&**number),
            Scalar::Bool(true) => Some(&self.truths),
            Scalar::Bool(false) => Some(&self.falsehoods),
            Scalar::Null => Some(&self.nulls),
        }
    }

    fn insert(&mut self, value: &Scalar, posting: Posting) {
        match value {
            Scalar::Text(text) => self.texts.entry(text.clone()).or_default().insert(posting),
            Scalar::Number(number) => self.numbers.entry((**number).clone()).or_default().insert(posting),
            Scalar::Bool(true) => self.truths.insert(posting),
            Scalar::Bool(false) => self.falsehoods.insert(posting),
            Scalar::Null => self.nulls.insert(posting),
        }
    }

    fn remove(&mut self, value: &Scalar, posting: Posting) {
        match value {
            Scalar::Text(text) => forget(&mut self.texts, text.clone(), posting),
            Scalar::Number(number) => forget(&mut self.numbers, (**number).clone(), posting),
            Scalar::Bool(true) => self.truths.remove(posting),
            Scalar::Bool(false) => self.falsehoods.remove(posting),
            Scalar::Null => self.nulls.remove(posting),
        }
    }

    fn is_empty(&self) -> bool {
        let literals = [&self.truths, &self.falsehoods, &self.nulls];
        self.texts.is_empty() && self.numbers.is_empty() && literals.into_iter().all(Postings::is_empty)
    }
}

fn forget<K: Hash + Eq>(map: &mut AHashMap<K, Postings>, key: K, posting: Posting) {
    if let hash_map::Entry::Occupied(mut postings) = map.entry(key) {
        postings.get_mut().remove(posting);
        if postings.get().is_empty() {
            postings.remove();
        }
    }
}
