//! The log in memory: bounded by count, bytes and age, with the places of each topic at hand.

mod list;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use ahash::AHashMap;
use standpipe_ledger::Tariff;
use standpipe_protocol::{Epoch, Event, Pinned, Record, Topic, topic::Scope};
use tokio::{sync::watch, time::Instant};

use crate::{
    Config,
    log::{Bounds, Expired, Log, Plan},
    state::{Keys, KeysReport, State},
};

pub use list::{Listing, ListingOrder};

/// The log of one process.
///
/// Invariant: `records` holds `floor..=head` without a hole; `places` has each of them once, under its topic, in order.
#[derive(Debug)]
pub struct Ring {
    epoch: Epoch,
    max_events: usize,
    max_bytes: usize,
    max_age: Duration,
    hasher: RandomState,
    /// What events are charged as, where they are.
    tariff: Option<Arc<Tariff>>,
    /// The next `seq`; held while events are encoded, so that readers are not held up by that.
    next: Mutex<u64>,
    held: RwLock<Held>,
    keys: Mutex<Keys>,
    /// What the keys take, to be read while they are changed.
    keys_bytes: AtomicUsize,
    pinned: Pinned,
    head: watch::Sender<u64>,
}

#[derive(Debug)]
struct Held {
    floor: u64,
    records: VecDeque<(Instant, Arc<Record>)>,
    bytes: usize,
    places: AHashMap<Topic, VecDeque<u64>>,
    /// By hash: the id itself stands in the record.
    ids: HashMap<u64, u64>,
    topics_seen: u64,
}

/// What a record costs beside its own size: its places here.
const OVERHEAD: usize = 96;

impl Ring {
    /// An empty log.
    pub fn new(epoch: Epoch, config: &Config) -> Self {
        Self {
            epoch,
            max_events: config.max_events,
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            hasher: RandomState::new(),
            tariff: config.tariff.clone(),
            next: Mutex::new(1),
            held: RwLock::new(Held {
                floor: 1,
                records: VecDeque::new(),
                bytes: 0,
                places: AHashMap::new(),
                ids: HashMap::new(),
                topics_seen: 0,
            }),
            keys: Mutex::new(Keys::new(config.max_keys, config.max_keys_bytes)),
            keys_bytes: AtomicUsize::new(0),
            pinned: Pinned::default(),
            head: watch::Sender::new(0),
        }
    }

    /// How many bytes of memory the events take.
    pub fn bytes(&self) -> usize {
        self.held().bytes
    }

    /// How long the oldest event has been held.
    pub fn age(&self, now: Instant) -> Duration {
        self.held().records.front().map_or(Duration::ZERO, |(at, _)| now.duration_since(*at))
    }

    /// How long events are held if there is room.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// How many topics it holds events of.
    pub fn topics(&self) -> usize {
        self.held().places.len()
    }

    /// How many keys it holds the latest event of.
    pub fn keys(&self) -> KeysReport {
        self.locked_keys().report()
    }

    /// Lets go of the latest events of all keys in `scope`.
    pub(crate) fn forget(&self, scope: Scope) {
        let mut keys = self.locked_keys();
        keys.forget(scope);
        self.keys_bytes.store(keys.report().bytes, Relaxed);
    }

    fn locked_keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> std::sync::RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id)
    }

    fn trim_to_bounds(&self, held: &mut Held, now: Instant) {
        while let Some((at, _)) = held.records.front() {
            let too_old = now.duration_since(*at) > self.max_age;
            // One event stays whatever its size: a log that holds nothing could deliver nothing.
            let too_much =
                held.records.len() > 1 && (held.records.len() > self.max_events || held.bytes > self.max_bytes);
            if !(too_old || too_much) {
                break;
            }
            held.forget_oldest(&self.pinned, |id| self.hash(id));
        }
    }
}

impl Held {
    fn bounds(&self) -> Bounds {
        Bounds { floor: self.floor, head: self.floor + self.records.len() as u64 - 1 }
    }

    fn record(&self, seq: u64) -> Option<&Arc<Record>> {
        let index = usize::try_from(seq.checked_sub(self.floor)?).ok()?;
        self.records.get(index).map(|(_, record)| record)
    }

    fn push(&mut self, record: Arc<Record>, id_hash: Option<u64>, now: Instant) {
        self.bytes += record.size() + OVERHEAD;
        if let Some(hash) = id_hash {
            self.ids.insert(hash, record.seq);
        }
        if let Some(places) = self.places.get_mut(&record.topic) {
            places.push_back(record.seq);
        } else {
            self.topics_seen += 1;
            self.places.insert(record.topic.clone(), VecDeque::from([record.seq]));
        }
        self.records.push_back((now, record));
    }

    fn forget_oldest(&mut self, pinned: &Pinned, hash: impl Fn(&str) -> u64) {
        let Some((_, record)) = self.records.pop_front() else { return };
        // Who else holds it got it from here, or from who got it from here: nobody comes to hold it meanwhile.
        if Arc::strong_count(&record) > 1 {
            record.pin(pinned);
        }
        self.floor = record.seq + 1;
        self.bytes -= record.size() + OVERHEAD;
        if let Some(places) = self.places.get_mut(&record.topic) {
            places.pop_front();
            if places.is_empty() {
                self.places.remove(&record.topic);
            }
        }
        if let Some(hash) = record.id.as_deref().map(hash)
            && self.ids.get(&hash) == Some(&record.seq)
        {
            self.ids.remove(&hash);
        }
    }

    /// Merges the places of `topics` behind `after`, up to `to`.
    fn merge(&self, topics: &[Topic], after: u64, to: u64, max: usize, out: &mut Vec<Arc<Record>>) -> u64 {
        let mut sources: Vec<_> = Vec::new();
        let mut next = BinaryHeap::new();
        for places in topics.iter().filter_map(|topic| self.places.get(topic)) {
            let mut behind = places.range(places.partition_point(|seq| *seq <= after)..);
            if let Some(seq) = behind.next().filter(|seq| **seq <= to) {
                next.push(Reverse((*seq, sources.len())));
                sources.push(behind);
            }
        }
        let mut left = max;
        while let Some(Reverse((seq, source))) = next.pop() {
            if left == 0 {
                return seq - 1;
            }
            left -= 1;
            out.extend(self.record(seq).cloned());
            if let Some(seq) = sources.get_mut(source).and_then(Iterator::next).filter(|seq| **seq <= to) {
                next.push(Reverse((*seq, source)));
            }
        }
        to
    }
}

impl Log for Ring {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn bounds(&self) -> Bounds {
        self.held().bounds()
    }

    fn append(&self, events: Vec<Event>, now: Instant, placed: &mut Vec<u64>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded: Vec<_> = (*next..)
            .zip(events)
            .map(|(seq, event)| {
                let class = self.tariff.as_ref().and_then(|tariff| tariff.class(&event.topic));
                let record = Record::new(seq, event).charged_as(class);
                // What belongs to one instance is found by nobody else, so it is not found by its id.
                let is_shared = record.topic.scope() == Scope::SHARED;
                let hash = record.id.as_deref().filter(|_| is_shared).map(|id| self.hash(id));
                (Arc::new(record), hash)
            })
            .collect();
        *next += encoded.len() as u64;
        let head = *next - 1;
        // Before the log: a state is never behind what a shard has read.
        let mut keys = self.locked_keys();
        for (record, _) in &encoded {
            keys.apply(record);
        }
        self.keys_bytes.store(keys.report().bytes, Relaxed);
        drop(keys);
        let mut held = self.held_mut();
        for (record, hash) in encoded {
            placed.push(record.seq);
            held.push(record, hash, now);
        }
        self.trim_to_bounds(&mut held, now);
        drop(held);
        self.head.send_replace(head);
    }

    fn trim(&self, now: Instant) {
        self.trim_to_bounds(&mut self.held_mut(), now);
    }

    fn plan(&self, wanted: &dyn Fn(&Topic) -> bool) -> Plan {
        let held = self.held();
        let topics: Vec<_> = held.places.keys().filter(|topic| wanted(topic)).cloned().collect();
        let all = topics.len() == held.places.len();
        Plan { topics: (!all).then_some(topics), version: held.topics_seen }
    }

    fn is_outdated(&self, plan: &Plan) -> bool {
        self.held().topics_seen != plan.version
    }

    fn read(
        &self,
        plan: Option<&Plan>,
        after: u64,
        to: u64,
        max: usize,
        out: &mut Vec<Arc<Record>>,
    ) -> Result<u64, Expired> {
        let held = self.held();
        let Bounds { floor, head } = held.bounds();
        let to = to.min(head);
        if after >= to {
            return Ok(after);
        }
        if after + 1 < floor {
            return Err(Expired { floor });
        }
        if let Some(topics) = plan.and_then(|plan| plan.topics.as_ref()) {
            return Ok(held.merge(topics, after, to, max, out));
        }
        let first = usize::try_from(after + 1 - floor).unwrap_or(usize::MAX);
        let count = usize::try_from(to - after).unwrap_or(usize::MAX).min(max);
        out.extend(held.records.iter().skip(first).take(count).map(|(_, record)| Arc::clone(record)));
        Ok(after + count as u64)
    }

    fn since(&self, time: Instant) -> u64 {
        let held = self.held();
        held.floor + held.records.partition_point(|(at, _)| *at < time) as u64
    }

    fn find(&self, id: &str) -> Option<u64> {
        let held = self.held();
        let seq = *held.ids.get(&self.hash(id))?;
        held.record(seq).filter(|record| record.id.as_deref() == Some(id)).map(|record| record.seq)
    }

    fn id_at(&self, seq: u64) -> Option<Box<str>> {
        let held = self.held();
        let shared = held.record(seq).filter(|record| record.topic.scope() == Scope::SHARED);
        shared.and_then(|record| record.id.clone())
    }

    fn pinned(&self) -> usize {
        // Of the keys' events some are the log's, too. What is left out for these, the log and the keys take less than
        // they may together, so that the sum of all three is bounded by the sum of their bounds.
        self.pinned.bytes().saturating_sub(self.keys_bytes.load(Relaxed))
    }

    fn state(&self) -> State {
        self.locked_keys().state()
    }

    fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use standpipe_ledger::{EventName, Rule};
    use standpipe_protocol::{Class, Json};

    fn config() -> Config {
        Config { max_age: Duration::from_secs(60), max_bytes: 1 << 20, ..Config::of_events(10) }
    }

    fn event(topic: &str, id: Option<String>) -> Event {
        Event {
            topic: Topic::new(topic).unwrap(),
            key: None,
            id: id.map(Into::into),
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse("1").unwrap(),
        }
    }

    fn ring(config: &Config) -> Ring {
        Ring::new(Epoch(1), config)
    }

    #[test]
    fn what_an_event_is_charged_as_is_found_when_it_gets_its_place() {
        let names = [("dear", "premium"), ("cheap", "basic")].map(|(topic, name)| Rule {
            selects: Box::new(move |of| of.as_str() == topic),
            event: EventName::new(name).unwrap(),
        });
        let tariff = Tariff::new(names.into(), |_| None).unwrap();
        let ring = ring(&Config { tariff: Some(Arc::new(tariff)), ..config() });
        let mut out = Vec::new();
        ring.append(["cheap", "free", "dear"].map(|topic| event(topic, None)).into(), Instant::now(), &mut out);
        let mut records = Vec::new();
        ring.read(None, 0, 3, 9, &mut records).unwrap();
        let classes: Vec<_> = records.iter().map(|record| record.class.map(Class::index)).collect();
        assert_eq!(classes, [Some(1), None, Some(0)]);
    }

    fn seqs(ring: &Ring, plan: Option<&Plan>, after: u64, to: u64, max: usize) -> Result<(Vec<u64>, u64), Expired> {
        let mut out = Vec::new();
        let up_to = ring.read(plan, after, to, max, &mut out)?;
        Ok((out.iter().map(|record| record.seq).collect(), up_to))
    }

    #[test]
    fn places_are_gapless_and_an_empty_log_has_its_floor_above_its_head() {
        let ring = ring(&config());
        assert_eq!(ring.bounds(), Bounds { floor: 1, head: 0 });
        let mut placed = Vec::new();
        ring.append(vec![event("a", None), event("b", None)], Instant::now(), &mut placed);
        assert_eq!(placed, [1, 2]);
        assert_eq!(ring.bounds(), Bounds { floor: 1, head: 2 });
        assert_eq!(seqs(&ring, None, 0, 9, 9), Ok((vec![1, 2], 2)));
        assert_eq!(seqs(&ring, None, 2, 9, 9), Ok((vec![], 2)));
    }

    #[test]
    fn each_bound_trims_and_trimming_leaves_nothing_behind() {
        let now = Instant::now();
        let ring = ring(&Config { max_events: 3, ..config() });
        for n in 0..5 {
            ring.append(vec![event(&format!("t{n}"), Some(format!("id{n}")))], now, &mut Vec::new());
        }
        assert_eq!(ring.bounds(), Bounds { floor: 3, head: 5 });
        assert_eq!((ring.find("id1"), ring.find("id2")), (None, Some(3)));
        assert_eq!(ring.id_at(3).as_deref(), Some("id2"));
        assert_eq!(seqs(&ring, None, 0, 5, 9), Err(Expired { floor: 3 }));
        ring.trim(now + Duration::from_secs(61));
        assert_eq!(ring.bounds(), Bounds { floor: 6, head: 5 });
        assert_eq!((ring.bytes(), ring.topics(), ring.held().ids.len()), (0, 0, 0));
        let small = Ring::new(Epoch(1), &Config { max_bytes: 1, ..config() });
        small.append(vec![event("a", None), event("a", None)], now, &mut Vec::new());
        assert_eq!(small.bounds(), Bounds { floor: 2, head: 2 }, "the last one stays whatever its size");
    }

    #[test]
    fn a_plan_knows_when_topics_have_appeared() {
        let ring = ring(&config());
        ring.append(vec![event("a", None), event("b", None)], Instant::now(), &mut Vec::new());
        let plan = ring.plan(&|topic| topic.as_str() == "a");
        assert!(!ring.is_outdated(&plan));
        ring.append(vec![event("c", None)], Instant::now(), &mut Vec::new());
        assert!(ring.is_outdated(&plan));
        assert_eq!(seqs(&ring, Some(&plan), 0, 3, 9), Ok((vec![1], 3)));
        let all = ring.plan(&|_| true);
        assert_eq!(seqs(&ring, Some(&all), 0, 3, 2), Ok((vec![1, 2], 2)));
    }

    proptest! {
        #[test]
        fn reading_by_plan_is_reading_all_and_choosing(
            topics in prop::collection::vec(0u8..6, 0..80), wanted in prop::collection::vec(any::<bool>(), 6),
            after in 0u64..80, to in 0u64..90, max in 1usize..20, max_events in 1usize..90
        ) {
            let ring = ring(&Config { max_events, ..config() });
            for chunk in topics.chunks(7) {
                let events = chunk.iter().map(|t| event(&format!("t{t}"), None)).collect();
                ring.append(events, Instant::now(), &mut Vec::new());
            }
            let is_wanted = |topic: &Topic| {
                let n: usize = topic.as_str()[1..].parse().unwrap();
                wanted[n]
            };
            let plan = ring.plan(&is_wanted);
            let Bounds { floor, head } = ring.bounds();
            let got = seqs(&ring, Some(&plan), after, to, max);
            if after < to.min(head) && after + 1 < floor {
                prop_assert_eq!(got, Err(Expired { floor }));
            } else {
                let (got, up_to) = got.unwrap();
                // Reading on from where the last read ended finds every wanted event once.
                let (mut all, mut cursor) = (got.clone(), up_to);
                while cursor < to.min(head) {
                    let (more, next) = seqs(&ring, Some(&plan), cursor, to, max).unwrap();
                    prop_assert!(next > cursor);
                    all.extend(more);
                    cursor = next;
                }
                let naive: Vec<u64> = (1..).zip(&topics).filter(|(seq, t)| {
                    *seq > after && *seq <= to && wanted[usize::from(**t)]
                }).map(|(seq, _)| seq).collect();
                prop_assert_eq!(all, naive);
                prop_assert!(got.len() <= max);
            }
        }
    }
}
