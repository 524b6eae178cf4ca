//! What one turn does at most, by counts: so that nobody waits for more than that of somebody else's.

use std::collections::HashMap;

use standpipe_connections::Connection;
use standpipe_protocol::Epoch;
use standpipe_selection::Options;

use super::*;
use crate::{
    Ring,
    budget::Budget,
    pull::STEP,
    tests::world::{ASK, Ask, World, client_config},
};

/// A shard that nobody runs, on a log of its own: each turn is asked for. Its clients are connections without a socket,
/// and with room for all that comes.
struct Bench {
    shard: Shard,
    log: Arc<Ring>,
    mailbox: mpsc::Sender<ToShard>,
    now: Instant,
    next_id: u64,
}

impl Bench {
    fn new() -> Self {
        let config = Config { shards: 1, ..Config::of_events(1 << 20) };
        let log = Arc::new(Ring::new(Epoch(0x9f), &config));
        let shared: Arc<dyn Log> = Arc::<Ring>::clone(&log);
        let signal = Arc::new(Signal::default());
        let budget = Budget::new(1 << 30, Arc::clone(&shared), std::iter::once(Arc::clone(&signal)));
        let (sender, mailbox) = mpsc::channel(1024);
        let shard = Shard::new(shared, mailbox, signal, budget, &config);
        Self { shard, log, mailbox: sender, now: Instant::now(), next_id: 0 }
    }

    /// Appends events of `topic`, each about a key of its own.
    fn append(&self, topic: &str, count: u64) {
        let events = (0..count).map(|n| standpipe_protocol::Event {
            key: Some(format!("k{n}").into()),
            id: None,
            ..World::event(topic, "1", 0)
        });
        self.log.append(events.collect(), self.now, &mut Vec::new());
    }

    /// Has a client with these wishes open its connection, in the next turn.
    fn connect(&mut self, ask: &Ask<'_>) -> Arc<Connection> {
        self.next_id += 1;
        let config = standpipe_connections::Config { max_queue_bytes: 1 << 30, ..client_config() };
        let opening = ask.opening(ConnectionId(self.next_id));
        let connection =
            Arc::new(Connection::new(opening, Arc::default(), Arc::new(config), Arc::clone(&self.shard.signal)));
        let open = Box::new(ask.open(Arc::clone(&connection)));
        assert!(self.mailbox.try_send(ToShard::Open(open)).is_ok(), "the mailbox has room");
        connection
    }

    fn turn(&mut self) {
        self.shard.turn(self.now);
    }

    /// Turns until there is nothing to do.
    fn settle(&mut self) {
        while self.shard.has_work(self.now) {
            self.turn();
        }
    }

    fn position(&self, connection: &Connection) -> u64 {
        let slot = self.shard.slots[&connection.id()];
        self.shard.clients[slot].position(self.shard.cursor)
    }
}

/// Clients that get a step in one turn, however many want one.
const STEPS: usize = feed::PULLS;

#[tokio::test]
async fn a_turn_is_bounded_whatever_there_is_to_do() {
    let mut bench = Bench::new();
    bench.append("past", 20_000);
    let hot = Ask { topics: &["hot"], ..ASK };
    (0..500).for_each(|_| drop(bench.connect(&hot)));
    bench.settle();
    bench.append("hot", 5_000);
    let show = Options { snapshot: true, conflate: false };
    bench.connect(&Ask { topics: &["past"], options: show, ..ASK });
    for _ in 0..40 {
        bench.connect(&Ask { topics: &["past"], after: Some("earliest".into()), ..ASK });
    }
    let mut turns = 0;
    while bench.shard.has_work(bench.now) {
        let before = bench.shard.counters.clone();
        let queued = bench.shard.report().totals.tally.matched;
        bench.turn();
        let after = &bench.shard.counters;
        assert!(after.dispatched - before.dispatched <= feed::EVENTS as u64);
        let read = (after.pulled + after.shown) - (before.pulled + before.shown);
        assert!(read <= (STEPS * STEP) as u64, "{read} for those who read on their own");
        let pushed = bench.shard.report().totals.tally.matched - queued - read;
        assert!(pushed <= (feed::DELIVERIES + 500) as u64, "{pushed} for those who keep up");
        turns += 1;
    }
    let counters = &bench.shard.counters;
    assert_eq!((counters.shown, counters.pulled), (20_000, 40 * 20_000));
    assert!(turns >= 40 * 20_000 / (STEPS * STEP), "{turns} turns");
}

#[tokio::test]
async fn whoever_comes_to_a_busy_shard_has_its_chance_after_a_bounded_number_of_turns() {
    const LAGGARDS: usize = 100;
    /// What was read in one turn is written, by so many clients in a turn, before more is read.
    const WRITERS: usize = 8;
    const ROUND: usize = LAGGARDS.div_ceil(STEPS) * STEPS.div_ceil(WRITERS);
    let mut bench = Bench::new();
    bench.append("past", 20_000);
    bench.settle();
    let from_the_start = Ask { topics: &["past"], after: Some("earliest".into()), ..ASK };
    let laggards: Vec<_> = (0..LAGGARDS).map(|_| bench.connect(&from_the_start)).collect();
    let keeps_up = bench.connect(&Ask { topics: &["new"], ..ASK });
    bench.turn();
    let mut served: HashMap<_, _> = laggards.iter().map(|laggard| (laggard.id(), (0, 0))).collect();
    for turn in 1..=200 {
        // An event, and a client that comes: both have what they wait for in the same turn.
        bench.append("new", 1);
        let queued = keeps_up.progress().queued;
        let comes = bench.connect(&Ask { topics: &["none"], ..ASK });
        bench.turn();
        assert_eq!(keeps_up.progress().queued, queued + 1, "turn {turn}");
        assert!(comes.queue_bytes() > 0, "it was welcomed in turn {turn}");
        for laggard in &laggards {
            let position = bench.position(laggard);
            let (before, at) = served.get_mut(&laggard.id()).unwrap();
            if position > *before {
                (*before, *at) = (position, turn);
            }
            assert!(turn - *at <= ROUND, "{} stands at {position} since turn {at}", laggard.id());
        }
    }
}

#[tokio::test]
async fn commands_have_their_turn_however_many_others_there_are() {
    let mut bench = Bench::new();
    (0..=MESSAGES).for_each(|_| drop(bench.connect(&ASK)));
    bench.turn();
    assert_eq!((bench.shard.clients.len(), bench.shard.mailbox.len()), (MESSAGES, 1), "the rest waits for one turn");
    bench.append("t", 1);
    bench.turn();
    assert_eq!((bench.shard.clients.len(), bench.shard.cursor), (MESSAGES + 1, 1));
}
