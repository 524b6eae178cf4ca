//! The latest event of each key, for snapshots: bounded, and readable at leisure as it was at one place of the log.
//!
//! A [`State`] is a picture that no later event changes: the tree behind it shares what is the same with all others, so
//! taking one costs nothing, and what follows copies the nodes that it changes. A key belongs to its topic: the same key
//! under two topics is two things. Events without a key are nobody's state.

use std::{
    cmp::Ordering,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use equivalent::{Comparable, Equivalent};
use imbl::OrdSet;
use standpipe_protocol::{Record, Topic, topic::Scope};
use standpipe_selection::Pattern;

use crate::ages::Ages;

/// What a key costs beside its event: its places here.
const OVERHEAD: usize = 128;

/// The latest event of each key.
///
/// Invariant: `latest` and `ages` hold the same events.
#[derive(Debug)]
pub(crate) struct Keys {
    max: usize,
    max_bytes: usize,
    latest: OrdSet<Latest>,
    /// The key that was silent for longest is the oldest.
    ages: Ages,
    bytes: usize,
    seq: u64,
    forgotten: u64,
}

/// How many keys there are, and what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeysReport {
    /// Keys whose latest event is held.
    pub keys: usize,
    /// The memory that takes, in bytes. Most of it is shared with the log.
    pub bytes: usize,
    /// Keys that were forgotten because there were too many.
    pub forgotten: u64,
}

/// The latest events as they were when one place in the log was the last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    /// That place.
    pub seq: u64,
    /// Whether no key was ever forgotten for want of room.
    pub complete: bool,
    /// The memory that its events take, in bytes. Most of it is shared, until newer ones take their place.
    pub bytes: usize,
    latest: OrdSet<Latest>,
}

/// How far the reading of a [`State`] has come, for one pattern.
#[derive(Debug, Clone, Default)]
pub(crate) enum Place {
    /// Nothing was read yet.
    #[default]
    Start,
    /// Up to and with this event.
    Behind(Arc<Record>),
    /// Up to and with all keys of this topic.
    BehindTopic(Topic),
}

impl Keys {
    pub(crate) fn new(max: usize, max_bytes: usize) -> Self {
        Self { max, max_bytes, latest: OrdSet::new(), ages: Ages::default(), bytes: 0, seq: 0, forgotten: 0 }
    }

    /// Takes up the next event of the log. `null` removes the key; where there are too many, the one that was silent for
    /// longest is forgotten.
    pub(crate) fn apply(&mut self, record: &Arc<Record>) {
        self.seq = record.seq;
        if record.key.is_none() {
            return;
        }
        if record.removes() {
            let old = self.latest.remove(&Latest::of(record, NOWHERE));
            self.let_go(old);
            return;
        }
        let place = self.ages.add(Arc::clone(record));
        let old = self.latest.insert(Latest::of(record, place));
        self.let_go(old);
        self.bytes += record.size() + OVERHEAD;
        while self.ages.len() > self.max || self.bytes > self.max_bytes {
            let Some(silent) = self.ages.remove_oldest() else { break };
            self.bytes -= silent.size() + OVERHEAD;
            self.latest.remove(&Latest::of(&silent, NOWHERE));
            self.forgotten += 1;
        }
    }

    /// One that is no more the latest of its key.
    fn let_go(&mut self, old: Option<Latest>) {
        if let Some(old) = old.and_then(|old| self.ages.remove(old.place)) {
            self.bytes -= old.size() + OVERHEAD;
        }
    }

    /// Lets go of all keys in `scope`. None of them is missed: nobody can ask for them any more.
    pub(crate) fn forget(&mut self, scope: Scope) {
        let of_scope: Vec<_> = {
            let behind = self.latest.range::<_, Border<'_>>((Excluded(&Border::Before(scope, "")), Unbounded));
            behind.take_while(|latest| latest.topic.scope() == scope).cloned().collect()
        };
        for gone in of_scope {
            let gone = self.latest.remove(&gone);
            self.let_go(gone);
        }
    }

    pub(crate) fn state(&self) -> State {
        State { seq: self.seq, complete: self.forgotten == 0, bytes: self.bytes, latest: self.latest.clone() }
    }

    pub(crate) fn report(&self) -> KeysReport {
        KeysReport { keys: self.ages.len(), bytes: self.bytes, forgotten: self.forgotten }
    }
}

impl State {
    /// Visits events of the topics of `pattern`, from `place` on, `max` of them at most, and appends them to `out` in the
    /// order of topics and keys. Topics that only look alike are stepped over, and count as one.
    ///
    /// Returns where the visit ended, or `None` if nothing is left.
    pub(crate) fn read(
        &self,
        pattern: &Pattern,
        mut place: Place,
        max: usize,
        out: &mut Vec<Arc<Record>>,
    ) -> Option<Place> {
        let text = pattern.as_str();
        let prefix = text.find(['*', '>']).and_then(|wildcard| text.get(..wildcard)).unwrap_or(text);
        let (scope, mut visited) = (pattern.scope(), 0);
        loop {
            let border = place.border(scope, prefix);
            let (mut last, mut other) = (None, None);
            for Latest { record, .. } in self.latest.range::<_, Border<'_>>((Excluded(&border), Unbounded)) {
                let matches = pattern.matches(&record.topic);
                let is_beyond = record.topic.scope() != scope || !record.topic.as_str().starts_with(prefix);
                if is_beyond || (!matches && pattern.is_exact()) {
                    return None;
                }
                if visited == max {
                    return Some(last.map_or_else(|| place.clone(), Place::Behind));
                }
                visited += 1;
                if !matches {
                    other = Some(record.topic.clone());
                    break;
                }
                out.push(Arc::clone(record));
                last = Some(Arc::clone(record));
            }
            place = Place::BehindTopic(other?);
        }
    }
}

impl Place {
    fn border<'a>(&'a self, scope: Scope, prefix: &'a str) -> Border<'a> {
        match self {
            Self::Start => Border::Before(scope, prefix),
            Self::Behind(record) => Border::At(record),
            Self::BehindTopic(topic) => Border::Behind(topic),
        }
    }
}

/// An event in the order of topics and keys.
#[derive(Debug, Clone)]
struct Latest {
    /// That of the record. What most comparisons look at is here, so that they do not go through other events to find it.
    topic: Topic,
    /// How its key begins, in the order of texts.
    begins: u64,
    /// That of its age. Of one that is only looked for, [`NOWHERE`].
    place: usize,
    record: Arc<Record>,
}

/// No place.
const NOWHERE: usize = usize::MAX;

impl Latest {
    fn of(record: &Arc<Record>, place: usize) -> Self {
        let key = record.key.as_deref().unwrap_or_default().as_bytes();
        let mut begins = [0; 8];
        begins.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { topic: record.topic.clone(), begins: u64::from_be_bytes(begins), place, record: Arc::clone(record) }
    }

    fn key(&self) -> Option<&str> {
        self.record.key.as_deref()
    }
}

impl Ord for Latest {
    fn cmp(&self, other: &Self) -> Ordering {
        let beginning = self.topic.cmp(&other.topic).then(self.begins.cmp(&other.begins));
        beginning.then_with(|| self.key().cmp(&other.key()))
    }
}

impl PartialOrd for Latest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Latest {}

/// A place between events, in their order.
enum Border<'a> {
    Before(Scope, &'a str),
    At(&'a Record),
    Behind(&'a Topic),
}

impl Equivalent<Latest> for Border<'_> {
    fn equivalent(&self, event: &Latest) -> bool {
        self.compare(event) == Ordering::Equal
    }
}

impl Comparable<Latest> for Border<'_> {
    fn compare(&self, event: &Latest) -> Ordering {
        let (topic, key) = (&event.topic, event.key());
        match self {
            Self::Before(scope, prefix) => (*scope, *prefix).cmp(&(topic.scope(), topic.as_str())).then(Ordering::Less),
            Self::At(record) => (&record.topic, record.key.as_deref()).cmp(&(topic, key)),
            Self::Behind(other) => (*other).cmp(topic).then(Ordering::Greater),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use standpipe_protocol::{Event, Json};

    fn record(seq: u64, topic: &str, key: Option<&str>, data: &str) -> Arc<Record> {
        let event = Event {
            topic: Topic::new(topic).unwrap(),
            key: key.map(Into::into),
            id: None,
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse(data).unwrap(),
        };
        Arc::new(Record::new(seq, event))
    }

    fn seqs(state: &State, pattern: &str, step: usize) -> Vec<u64> {
        let pattern = Pattern::new(pattern).unwrap();
        let (mut place, mut out) = (Some(Place::Start), Vec::new());
        while let Some(from) = place.take() {
            let before = out.len();
            place = state.read(&pattern, from, step, &mut out);
            assert!(out.len() - before <= step);
        }
        out.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_picture_is_not_changed_by_what_follows() {
        let mut keys = Keys::new(10, 1 << 20);
        keys.apply(&record(1, "a", Some("x"), "1"));
        keys.apply(&record(2, "b", Some("x"), "1"));
        keys.apply(&record(3, "a", None, "1"));
        let before = keys.state();
        keys.apply(&record(4, "a", Some("x"), "2"));
        keys.apply(&record(5, "b", Some("x"), "null"));
        assert_eq!((before.seq, seqs(&before, ">", 1)), (3, vec![1, 2]));
        assert_eq!((keys.state().seq, seqs(&keys.state(), ">", 1)), (5, vec![4]));
    }

    #[test]
    fn the_key_that_was_silent_for_longest_is_forgotten_and_that_is_known() {
        let mut keys = Keys::new(2, 1 << 20);
        for (seq, key) in [(1, "x"), (2, "y"), (3, "x")] {
            keys.apply(&record(seq, "a", Some(key), "1"));
        }
        assert!(keys.state().complete);
        keys.apply(&record(4, "a", Some("z"), "1"));
        assert_eq!((seqs(&keys.state(), "a", 10), keys.state().complete), (vec![3, 4], false));
        let mut small = Keys::new(100, keys.report().bytes);
        (1..=5).for_each(|seq| small.apply(&record(seq, "a", Some(&seq.to_string()), "1")));
        assert_eq!(small.report(), KeysReport { keys: 2, bytes: small.report().bytes, forgotten: 3 });
    }

    proptest! {
        #[test]
        fn every_pattern_reads_the_latest_of_each_of_its_keys(
            events in prop::collection::vec(("(a|ab|b)(\\.(a|b|ba))?", 0..4u8, prop::bool::weighted(0.2)), 0..60),
            max_keys in 1usize..12, step in 1usize..5, cut in 0u64..60,
        ) {
            let mut keys = Keys::new(max_keys, usize::MAX);
            let mut model: Vec<(String, String, u64)> = Vec::new();
            let mut picture = None;
            for (seq, (topic, key, is_gone)) in (1..).zip(&events) {
                if seq == cut {
                    picture = Some((keys.state(), model.clone()));
                }
                let key = key.to_string();
                model.retain(|(t, k, _)| (t, k) != (topic, &key));
                if !is_gone {
                    model.push((topic.clone(), key.clone(), seq));
                    if model.len() > max_keys {
                        model.remove(0);
                    }
                }
                keys.apply(&record(seq, topic, Some(&key), if *is_gone { "null" } else { "{}" }));
                prop_assert_eq!(keys.latest.len(), keys.ages.len());
            }
            for (state, mut model) in picture.into_iter().chain([(keys.state(), model)]) {
                model.sort();
                for text in [">", "*", "a", "ab", "a.*", "*.b", "a.>", "b.ba", "c", "*.*"] {
                    let pattern = Pattern::new(text).unwrap();
                    let wanted = model.iter().filter(|(topic, ..)| pattern.matches(&Topic::new(topic).unwrap()));
                    prop_assert_eq!(seqs(&state, text, step), wanted.map(|(.., seq)| *seq).collect::<Vec<_>>(), "{}", text);
                }
            }
        }
    }
}
