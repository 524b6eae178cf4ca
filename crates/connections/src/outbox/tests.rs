use proptest::prelude::*;
use standpipe_protocol::{Event, Json, Topic};

use super::*;
use crate::life::tests::config;

/// An event with a frame of a size that `padding` decides.
pub(crate) fn record(seq: u64, topic: &str, key: Option<&str>, padding: usize) -> Arc<Record> {
    let event = Event {
        topic: Topic::new(topic).unwrap(),
        key: key.map(Into::into),
        id: None,
        ts: None,
        n: None,
        source: "s".into(),
        data: Json::parse(format!("\"{}\"", "x".repeat(padding))).unwrap(),
    };
    Arc::new(Record::new(seq, event))
}

fn frame(len: usize) -> Bytes {
    Bytes::from(vec![0; len])
}

/// An outbox, the time, and the shortest ways to offer something to it.
struct Bench {
    outbox: Outbox,
    config: Config,
    now: Instant,
}

fn bench(max_queue_bytes: usize) -> Bench {
    Bench { outbox: Outbox::default(), config: Config { max_queue_bytes, ..config() }, now: Instant::now() }
}

impl Bench {
    fn offer(&mut self, record: &Arc<Record>, way: Way) -> Offer {
        self.outbox.offer(record, Mark::Event(record.seq), way, self.now, &self.config)
    }

    fn frame(&mut self, len: usize, way: Way) -> Offer {
        self.outbox.offer_frame(frame(len), Mark::Replayed, way, self.now, &self.config)
    }

    fn tell(&mut self, len: usize) -> Offer {
        self.outbox.tell(frame(len), Mark::Control, self.now, &self.config)
    }

    /// So many bytes of frames are written.
    fn release(&mut self, frame_bytes: usize) -> bool {
        self.outbox.release(Held { frame_bytes, own_bytes: 0 })
    }

    /// The writer takes `n` frames, if there are as many.
    fn take(&mut self, n: usize, take: impl FnMut(Queued)) {
        let mut left = n;
        let wanted = |_: &Queued| {
            let wanted = left > 0;
            left -= usize::from(wanted);
            wanted
        };
        self.outbox.take_while(wanted, take);
    }

    /// The marks and the places in the log of all that is queued, in order.
    fn drain(&mut self) -> Vec<(Mark, Option<u64>)> {
        let mut all = Vec::new();
        self.outbox.take_while(|_| true, |queued| all.push((queued.mark, place(&queued))));
        all
    }
}

fn place(queued: &Queued) -> Option<u64> {
    match &queued.body {
        Body::Record(record) => Some(record.seq),
        Body::Own(_) => None,
    }
}

#[test]
fn the_bound_holds_and_an_empty_queue_takes_a_frame_of_any_size() {
    let mut bench = bench(100);
    assert_eq!(bench.frame(500, Way::Live), Offer::Queued);
    assert_eq!(bench.frame(1, Way::Live), Offer::Full);
    bench.drain();
    assert_eq!(bench.frame(1, Way::Live), Offer::Full, "in the writer's hand");
    bench.release(500);
    assert_eq!(bench.frame(60, Way::Live), Offer::Queued);
    assert_eq!(bench.frame(40, Way::Live), Offer::Queued);
    assert_eq!(bench.frame(1, Way::Live), Offer::Full);
    assert_eq!(bench.tell(50), Offer::Queued, "notices have a reserve");
    assert_eq!(bench.tell(1 << 20), Offer::Full, "which is bounded too");
    assert_eq!(bench.outbox.data_queued(), 3);
}

#[test]
fn what_is_read_from_the_log_leaves_most_of_the_queue_to_what_happens_now() {
    let mut bench = bench(800);
    assert_eq!(bench.frame(100, Way::Replay), Offer::Queued);
    assert_eq!(bench.frame(1, Way::Replay), Offer::Full);
    assert_eq!(bench.frame(700, Way::Live), Offer::Queued);
    assert!(!bench.release(749), "51 are queued");
    assert!(bench.release(1), "a sixteenth");
    assert!(bench.outbox.want_room(bench.config.low_water(Way::Replay)));
    assert_eq!(bench.frame(50, Way::Replay), Offer::Queued);
}

#[test]
fn room_is_told_once_for_each_time_it_was_wanted() {
    let mut bench = bench(100);
    assert!(bench.outbox.want_room(25));
    assert_eq!(bench.frame(80, Way::Live), Offer::Queued);
    assert!(!bench.outbox.want_room(25));
    assert!(!bench.release(40));
    assert!(bench.release(40));
    assert!(!bench.release(0));
}

#[test]
fn whoever_was_refused_is_told_when_that_frame_has_room() {
    let mut bench = bench(100);
    assert_eq!(bench.frame(90, Way::Live), Offer::Queued);
    assert_eq!(bench.frame(95, Way::Live), Offer::Full);
    assert!(!bench.release(84), "6 and 95 are too much, although 6 is little");
    assert!(bench.release(1));
    assert_eq!(bench.frame(95, Way::Live), Offer::Queued);
    assert_eq!(bench.frame(500, Way::Live), Offer::Full);
    assert!(!bench.release(99));
    assert!(bench.release(1), "what is larger than the bound waits for an empty queue");
}

#[test]
fn an_ending_connection_takes_nothing() {
    let mut bench = bench(100);
    let event = record(1, "t", Some("k"), 1);
    assert_eq!(bench.offer(&event, Way::Conflated), Offer::Queued);
    bench.outbox.closing = Some(Box::new(Closing::now(standpipe_protocol::CloseReason::Restart)));
    for way in [Way::Live, Way::Conflated, Way::Replay] {
        assert_eq!(bench.offer(&event, way), Offer::Closed);
        assert_eq!(bench.frame(1, way), Offer::Closed);
    }
    assert_eq!(bench.tell(1), Offer::Closed);
    assert_eq!(bench.outbox.data_queued(), 1);
}

#[test]
fn a_newer_event_takes_the_place_of_an_older_one_of_its_key() {
    let mut bench = bench(10_000);
    let conflated = |seq, topic, key| (record(seq, topic, key, 1), Way::Conflated);
    for ((event, way), expected) in [
        (conflated(1, "a", Some("k")), Offer::Queued),
        (conflated(2, "a", Some("l")), Offer::Queued),
        (conflated(3, "b", Some("k")), Offer::Queued),
        (conflated(4, "a", None), Offer::Queued),
        (conflated(5, "a", None), Offer::Queued),
        (conflated(6, "a", Some("k")), Offer::Superseded),
        (conflated(7, "a", Some("k")), Offer::Superseded),
    ] {
        assert_eq!(bench.offer(&event, way), expected);
    }
    assert_eq!(bench.outbox.data_queued(), 5);
    let all = [(1, 7), (2, 2), (3, 3), (4, 4), (5, 5)].map(|(mark, seq)| (Mark::Event(mark), Some(seq)));
    assert_eq!(bench.drain(), all, "the place keeps its mark");
}

#[test]
fn nothing_is_replaced_across_a_boundary_or_an_event_of_the_key_that_must_come_itself() {
    let mut bench = bench(10_000);
    let event = |seq| record(seq, "t", Some("k"), 1);
    assert_eq!(bench.offer(&event(1), Way::Conflated), Offer::Queued);
    bench.outbox.separate();
    assert_eq!(bench.tell(10), Offer::Queued);
    assert_eq!(bench.offer(&event(2), Way::Conflated), Offer::Queued);
    assert_eq!(bench.offer(&event(3), Way::Live), Offer::Queued);
    assert_eq!(bench.offer(&event(4), Way::Conflated), Offer::Queued, "else it would come before 3");
    assert_eq!(bench.offer(&event(5), Way::Replay), Offer::Queued);
    assert_eq!(bench.offer(&event(6), Way::Conflated), Offer::Queued, "else it would come before 5");
    assert_eq!(bench.tell(10), Offer::Queued);
    assert_eq!(bench.offer(&event(7), Way::Conflated), Offer::Superseded, "not every notice is a boundary");
    let seqs: Vec<_> = bench.drain().into_iter().filter_map(|(_, seq)| seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 7]);
    assert_eq!(bench.offer(&event(8), Way::Conflated), Offer::Queued, "7 is in the writer's hand");
}

#[test]
fn a_larger_event_that_has_no_room_replaces_nothing() {
    let mut bench = bench(300);
    assert_eq!(bench.offer(&record(1, "t", Some("k"), 1), Way::Conflated), Offer::Queued);
    assert_eq!(bench.offer(&record(2, "t", Some("l"), 1), Way::Conflated), Offer::Queued);
    let before = bench.outbox.bytes();
    assert_eq!(bench.offer(&record(3, "t", Some("k"), 200), Way::Conflated), Offer::Full);
    assert_eq!(bench.outbox.bytes(), before);
    assert_eq!(bench.drain(), [1, 2].map(|seq| (Mark::Event(seq), Some(seq))));
}

#[test]
fn a_connection_that_conflates_and_keeps_up_holds_little() {
    let mut bench = bench(1 << 20);
    for seq in 1..=10_000 {
        let event = record(seq, "t", Some(&seq.to_string()), 1);
        assert_eq!(bench.offer(&event, Way::Conflated), Offer::Queued);
        if seq % 3 == 0 {
            let mut written = Held::default();
            bench.take(if seq % 30 == 0 { 30 } else { 2 }, |queued| written.add(queued.held()));
            bench.outbox.release(written);
        }
        let places = bench.outbox.conflation.as_ref().map_or(0, |conflation| conflation.len());
        assert!(places <= 80, "{places} for at most 30 events");
    }
}

#[test]
fn what_is_there_for_one_client_is_told_to_the_shard_once_it_is_much_and_once_it_is_gone() {
    let (mut bench, signal) = (bench(1 << 20), Signal::default());
    let event = record(7, "t", None, 3000);
    let entry = size_of::<Queued>();
    assert_eq!(bench.offer(&event, Way::Live), Offer::Queued);
    bench.outbox.report(&signal);
    assert_eq!(signal.own_bytes(), 0, "the frame is the log's");
    assert_eq!(bench.frame(5000, Way::Live), Offer::Queued);
    bench.outbox.report(&signal);
    assert_eq!(signal.own_bytes(), 5000 + 2 * entry);
    let all = bench.outbox.clear();
    bench.outbox.release(all);
    bench.outbox.report(&signal);
    assert_eq!(signal.own_bytes(), 0);
}

#[test]
fn frames_count_as_kept_once_the_log_has_let_go_of_the_first() {
    let mut bench = bench(1 << 20);
    let event = record(7, "t", None, 3000);
    let entry = size_of::<Queued>();
    assert_eq!(bench.offer(&event, Way::Live), Offer::Queued);
    assert_eq!(bench.outbox.kept(7), entry);
    assert_eq!(bench.outbox.kept(8), entry + event.frame().len());
    bench.outbox.set_in_hand(Some(5));
    assert_eq!(bench.outbox.kept(6), entry + event.frame().len(), "the writer still has it");
    bench.outbox.seal();
    assert_eq!(bench.outbox.kept(8), 0);
}

#[test]
fn events_are_taken_back_down_to_what_was_told_and_heartbeats_with_them() {
    let mut bench = bench(10_000);
    assert_eq!(bench.outbox.take_back(), None);
    for seq in 1..=2 {
        assert_eq!(bench.offer(&record(seq, "t", Some("k"), 1), Way::Live), Offer::Queued);
    }
    assert_eq!(bench.tell(10), Offer::Queued);
    assert_eq!(bench.outbox.take_back(), None, "an answer is the last");
    for seq in 3..=5 {
        assert_eq!(
            bench.offer(&record(seq, "t", Some("k"), 1), Way::Conflated),
            if seq == 3 { Offer::Queued } else { Offer::Superseded }
        );
    }
    let heartbeat = bench.outbox.tell(frame(10), Mark::Heartbeat(Some(5)), bench.now, &bench.config);
    assert_eq!(heartbeat, Offer::Queued);
    assert_eq!(bench.offer(&record(6, "t", None, 1), Way::Live), Offer::Queued);
    let before = bench.outbox.bytes();
    let seen = bench.outbox.look();
    let (taken_back, held) = bench.outbox.take_back().unwrap();
    assert_eq!(taken_back, TakenBack { from: 3, events: 2 }, "5 stands for 3 and 4");
    bench.outbox.release(held);
    assert_eq!(bench.outbox.data_queued(), 2);
    assert!(bench.outbox.bytes() < before);
    for seq in 3..=6 {
        assert_eq!(
            bench.offer(&record(seq, "t", Some("k"), 1), Way::Conflated),
            if seq == 3 { Offer::Queued } else { Offer::Superseded }
        );
    }
    assert!(!bench.outbox.rest(seen, 0), "the writer has not seen these, though as many are queued as it saw");
    let marks: Vec<_> = bench.drain().into_iter().map(|(mark, _)| mark).collect();
    assert_eq!(marks, [Mark::Event(1), Mark::Event(2), Mark::Control, Mark::Event(3)]);
}

/// What may happen to an outbox.
#[derive(Debug, Clone)]
enum Op {
    Offer { key: Option<u8>, padding: usize, way: Way },
    Frame { len: usize, way: Way },
    Notice { boundary: bool },
    Take(usize),
    Write(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let way = || prop_oneof![1 => Just(Way::Live), 4 => Just(Way::Conflated), 1 => Just(Way::Replay)];
    prop_oneof![
        12 => (prop::option::weighted(0.9, 0u8..4), 0usize..60, way())
            .prop_map(|(key, padding, way)| Op::Offer { key, padding, way }),
        1 => (1usize..100, way()).prop_map(|(len, way)| Op::Frame { len, way }),
        1 => any::<bool>().prop_map(|boundary| Op::Notice { boundary }),
        2 => (0usize..6).prop_map(Op::Take),
        2 => (0usize..6).prop_map(Op::Write),
    ]
}

/// What the outbox should hold, found by looking at all of it.
#[derive(Default)]
struct Model {
    queue: VecDeque<Entry>,
    hand: VecDeque<Entry>,
    data_queued: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    mark: Mark,
    len: usize,
    record: Option<Arc<Record>>,
    replaceable: bool,
    boundary: bool,
}

impl Entry {
    fn mark_and_place(&self) -> (Mark, Option<u64>) {
        (self.mark, self.record.as_ref().map(|record| record.seq))
    }
}

impl Model {
    fn bytes(&self) -> usize {
        self.queue.iter().chain(&self.hand).map(|entry| entry.len).sum()
    }

    fn offer(&mut self, entry: Entry, bound: usize) -> Offer {
        if entry.replaceable
            && let Some(found) = self.replaced_by(&entry)
        {
            let without = self.bytes() - self.queue[found].len;
            if without > 0 && without + entry.len > bound {
                return Offer::Full;
            }
            self.queue[found] = Entry { mark: self.queue[found].mark, ..entry };
            return Offer::Superseded;
        }
        if self.bytes() > 0 && self.bytes() + entry.len > bound {
            return Offer::Full;
        }
        self.data_queued += 1;
        self.queue.push_back(entry);
        Offer::Queued
    }

    fn replaced_by(&self, new: &Entry) -> Option<usize> {
        let name = |entry: &Entry| entry.record.as_ref().and_then(|r| Some((r.topic.clone(), r.key.clone()?)));
        let wanted = name(new)?;
        for (index, entry) in self.queue.iter().enumerate().rev() {
            if entry.boundary || (name(entry).as_ref() == Some(&wanted) && !entry.replaceable) {
                return None;
            }
            if name(entry).as_ref() == Some(&wanted) {
                return Some(index);
            }
        }
        None
    }
}

/// Two topics by two keys.
fn named(seq: u64, key: Option<u8>, padding: usize) -> Arc<Record> {
    let topic = if key.unwrap_or(0) < 2 { "a" } else { "b" };
    let key = key.map(|key| if key % 2 == 0 { "k" } else { "l" });
    record(seq, topic, key, padding)
}

proptest! {
    #[test]
    fn the_outbox_does_what_a_list_would(ops in prop::collection::vec(op(), 1..120)) {
        let mut bench = bench(1200);
        let mut model = Model::default();
        let (mut hand, mut written, mut taken_up) = (VecDeque::new(), Vec::new(), Vec::new());
        for (seq, op) in (1u64..).zip(ops) {
            match op {
                Op::Offer { key, padding, way } => {
                    let record = named(seq, key, padding);
                    let entry = Entry {
                        mark: Mark::Event(seq),
                        len: record.frame().len(),
                        record: Some(Arc::clone(&record)),
                        replaceable: way == Way::Conflated && key.is_some(),
                        boundary: false,
                    };
                    let offer = bench.offer(&record, way);
                    prop_assert_eq!(offer, model.offer(entry, bench.config.bound(way)));
                    if matches!(offer, Offer::Queued | Offer::Superseded) {
                        taken_up.push(record);
                    }
                }
                Op::Frame { len, way } => {
                    let mark = Mark::Replayed;
                    let entry = Entry { mark, len, record: None, replaceable: false, boundary: false };
                    prop_assert_eq!(bench.frame(len, way), model.offer(entry, bench.config.bound(way)));
                }
                Op::Notice { boundary } => {
                    let mark = Mark::Control;
                    model.queue.push_back(Entry { mark, len: 20, record: None, replaceable: false, boundary });
                    if boundary {
                        bench.outbox.separate();
                    }
                    prop_assert_eq!(bench.tell(20), Offer::Queued);
                }
                Op::Take(n) => {
                    bench.take(n, |queued| hand.push_back(queued));
                    let n = n.min(model.queue.len());
                    model.hand.extend(model.queue.drain(..n));
                }
                Op::Write(n) => {
                    let n = n.min(hand.len());
                    model.hand.drain(..n);
                    let whole: Vec<_> = hand.drain(..n).collect();
                    for queued in &whole {
                        bench.outbox.release(queued.held());
                    }
                    written.extend(whole);
                }
            }
            prop_assert_eq!(bench.outbox.bytes(), model.bytes());
            prop_assert_eq!(bench.outbox.data_queued(), model.data_queued);
        }
        let expected: Vec<_> = model.hand.iter().chain(&model.queue).map(Entry::mark_and_place).collect();
        bench.outbox.take_while(|_| true, |queued| hand.push_back(queued));
        let left: Vec<_> = hand.iter().map(|queued| (queued.mark, place(queued))).collect();
        prop_assert_eq!(left, expected);
        written.extend(hand);
        keeps_what_is_promised(&taken_up, &written)?;
    }
}

/// All that was taken is written, or something newer of its key; nothing of a key comes before what is older; and a
/// client that resumes behind a mark has got, or got something newer than, all up to there.
fn keeps_what_is_promised(taken: &[Arc<Record>], written: &[Queued]) -> Result<(), TestCaseError> {
    let same = |a: &Record, b: &Record| a.topic == b.topic && a.key == b.key && (a.key.is_some() || a.seq == b.seq);
    let records = |part: &[Queued]| -> Vec<Arc<Record>> {
        let records = part.iter().filter_map(|queued| match &queued.body {
            Body::Record(record) => Some(Arc::clone(record)),
            Body::Own(_) => None,
        });
        records.collect()
    };
    for (end, queued) in written.iter().enumerate().filter(|(_, queued)| place(queued).is_some()) {
        let (Mark::Event(mark), so_far) = (queued.mark, records(&written[..=end])) else { continue };
        for event in taken.iter().filter(|event| event.seq <= mark) {
            prop_assert!(so_far.iter().any(|w| same(w, event) && w.seq >= event.seq), "{} is not there", event.seq);
        }
        let (last, before) = so_far.split_last().unwrap();
        prop_assert!(
            !before.iter().any(|w| same(w, last) && w.seq >= last.seq),
            "{} comes after a newer one",
            last.seq
        );
    }
    let all = records(written);
    for event in taken {
        prop_assert!(all.iter().any(|w| same(w, event) && w.seq >= event.seq), "{} was lost", event.seq);
    }
    Ok(())
}
