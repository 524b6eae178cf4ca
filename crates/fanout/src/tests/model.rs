//! Log, cursors, pulling, riding, conflation and snapshots against a model that keeps everything.
//!
//! Whatever the script does (events, slow readers, changes of selection, cuts and resumes, a log that forgets, memory
//! that is short), what each
//! client has seen in the end is exactly what it selected, less what it was told.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use standpipe_connections::Closing;
use standpipe_protocol::{CloseReason, Overflow};
use standpipe_selection::Options;

use super::world::{ASK, Ask, Client, World};
use crate::Config;

#[derive(Debug, Clone)]
enum Step {
    /// An event of this topic, key and number.
    Publish { topic: u8, key: u8, n: u8 },
    /// A client reads so many messages, if they are there.
    Read { client: usize, messages: usize },
    /// A client is cut, and comes back with its cursor.
    Cut { client: usize },
    /// Everything that can happen without reading happens.
    Settle,
}

/// What a client asks for, and how slow its connection is.
#[derive(Debug, Clone)]
struct Asked {
    topics: usize,
    filter: usize,
    overflow: Overflow,
    options: Options,
    pipe: usize,
    from_the_start: bool,
}

const TOPICS: [&[&str]; 4] = [&[">"], &["t.0"], &["t.1", "t.2"], &["t.*"]];
const FILTERS: [Option<&str>; 3] = [None, Some(r#"{"n":{"in":[1,3,5]}}"#), Some(r#"{"n":{"gte":4}}"#)];

impl Asked {
    fn wants(&self, event: &Published) -> bool {
        let topic = match self.topics {
            1 => event.topic == 0,
            2 => matches!(event.topic, 1 | 2),
            _ => true,
        };
        let number = event.n;
        topic
            && match self.filter {
                0 => true,
                1 => number.is_some_and(|n| [1, 3, 5].contains(&n)),
                _ => number.is_some_and(|n| n >= 4),
            }
    }
}

/// An event as the model keeps it. Without a number its data is `null`.
#[derive(Debug, Clone)]
struct Published {
    topic: u8,
    key: u8,
    n: Option<u8>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let overflow = prop_oneof![Just(Overflow::Disconnect), Just(Overflow::CatchUp), Just(Overflow::Skip)];
    let options = (any::<bool>(), any::<bool>()).prop_map(|(snapshot, conflate)| Options { snapshot, conflate });
    let pipe = prop_oneof![Just(100usize), Just(1 << 16)];
    (0..TOPICS.len(), 0..FILTERS.len(), overflow, options, pipe, any::<bool>()).prop_map(
        |(topics, filter, overflow, options, pipe, from_the_start)| Asked {
            topics,
            filter,
            overflow,
            options,
            pipe,
            from_the_start,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..4u8, 0..6u8, 0..8u8).prop_map(|(topic, key, n)| Step::Publish { topic, key, n }),
        6 => (0..6usize, 1..40usize).prop_map(|(client, messages)| Step::Read { client, messages }),
        1 => (0..6usize).prop_map(|client| Step::Cut { client }),
        1 => Just(Step::Settle),
    ]
}

/// What one client has seen, over all its connections.
struct Seen {
    asked: Asked,
    client: Client,
    /// Where it would resume.
    cursor: Option<u64>,
    /// Up to here it has seen everything, or was told.
    covered: u64,
    events: BTreeSet<u64>,
    /// Places that were told as missing.
    told: BTreeSet<u64>,
    /// The state of each (topic, key), with the place that it is of.
    state: BTreeMap<(String, String), (u64, Value)>,
    /// How many keys the snapshot that is being read has had so far.
    shown: Option<u64>,
    ended: bool,
    begun: bool,
}

impl Seen {
    async fn new(world: &mut World, asked: Asked) -> Self {
        let cursor = asked.from_the_start.then_some(0);
        let client = connect(world, &asked, cursor).await;
        let (events, told, state) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { asked, client, cursor, covered: 0, events, told, state, shown: None, ended: false, begun: false }
    }

    async fn come_back(&mut self, world: &mut World) {
        let old = std::mem::replace(&mut self.client, connect(world, &self.asked, self.cursor).await);
        drop(old.socket);
        old.life.await.unwrap();
        (self.ended, self.shown) = (false, None);
        if self.cursor.is_none() {
            // It had not even been told where it stands.
            self.begun = false;
        }
    }

    /// Takes up a message. What cannot be right fails here.
    fn note(&mut self, message: &Value, log: &[Published]) {
        let seq = || message["seq"].as_u64().unwrap();
        match message["op"].as_str().unwrap() {
            "subscribed" => {
                if !std::mem::replace(&mut self.begun, true) && self.cursor.is_none() {
                    self.covered = seq();
                }
                self.cursor.get_or_insert(seq());
            }
            "event" => {
                let event = at(log, seq());
                assert!(self.asked.wants(event), "not asked for: {message}");
                assert!(self.shown.is_none(), "within a snapshot: {message}");
                let is_new = self.events.insert(seq());
                if self.asked.options.conflate {
                    // Only what the server says is behind it can be resumed from; the same may come again then.
                } else {
                    assert!(is_new && seq() > self.covered, "again, or out of order: {message}");
                    self.cursor = Some(seq());
                    self.covered = seq();
                }
                self.hold(message);
            }
            "snapshot" => {
                assert!(self.asked.options.snapshot);
                self.shown = Some(self.shown.unwrap_or(0) + 1);
                self.hold(message);
            }
            "snapshot_end" => {
                assert_eq!(message["count"].as_u64(), Some(self.shown.take().unwrap_or(0)), "{message}");
                assert_eq!(message["complete"], Value::Null, "nothing was forgotten");
            }
            "gap" => {
                let (from, to) = (message["from"].as_u64().unwrap(), message["to"].as_u64().unwrap());
                assert!(from <= to && from > self.covered, "{message} behind {}", self.covered);
                let missing: Vec<_> = (from..=to).filter(|seq| self.asked.wants(at(log, *seq))).collect();
                if let Some(matched) = message["matched"].as_u64() {
                    assert_eq!(matched, missing.len() as u64, "{message}");
                }
                self.told.extend(missing);
                (self.covered, self.cursor) = (to, Some(to));
            }
            "heartbeat" | "goodbye" => {
                let cursor = message["cursor"].as_str().and_then(|cursor| cursor.split(':').nth(1));
                if let Some(cursor) = cursor.map(|seq| seq.parse().unwrap()) {
                    self.cursor = Some(self.cursor.map_or(cursor, |held| held.max(cursor)));
                    self.covered = self.covered.max(cursor);
                }
            }
            "close" => self.ended = true,
            "welcome" | "error" => {}
            op => panic!("{op}"),
        }
    }

    /// Applies an event to what is held, if it is newer.
    fn hold(&mut self, message: &Value) {
        let name = (message["topic"].as_str().unwrap().to_owned(), message["key"].as_str().unwrap().to_owned());
        let seq = message["seq"].as_u64().unwrap();
        if self.state.get(&name).is_none_or(|(held, _)| *held < seq) {
            self.state.insert(name, (seq, message["data"].clone()));
        }
    }

    /// Reads what is there without waiting, at most so much.
    async fn read(&mut self, messages: usize, log: &[Published]) {
        for _ in 0..messages {
            if self.ended {
                return;
            }
            match tokio::time::timeout(std::time::Duration::from_millis(1), self.client.next()).await {
                Err(_) => return,
                Ok(None) => self.ended = true,
                Ok(Some(message)) => self.note(&message, log),
            }
        }
    }
}

fn at(log: &[Published], seq: u64) -> &Published {
    &log[usize::try_from(seq).unwrap() - 1]
}

async fn connect(world: &mut World, asked: &Asked, after: Option<u64>) -> Client {
    let ask = Ask {
        topics: TOPICS[asked.topics],
        filter: FILTERS[asked.filter],
        after: after.map(|seq| format!("000000000000009f:{seq}")),
        overflow: asked.overflow,
        options: asked.options,
        ..ASK
    };
    world.connect(&ask, asked.pipe).await
}

async fn run(asked: Vec<Asked>, steps: Vec<Step>, config: Config) {
    let mut world = World::with(&config);
    let mut log = Vec::new();
    let mut clients = Vec::new();
    for asked in asked {
        clients.push(Seen::new(&mut world, asked).await);
    }
    for step in steps {
        match step {
            Step::Publish { topic, key, n } => {
                let event = Published { topic, key, n: (n < 7).then_some(n) };
                let pad = "x".repeat(usize::from(n) * 40);
                let data = event.n.map_or("null".to_owned(), |n| json!({"n": n, "pad": pad}).to_string());
                world.publish_key(&format!("t.{topic}"), &format!("k{key}"), &data).await;
                log.push(event);
            }
            Step::Read { client, messages } => {
                let count = clients.len();
                clients[client % count].read(messages, &log).await;
            }
            Step::Cut { client } => {
                let count = clients.len();
                let seen = &mut clients[client % count];
                seen.client.connection.close(Closing::now(CloseReason::Kicked));
                seen.come_back(&mut world).await;
            }
            Step::Settle => world.settle().await,
        }
    }
    world.settle().await;
    let head = log.len() as u64;
    for mut seen in clients {
        // Everybody reads on until a heartbeat tells that all up to the head is behind it.
        while seen.covered < head || !seen.begun {
            if seen.ended {
                seen.come_back(&mut world).await;
            }
            match seen.client.next().await {
                Some(message) => seen.note(&message, &log),
                None => seen.ended = true,
            }
        }
        check(&seen, &log);
        drop(seen.client.socket);
        seen.client.life.await.unwrap();
    }
    let report = world.end().await;
    assert_eq!((report.connections, report.subscriptions, report.pulling), (0, 0, 0));
}

/// What it has seen is what it selected, less what it was told and what stands for it.
fn check(seen: &Seen, log: &[Published]) {
    let first = seen.events.iter().chain(&seen.told).min().copied().unwrap_or(u64::MAX);
    let mut newest = BTreeMap::new();
    for (seq, event) in (1..).zip(log).filter(|(_, event)| seen.asked.wants(event)) {
        newest.insert((event.topic, event.key), seq);
        if seq >= first && !seen.asked.options.conflate {
            assert!(seen.events.contains(&seq) || seen.told.contains(&seq), "{seq} is neither seen nor told");
        }
    }
    for ((topic, key), seq) in newest.into_iter().filter(|(_, seq)| *seq >= first && !seen.told.contains(seq)) {
        let held = seen.state.get(&(format!("t.{topic}"), format!("k{key}")));
        assert!(
            held.is_some_and(|(held, _)| *held >= seq),
            "of t.{topic} k{key} the latest is {seq}, held is {held:?}"
        );
    }
}

proptest! {
    #[test]
    fn what_was_seen_is_what_was_selected_less_what_was_told(
        asked in prop::collection::vec(asked(), 1..6), steps in prop::collection::vec(step(), 0..300),
        max_events in prop_oneof![Just(10usize), Just(60), Just(100_000)], crowd in 0..3usize,
        max_queue_bytes_total in prop_oneof![Just(0usize), Just(4000), Just(1 << 30)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let config = Config { shards: 2, crowd, max_queue_bytes_total, ..Config::of_events(max_events) };
        runtime.block_on(run(asked, steps, config));
    }
}
