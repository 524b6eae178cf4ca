//! The settlement against a sink that does what networks do, and against a process that ends at any moment.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use standpipe_protocol::ConnectionId;

use super::*;
use crate::{Counts, CountsError, Scope};

const NAMES: [&str; 2] = ["cheap", "dear"];

fn name(class: usize) -> EventName {
    EventName::new(NAMES[class]).unwrap()
}

fn names() -> Vec<Priced> {
    let prices = ["0.0003", "0.3"];
    (0..2).map(|class| Priced { name: name(class), price: Some(prices[class].parse().unwrap()) }).collect()
}

fn terms() -> Terms {
    Terms {
        key_life: Duration::from_secs(180),
        lateness: Duration::from_secs(60),
        max_count: 1000,
        call_every: Duration::from_millis(25),
        burst: 10,
        interval: Duration::from_secs(2),
        max_open: 16,
        doubt: Duration::from_secs(600),
    }
}

/// A sink that charges once for each key that it remembers, and knows nothing else.
#[derive(Default)]
struct Api {
    keys: HashMap<Key, Instant>,
    charged: BTreeMap<EventName, u64>,
    late: Vec<(Instant, Charge)>,
}

impl Api {
    fn apply(&mut self, charge: &Charge, now: Instant) {
        let known = self.keys.get(&charge.key).is_some_and(|first| now < *first + terms().key_life);
        if !known {
            self.keys.insert(charge.key.clone(), now);
            *self.charged.entry(charge.event.clone()).or_default() += charge.count;
        }
    }

    fn arrive(&mut self, now: Instant) {
        let (due, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        for (at, charge) in due {
            self.apply(&charge, at);
        }
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Charged,
    /// Charged, and the answer is lost.
    Unanswered,
    /// Charged so many milliseconds later, when nobody waits for the answer any more.
    Late(u64),
    /// Lost on its way.
    Lost,
    NotNow,
    Denied(Scope),
    /// Neither answered nor given up before the process ends; charged so many milliseconds later, if at all.
    Hangs(Option<u64>),
}

#[derive(Debug, Clone)]
enum Operation {
    Confirm {
        caller: Option<u64>,
        class: u8,
        count: u64,
    },
    Call(Fate),
    Counts {
        answered: bool,
    },
    Commit {
        written: bool,
    },
    Pass(u64),
    Part(u64),
    /// The process ends. Of what was not yet known to be written, so many lines are.
    Crash {
        lines: usize,
    },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let fate = prop_oneof![
        6 => Just(Fate::Charged),
        4 => Just(Fate::Unanswered),
        4 => (0u64..60_000).prop_map(Fate::Late),
        3 => Just(Fate::Lost),
        3 => Just(Fate::NotNow),
        1 => Just(Fate::Denied(Scope::Charge)),
        1 => prop::option::of(0u64..60_000).prop_map(Fate::Hangs),
    ];
    let one = prop_oneof![
        8 => (prop_oneof![3 => Just(None), 1 => (0u64..3).prop_map(Some)], 0u8..2, 1u64..3000)
            .prop_map(|(caller, class, count)| Operation::Confirm { caller, class, count }),
        12 => fate.prop_map(Operation::Call),
        6 => any::<bool>().prop_map(|answered| Operation::Counts { answered }),
        10 => prop::bool::weighted(0.9).prop_map(|written| Operation::Commit { written }),
        8 => (0u64..20_000).prop_map(Operation::Pass),
        2 => (60_000u64..200_000).prop_map(Operation::Pass),
        1 => (0u64..3).prop_map(Operation::Part),
        1 => (0usize..6).prop_map(|lines| Operation::Crash { lines }),
    ];
    prop::collection::vec(one, 0..200)
}

struct World {
    now: Instant,
    api: Api,
    settlement: Settlement,
    written: Vec<Entry>,
    unwritten: Vec<Entry>,
    /// Deliveries that were confirmed, less those whose proof a crash has taken along.
    confirmed: BTreeMap<EventName, u64>,
    /// Of these, what the settlement says will not be, or may not be, charged.
    given_up: BTreeMap<EventName, u64>,
    random: u64,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let mut past = Recovered::default();
        (0..2).for_each(|class| past.apply(Entry::Counted { event: name(class), total: 0 }));
        let mut settlement = Settlement::new("run", 0, terms(), &names(), &past, now);
        introduce(&mut settlement);
        let mut written = Vec::new();
        written.extend(past.entries("run"));
        let (api, unwritten, confirmed, given_up) = Default::default();
        Self { now, api, settlement, written, unwritten, confirmed, given_up, random: 1 }
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 16
    }

    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Confirm { caller, class, count } => {
                let payer = caller.map_or(Payer::Run, |caller| Payer::Connection(ConnectionId(caller)));
                *self.confirmed.entry(name(class.into())).or_default() += count;
                self.settlement.confirmed(payer, Class(class), count, self.now);
            }
            Operation::Call(fate) => self.call(fate),
            Operation::Counts { answered } => self.counts(answered),
            Operation::Commit { written } => {
                if self.unwritten.is_empty() {
                    self.unwritten = self.settlement.commit(self.now);
                }
                if written {
                    self.written.append(&mut self.unwritten);
                    self.settlement.committed();
                }
            }
            Operation::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.api.arrive(self.now);
            }
            Operation::Part(caller) => self.settlement.part(ConnectionId(caller), self.now),
            Operation::Crash { lines } => self.crash(lines),
        }
        for effect in self.settlement.effects() {
            if let Effect::Forgiven(_, class, count) = effect {
                *self.given_up.entry(name(class.index())).or_default() += count;
            }
        }
    }

    fn call(&mut self, fate: Fate) {
        let Some((number, charge)) = self.settlement.send(self.now) else { return };
        let answer = match fate {
            Fate::Charged => {
                self.api.apply(&charge, self.now);
                Answer::Charged
            }
            Fate::Unanswered => {
                self.api.apply(&charge, self.now);
                Answer::Unknown
            }
            Fate::Late(ms) => {
                self.api.late.push((self.now + Duration::from_millis(ms), charge));
                Answer::Unknown
            }
            Fate::Lost => Answer::Unknown,
            Fate::NotNow => Answer::NotNow { retry_after: None },
            Fate::Denied(scope) => Answer::Denied(Denied { scope, why: "no".to_owned() }),
            Fate::Hangs(ms) => {
                self.api.late.extend(ms.map(|ms| (self.now + Duration::from_millis(ms), charge)));
                return;
            }
        };
        let random = self.random();
        self.settlement.answered(number, answer, self.now, random);
    }

    fn counts(&mut self, answered: bool) {
        if !self.settlement.wants_counts(self.now) {
            return;
        }
        let random = self.random();
        let counts: Counts = self.api.charged.clone();
        let error = CountsError("lost".to_owned());
        self.settlement.counted(if answered { Ok(&counts) } else { Err(&error) }, self.now, random);
    }

    fn dropped(&self) -> BTreeMap<EventName, u64> {
        self.settlement.by_class().map(|(event, numbers)| (event.clone(), numbers.dropped)).collect()
    }

    fn crash(&mut self, lines: usize) {
        for (event, dropped) in self.dropped() {
            *self.given_up.entry(event).or_default() += dropped;
        }
        // What callers owed is gone with their connections, charged or not.
        for caller in 0..3 {
            for class in 0..2 {
                let lost = self.settlement.lines.get(&(Payer::Connection(ConnectionId(caller)), Class(class)));
                *self.given_up.entry(name(class.into())).or_default() += lost.map_or(0, |line| line.owed);
            }
        }
        let mut pending = std::mem::take(&mut self.unwritten);
        pending.truncate(lines);
        self.written.append(&mut pending);
        let mut past = Recovered::default();
        self.written.iter().cloned().for_each(|entry| past.apply(entry));
        for class in 0..2 {
            let lost = self.settlement.books[class].confirmed - past.events[&name(class)].confirmed;
            *self.confirmed.entry(name(class)).or_default() -= lost;
        }
        self.written = past.entries("run");
        let random = self.random();
        self.settlement = Settlement::new("run", random, terms(), &names(), &past, self.now);
        introduce(&mut self.settlement);
    }

    fn check(&self) {
        for (event, charged) in &self.api.charged {
            let confirmed = self.confirmed.get(event).copied().unwrap_or(0);
            assert!(*charged <= confirmed, "{event}: charged {charged}, confirmed {confirmed}");
        }
    }

    /// The faults end.
    fn heal(&mut self) {
        for _ in 0..2000 {
            self.step(&Operation::Commit { written: true });
            self.step(&Operation::Counts { answered: true });
            self.step(&Operation::Call(Fate::Charged));
            self.step(&Operation::Pass(1000));
            if self.settlement.is_settled() && self.api.late.is_empty() {
                return;
            }
        }
        panic!("it is never settled: {:#?}", self.settlement);
    }
}

fn introduce(settlement: &mut Settlement) {
    for caller in 0..3 {
        settlement.introduce(ConnectionId(caller), RequestId("request".into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn never_more_is_charged_than_was_confirmed_and_in_the_end_no_less_but_what_is_told(operations in operations()) {
        let mut world = World::new();
        for operation in operations {
            world.step(&operation);
            world.check();
        }
        // Calls that hang are those of a process that ends.
        world.step(&Operation::Crash { lines: 0 });
        world.heal();
        world.check();
        let dropped = world.dropped();
        for (event, confirmed) in &world.confirmed {
            let charged = world.api.charged.get(event).copied().unwrap_or(0);
            let told = world.given_up.get(event).copied().unwrap_or(0) + dropped.get(event).copied().unwrap_or(0);
            prop_assert!(charged + told >= *confirmed, "{}: charged {}, told {}, confirmed {}", event, charged, told, confirmed);
        }
    }
}

/// A settlement with an open charge of `count`, written down.
fn begun(count: u64, now: Instant) -> Settlement {
    let mut past = Recovered::default();
    past.apply(Entry::Counted { event: name(0), total: 7 });
    let mut settlement = Settlement::new("run", 1, terms(), &names(), &past, now);
    settlement.confirmed(Payer::Run, Class(0), count, now);
    assert_eq!(settlement.send(now), None, "nothing is charged before it is written down");
    let entries = settlement.commit(now);
    assert!(matches!(&entries[..], [Entry::Confirmed { .. }, Entry::Opened { .. }]), "{entries:?}");
    assert_eq!(settlement.send(now), None, "nor before the disk has it");
    settlement.committed();
    settlement
}

#[test]
fn one_key_serves_all_attempts_and_none_is_made_when_it_may_be_forgotten() {
    let mut now = Instant::now();
    let mut settlement = begun(5, now);
    let (start, mut attempts, mut last) = (now, Vec::new(), now);
    while now < start + Duration::from_secs(300) {
        if let Some((number, charge)) = settlement.send(now) {
            attempts.push(charge);
            last = now;
            settlement.answered(number, Answer::Unknown, now, u64::MAX);
        }
        settlement.commit(now);
        settlement.committed();
        now += Duration::from_secs(1);
    }
    assert!(attempts.len() > 4 && attempts.iter().all(|charge| *charge == attempts[0]), "{attempts:?}");
    assert!(last <= start + Duration::from_secs(120), "an attempt of then may take a minute to have its effect");
    assert_eq!((settlement.doubtful(Class(0)), settlement.unsettled(Class(0))), (5, 5));
}

#[test]
fn the_counts_of_the_run_tell_what_became_of_an_unanswered_charge() {
    for (seen, charged, released, dropped) in [(12, 5, 0, 0), (7, 0, 5, 0), (9, 0, 0, 5)] {
        let start = Instant::now();
        let mut settlement = begun(5, start);
        let (number, _) = settlement.send(start).unwrap();
        settlement.answered(number, Answer::Unknown, start, 0);
        let late = start + Duration::from_secs(121);
        settlement.commit(late);
        assert!(settlement.wants_counts(late) && !settlement.wants_counts(late));
        settlement.counted(Ok(&Counts::from([(name(0), seen)])), late, 0);
        let numbers = settlement.by_class().next().unwrap().1;
        assert_eq!((numbers.charged, settlement.unsettled(Class(0)), numbers.dropped), (charged, released, dropped));
        assert_eq!(settlement.counts_of(Class(0)), Some(seen));
    }
}

#[test]
fn a_process_that_comes_after_asks_before_it_charges() {
    let start = Instant::now();
    let mut past = Recovered::default();
    past.apply(Entry::Counted { event: name(0), total: 7 });
    past.apply(Entry::Confirmed { event: name(0), total: 9 });
    let key = Key::new("run", &name(0), 1, 1);
    past.apply(Entry::Opened { key: key.clone(), event: name(0), count: 6, run_pays: true });
    let mut settlement = Settlement::new("run", 2, terms(), &names(), &past, start);
    assert_eq!(settlement.unsettled(Class(0)), 9);
    assert!(
        settlement.commit(start).is_empty() && !settlement.wants_counts(start),
        "the last attempt may still arrive"
    );
    let late = start + terms().lateness;
    assert!(settlement.wants_counts(late));
    settlement.counted(Ok(&Counts::from([(name(0), 13)])), late, 0);
    let entries = settlement.commit(late);
    assert!(entries.contains(&Entry::Closed { key, outcome: Outcome::Charged }));
    settlement.committed();
    assert_eq!(settlement.send(late).map(|(_, charge)| charge.count), Some(3));
}

#[test]
fn what_costs_most_is_charged_first_and_no_faster_than_the_rate() {
    let start = Instant::now();
    let mut settlement =
        Settlement::new("run", 1, Terms { max_open: 100, ..terms() }, &names(), &Recovered::default(), start);
    for caller in 0..60u32 {
        settlement.introduce(ConnectionId(caller.into()), RequestId("r".into()));
        settlement.confirmed(Payer::Connection(ConnectionId(caller.into())), Class(0), u64::from(caller) + 1, start);
    }
    settlement.confirmed(Payer::Run, Class(1), 1, start);
    let (mut now, mut counts) = (start, Vec::new());
    while now < start + Duration::from_secs(1) {
        settlement.commit(now);
        settlement.committed();
        while let Some((number, charge)) = settlement.send(now) {
            counts.push(charge.count);
            settlement.answered(number, Answer::Charged, now, 0);
        }
        now += Duration::from_millis(5);
    }
    assert_eq!(counts[..3], [1, 60, 59], "one of the dear ones is worth more than all of the cheap ones");
    assert!((45..=50).contains(&counts.len()), "{}", counts.len());
}

#[test]
fn what_is_denied_stops_what_it_is_about_and_no_more() {
    let caller = Payer::Connection(ConnectionId(1));
    for (scope, goes_on) in [(Scope::Charge, 2), (Scope::Payer, 1), (Scope::Event, 1), (Scope::Everything, 0)] {
        let start = Instant::now();
        let mut settlement = Settlement::new("run", 1, terms(), &names(), &Recovered::default(), start);
        settlement.introduce(ConnectionId(1), RequestId("r".into()));
        settlement.confirmed(caller, Class(0), 5, start);
        settlement.commit(start);
        settlement.committed();
        let (number, _) = settlement.send(start).unwrap();
        settlement.confirmed(caller, Class(0), 2, start);
        let denied = Denied { scope, why: "no such event".to_owned() };
        settlement.answered(number, Answer::Denied(denied.clone()), start, 0);
        let stopped = settlement.effects().contains(&Effect::Stopped(caller, Class(0), denied));
        assert_eq!(stopped, scope != Scope::Charge);
        let later = start + Duration::from_secs(5);
        settlement.confirmed(caller, Class(0), 1, later);
        settlement.confirmed(Payer::Run, Class(1), 1, later);
        settlement.commit(later);
        settlement.committed();
        assert_eq!(std::iter::from_fn(|| settlement.send(later)).count(), goes_on, "{scope:?}");
    }
}

#[test]
fn a_refusal_for_now_is_waited_out_and_costs_no_charge() {
    let start = Instant::now();
    let mut settlement = begun(5, start);
    let (number, first) = settlement.send(start).unwrap();
    let pause = Duration::from_secs(20);
    settlement.answered(number, Answer::NotNow { retry_after: Some(pause) }, start, 0);
    assert_eq!(settlement.send(start + Duration::from_secs(19)), None);
    let (number, second) = settlement.send(start + pause).unwrap();
    assert_eq!(first, second);
    settlement.answered(number, Answer::NotNow { retry_after: Some(Duration::from_secs(300)) }, start + pause, 0);
    let late = start + Duration::from_secs(400);
    settlement.commit(late);
    assert_eq!((settlement.doubtful(Class(0)), settlement.unsettled(Class(0))), (0, 5), "it is owed as before");
}
