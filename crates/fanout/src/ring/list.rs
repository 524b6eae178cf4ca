//! Which topics the log holds, for those who operate the server.
//!
//! There may be very many, so the log is locked for as long as it takes to see their names and counts, and to look at those of
//! one page; they are ordered in between.

use std::time::Duration;

use standpipe_protocol::{Topic, topic::Scope};
use tokio::time::Instant;

use super::{Held, Ring};

/// How far back the events of the last minute go.
const MINUTE: Duration = Duration::from_secs(60);

/// Which topics are asked for.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Those that begin with this.
    pub prefix: String,
    /// In this order.
    pub order: ListingOrder,
    /// So many at most.
    pub limit: usize,
}

/// What topics are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingOrder {
    /// Their names, from behind this one on.
    Name(Option<String>),
    /// How many of their events are held, the most first.
    Events,
}

/// The topics of one name that the log holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// One that all share, or one in each of some instances.
    pub(crate) topics: Vec<Topic>,
    pub(crate) events: usize,
    pub(crate) last_minute: usize,
    /// How long ago the last event got its place.
    pub(crate) age: Duration,
}

impl Listed {
    /// In how many instances it is, unless all share it.
    pub(crate) fn instances(&self) -> Option<usize> {
        let is_shared = self.topics.iter().any(|topic| topic.scope() == Scope::SHARED);
        (!is_shared).then_some(self.topics.len())
    }
}

impl Ring {
    /// A page of the topics, and how many there are that begin so.
    pub(crate) fn list(&self, listing: Listing, now: Instant) -> (Vec<Listed>, usize) {
        let Listing { prefix, order, limit } = listing;
        let mut names = grouped(self.held().beginning_with(&prefix));
        let total = names.len();
        match order {
            ListingOrder::Name(after) => {
                names.retain(|(topics, _)| after.as_deref().is_none_or(|after| name(topics) > after));
                first(&mut names, limit, |(topics, _)| name(topics).to_owned());
            }
            ListingOrder::Events => {
                first(&mut names, limit, |(topics, events)| (std::cmp::Reverse(*events), name(topics).to_owned()));
            }
        }
        let held = self.held();
        // What was trimmed in between is not there any more.
        let listed = names.into_iter().filter_map(|(topics, _)| held.look(topics, now)).collect();
        (listed, total)
    }
}

impl Held {
    fn beginning_with(&self, prefix: &str) -> Vec<(Topic, usize)> {
        let found = self.places.iter().filter(|(topic, _)| topic.as_str().starts_with(prefix));
        found.map(|(topic, places)| (topic.clone(), places.len())).collect()
    }

    fn look(&self, topics: Vec<Topic>, now: Instant) -> Option<Listed> {
        let is_old = |at: &Instant| now.duration_since(*at) > MINUTE;
        let recent = self.floor + self.records.partition_point(|(at, _)| is_old(at)) as u64;
        let (mut events, mut last_minute, mut last) = (0, 0, None);
        for places in topics.iter().filter_map(|topic| self.places.get(topic)) {
            events += places.len();
            last_minute += places.len() - places.partition_point(|seq| *seq < recent);
            last = last.max(places.back().copied());
        }
        let index = usize::try_from(last?.checked_sub(self.floor)?).ok()?;
        let age = self.records.get(index).map(|(at, _)| now.duration_since(*at))?;
        Some(Listed { name: name(&topics).to_owned(), topics, events, last_minute, age })
    }
}

fn name(topics: &[Topic]) -> &str {
    topics.first().map_or("", Topic::as_str)
}

/// Topics of the same name together, with how many events they have. They are only ordered if there may be any.
fn grouped(mut found: Vec<(Topic, usize)>) -> Vec<(Vec<Topic>, usize)> {
    if found.iter().any(|(topic, _)| topic.scope() != Scope::SHARED) {
        found
            .sort_unstable_by(|(one, _), (other, _)| (one.as_str(), one.scope()).cmp(&(other.as_str(), other.scope())));
    }
    let mut groups: Vec<(Vec<Topic>, usize)> = Vec::with_capacity(found.len());
    for (topic, events) in found {
        match groups.last_mut() {
            Some((topics, sum)) if name(topics) == topic.as_str() => {
                topics.push(topic);
                *sum += events;
            }
            _ => groups.push((vec![topic], events)),
        }
    }
    groups
}

/// Leaves the `limit` with the least keys, in their order.
fn first<T, K: Ord>(all: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> K) {
    if limit < all.len() {
        all.select_nth_unstable_by_key(limit, &key);
        all.truncate(limit);
    }
    all.sort_by_cached_key(key);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use standpipe_protocol::{Epoch, Event, Json};

    use super::*;
    use crate::{Config, Log as _};

    fn event(topic: Topic) -> Event {
        let (source, data) = ("s".into(), Json::parse("1").unwrap());
        Event { topic, key: None, id: None, ts: None, n: None, source, data }
    }

    fn shared(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn instance(name: &str, number: u32) -> Topic {
        shared(name).within(Scope::instance(NonZeroU32::new(number).unwrap()))
    }

    fn ring(max_events: usize) -> Ring {
        Ring::new(Epoch(1), &Config { max_age: Duration::from_secs(600), ..Config::of_events(max_events) })
    }

    fn names(ring: &Ring, prefix: &str, order: ListingOrder, limit: usize) -> (Vec<String>, usize) {
        let listing = Listing { prefix: prefix.to_owned(), order, limit };
        let (listed, total) = ring.list(listing, Instant::now());
        (listed.into_iter().map(|one| one.name).collect(), total)
    }

    #[test]
    fn topics_are_listed_a_page_at_a_time_by_name_or_by_how_much_is_held() {
        let ring = ring(100);
        let now = Instant::now();
        for name in ["b.x", "a", "c", "b.y", "b.x", "b.x", "c"] {
            ring.append(vec![event(shared(name))], now, &mut Vec::new());
        }
        let page = |after: Option<&str>| names(&ring, "", ListingOrder::Name(after.map(str::to_owned)), 3);
        assert_eq!(page(None), (["a", "b.x", "b.y"].map(str::to_owned).into(), 4));
        assert_eq!(page(Some("b.y")), (["c"].map(str::to_owned).into(), 4));
        assert_eq!(page(Some("c")), (Vec::new(), 4));
        let most = |prefix, limit| names(&ring, prefix, ListingOrder::Events, limit);
        assert_eq!(most("", 2), (["b.x", "c"].map(str::to_owned).into(), 4));
        assert_eq!(most("b.", 9), (["b.x", "b.y"].map(str::to_owned).into(), 2));
        assert_eq!(most("d", 9), (Vec::new(), 0));
    }

    #[test]
    fn what_is_told_of_a_topic_is_what_the_log_holds_of_it() {
        let ring = ring(5);
        let begin = Instant::now();
        for (seconds, name) in [(0, "a"), (1, "a"), (40, "b"), (70, "a"), (80, "a"), (90, "b")] {
            ring.append(vec![event(shared(name))], begin + Duration::from_secs(seconds), &mut Vec::new());
        }
        let listing = Listing { prefix: String::new(), order: ListingOrder::Name(None), limit: 9 };
        let (listed, _) = ring.list(listing, begin + Duration::from_secs(100));
        let told: Vec<_> =
            listed.iter().map(|one| (one.name.as_str(), one.events, one.last_minute, one.age.as_secs())).collect();
        assert_eq!(
            told,
            [("a", 3, 2, 20), ("b", 2, 2, 10)],
            "the first was trimmed, the second is older than a minute"
        );
    }

    #[test]
    fn topics_of_instances_are_told_together_under_their_name() {
        let ring = ring(100);
        let now = Instant::now();
        for topic in [instance("p", 1), shared("q"), instance("p", 2), instance("p", 1)] {
            ring.append(vec![event(topic)], now, &mut Vec::new());
        }
        let (listed, total) = ring.list(Listing { prefix: String::new(), order: ListingOrder::Events, limit: 9 }, now);
        let told: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.events, one.instances())).collect();
        assert_eq!((told, total), (vec![("p", 3, Some(2)), ("q", 1, None)], 2));
    }
}
