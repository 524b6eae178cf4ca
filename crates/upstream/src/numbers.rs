//! Finds what a feed has sent and nobody got, by the feed's own running numbers.
//!
//! This file decides what is a gap: a number that leaves out some behind the one before it, over one connection or over two
//! of the same source. A number that is not higher is no gap: the same again belongs to the same frame, a lower one to a
//! feed that counts anew. Where several sources carry the same numbers, what one of them lacks counts as missed only if
//! no other has it, or can still be expected to.

use std::{collections::HashMap, ops::RangeInclusive};

use standpipe_protocol::{Event, Topic};

/// The most series of numbers that are followed.
pub(crate) const MAX_SERIES: usize = 100_000;

/// What the numbers of a feed count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// All that comes over a connection.
    Source,
    /// What belongs to one topic.
    Topic,
    /// What belongs to one key of a topic.
    Key,
}

/// What one series of numbers belongs to.
type Series = (Option<Topic>, Option<Box<str>>);

/// The numbers of one feed, which several sources may carry.
#[derive(Debug)]
pub(crate) struct Numbers {
    of: Numbering,
    max: usize,
    /// Of each series, how far each source has come, by its place among them.
    series: HashMap<Series, Vec<Option<Run>>>,
}

/// What one source has carried of a series: numbers without a gap, and those before the last gap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    before: Option<RangeInclusive<u64>>,
    first: u64,
    last: u64,
}

/// There are [`MAX_SERIES`] already: the numbers of another one are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Numbers {
    pub(crate) fn new(of: Numbering) -> Self {
        Self { of, max: MAX_SERIES, series: HashMap::new() }
    }

    /// Takes note of the number of an event that `source` brought, and tells how many before it are missed.
    pub(crate) fn see(&mut self, source: usize, event: &Event) -> Result<u64, TooMany> {
        let Some(n) = event.n else { return Ok(0) };
        let topic = self.topic_of(event).cloned();
        let key = if self.of == Numbering::Key { event.key.clone() } else { None };
        self.follow(source, (topic, key), n)
    }

    /// Whether they count all that comes over a connection, so that what is no event has one too.
    pub(crate) fn count_all(&self) -> bool {
        self.of == Numbering::Source
    }

    /// The same as [`Numbers::see`] for a number of something that is no event, where all are counted.
    pub(crate) fn pass(&mut self, source: usize, n: u64) -> u64 {
        // There is one series then, which is never one too many.
        self.follow(source, (None, None), n).unwrap_or(0)
    }

    /// The topic that a gap before `event` is one of, if it is one of a topic alone.
    pub(crate) fn topic_of<'a>(&self, event: &'a Event) -> Option<&'a Topic> {
        (!self.count_all()).then_some(&event.topic)
    }

    /// Forgets all numbers.
    pub(crate) fn clear(&mut self) {
        self.series.clear();
    }

    fn follow(&mut self, source: usize, series: Series, n: u64) -> Result<u64, TooMany> {
        if self.series.len() >= self.max && !self.series.contains_key(&series) {
            return Err(TooMany);
        }
        let runs = self.series.entry(series).or_default();
        if runs.len() <= source {
            runs.resize(source + 1, None);
        }
        let Some(place) = runs.get_mut(source) else { return Ok(0) };
        let run = match place {
            Some(run) if n == run.last => return Ok(0),
            Some(run) if run.last.checked_add(1) == Some(n) => {
                run.last = n;
                return Ok(0);
            }
            Some(run) if n > run.last => run,
            // The first number, or a feed that counts anew.
            other => {
                *other = Some(Run { before: None, first: n, last: n });
                return Ok(0);
            }
        };
        let hole = run.last + 1..=n - 1;
        *run = Run { before: Some(run.first..=run.last), first: n, last: n };
        let others = runs.iter().enumerate().filter(|(other, _)| *other != source);
        Ok(missing(hole, others.filter_map(|(_, run)| run.as_ref())))
    }
}

/// How many of `hole` none of `others` has carried, or will: what comes behind its first number, unless it has a gap itself.
fn missing<'a>(hole: RangeInclusive<u64>, others: impl Iterator<Item = &'a Run>) -> u64 {
    let mut carried: Vec<RangeInclusive<u64>> = Vec::new();
    for run in others {
        carried.extend(run.before.clone());
        carried.push(run.first..=u64::MAX);
    }
    carried.sort_by_key(|range| *range.start());
    let (mut next, mut missing) = (*hole.start(), 0);
    for range in carried {
        if *range.start() > *hole.end() {
            break;
        }
        missing += range.start().saturating_sub(next);
        next = next.max(range.end().saturating_add(1));
    }
    missing + (hole.end() + 1).saturating_sub(next)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use standpipe_protocol::Json;

    use super::*;

    fn event(topic: &str, key: &str, n: u64) -> Event {
        Event {
            topic: Topic::new(topic).unwrap(),
            key: Some(key.into()),
            id: None,
            ts: None,
            n: Some(n),
            source: "s".into(),
            data: Json::parse("1").unwrap(),
        }
    }

    fn all(numbers: &mut Numbers, source: usize, ns: impl IntoIterator<Item = u64>) -> Vec<u64> {
        ns.into_iter().map(|n| numbers.see(source, &event("t", "k", n)).unwrap()).collect()
    }

    #[test]
    fn what_is_left_out_is_missed_and_what_begins_anew_is_not() {
        let mut numbers = Numbers::new(Numbering::Topic);
        assert_eq!(all(&mut numbers, 0, [7, 8, 8, 9, 12, 13]), [0, 0, 0, 0, 2, 0]);
        assert_eq!(all(&mut numbers, 0, [1, 2, 4]), [0, 0, 1]);
        assert_eq!(all(&mut numbers, 0, [u64::MAX, u64::MAX, 0]), [u64::MAX - 5, 0, 0]);
        assert!(!numbers.count_all());
    }

    #[test]
    fn each_series_has_its_own_numbers() {
        let seen = |of| {
            let mut numbers = Numbers::new(of);
            [("a", "x", 1), ("b", "x", 1), ("a", "y", 2), ("a", "x", 3)]
                .map(|(topic, key, n)| numbers.see(0, &event(topic, key, n)).unwrap())
        };
        assert_eq!(seen(Numbering::Source), [0, 0, 0, 0]);
        assert_eq!(seen(Numbering::Topic), [0, 0, 0, 0]);
        assert_eq!(seen(Numbering::Key), [0, 0, 0, 1]);
        let mut numbers = Numbers::new(Numbering::Source);
        assert_eq!((numbers.see(0, &event("a", "x", 1)), numbers.pass(0, 2)), (Ok(0), 0));
        assert_eq!(numbers.see(0, &event("b", "y", 4)), Ok(1));
    }

    #[test]
    fn what_another_source_carries_is_not_missed() {
        let mut numbers = Numbers::new(Numbering::Topic);
        assert_eq!(all(&mut numbers, 0, 1..=5), [0; 5]);
        assert_eq!(all(&mut numbers, 1, 3..=4), [0; 2]);
        assert_eq!(all(&mut numbers, 0, [9]), [0], "the other is behind, and unbroken");
        assert_eq!(all(&mut numbers, 1, [5, 12]), [0, 3], "6 to 8 came over neither, 9 to 11 are the first's");
        assert_eq!(all(&mut numbers, 0, [20]), [2], "10 and 11 came over neither");
    }

    #[test]
    fn there_is_an_end_to_what_is_followed() {
        let mut numbers = Numbers { max: 1, ..Numbers::new(Numbering::Topic) };
        assert_eq!(numbers.see(0, &event("a", "x", 1)), Ok(0));
        assert_eq!(numbers.see(0, &event("b", "x", 1)), Err(TooMany));
        assert_eq!(numbers.see(0, &event("a", "x", 3)), Ok(1));
    }

    proptest! {
        #[test]
        fn one_source_misses_what_it_never_sees(mut ns in prop::collection::btree_set(0_u64..60, 1..40)) {
            let mut numbers = Numbers::new(Numbering::Source);
            let missed: u64 = ns.iter().map(|n| numbers.see(0, &event("t", "k", *n)).unwrap()).sum();
            let (first, last) = (ns.pop_first().unwrap(), ns.pop_last());
            let naive = last.map_or(0, |last| (first + 1..last).filter(|n| !ns.contains(n)).count());
            prop_assert_eq!(missed, naive as u64);
        }

        #[test]
        fn with_two_sources_the_missed_are_those_that_neither_brought(
            lost in prop::collection::vec((0_usize..2, 1_u64..30, 0_u64..4), 0..4),
        ) {
            // Both carry 0..40 in step, but for what is lost; both are there at the beginning and at the end.
            let mut gone = [BTreeSet::new(), BTreeSet::new()];
            for (source, from, count) in lost {
                gone[source].extend(from..from + count);
            }
            let mut numbers = Numbers::new(Numbering::Source);
            let mut missed = 0;
            for n in 0..40 {
                for (source, gone) in gone.iter().enumerate() {
                    if !gone.contains(&n) {
                        missed += numbers.see(source, &event("t", "k", n)).unwrap();
                    }
                }
            }
            let neither = gone[0].intersection(&gone[1]).count() as u64;
            prop_assert!(missed >= neither, "{missed} of {neither}");
            prop_assert!(neither > 0 || missed == 0 || gone.iter().all(|gone| !gone.is_empty()), "{missed}");
        }
    }
}
