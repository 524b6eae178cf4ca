//! Clients that want the latest of each key, and read at a tenth of the speed at which events come: they cost their keys,
//! however much comes, and end with what is true.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{PATIENCE, Pace, Peer, Server, Usage, peer::Frame, within};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{PUSH, cursor_seq};

const CLIENTS: usize = 10;
/// Four of them change often.
const KEYS: u64 = 41;
const EVENTS: u64 = 12_000;
/// 2,000 events a second: 2 MB.
const PACE: Pace = Pace { batch: 100, every: Duration::from_millis(50) };
const EVENT_BYTES: usize = 1_000;
const READ_BYTES_PER_SECOND: u32 = 200_000;

/// All keys, as they wait. A frame has some bytes around the data, a place in a queue too; a heartbeat waits among them.
const KEYS_BYTES: usize = 41 * (EVENT_BYTES + 300) + 4_096;

/// Far more than all keys together: nobody is cut, nobody reads the log on its own.
const CLIENT: &str = r#"
[client]
max_unconfirmed_bytes = "128KiB"
heartbeat = "300ms"

[log]
max_bytes = "4MiB"
"#;

/// What a client was told, held against what may be.
#[derive(Debug, Default)]
struct Told {
    events: u64,
    /// The latest of each key.
    latest: BTreeMap<String, u64>,
    /// The last cursor of a heartbeat, up to which everything was told, or replaced by what was.
    through: u64,
}

fn key(i: u64) -> String {
    format!("k{}", if i.is_multiple_of(3) { i % KEYS } else { i % 4 })
}

/// Event `i` has the place `i`.
fn event(i: u64) -> Value {
    let pad = "x".repeat(EVENT_BYTES - 100);
    json!({"topic": "t", "key": key(i), "data": {"i": i, "pad": pad}})
}

/// The latest of each key among the first events.
fn latest(through: u64) -> BTreeMap<String, u64> {
    (1..=through).map(|i| (key(i), i)).collect()
}

impl Told {
    fn take(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).expect("JSON");
        match message["op"].as_str() {
            Some("event") => {
                let (key, i) =
                    (message["key"].as_str().expect("a key"), message["data"]["i"].as_u64().expect("a number"));
                let before = self.latest.insert(key.to_owned(), i);
                assert!(before < Some(i), "{key}: {i} behind {before:?}");
                self.events += 1;
            }
            Some("heartbeat") => {
                self.through = cursor_seq(&message["cursor"]);
                let (due, told) = (latest(self.through), &self.latest);
                let stale: Vec<_> = due.iter().filter(|(key, i)| told.get(*key) < Some(i)).collect();
                assert_eq!(stale, [], "told to be complete up to {}", self.through);
            }
            Some("welcome" | "subscribed") => {}
            _ => panic!("not expected: {text}"),
        }
    }
}

/// A client that is slow until `is_over`.
async fn dawdle(addr: SocketAddr, is_over: CancellationToken) -> Told {
    let path = "/ws?topics=t&conflate=1";
    let mut peer = Peer::try_open(addr, path, Some(16 * 1024)).await.expect("the server accepts");
    let mut told = Told::default();
    while told.through < EVENTS {
        peer.pace((!is_over.is_cancelled()).then_some(READ_BYTES_PER_SECOND));
        match within("any frame", PATIENCE, peer.next()).await {
            Frame::Text(text) => told.take(text),
            Frame::Ping => {}
            other => panic!("{other:?}"),
        }
    }
    peer.close().await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_that_conflate_get_the_last_of_each_key_and_cost_no_more_than_their_keys() {
    let server = Server::start(&format!("{CLIENT}{PUSH}")).await;
    let (tasks, is_over) = (TaskTracker::new(), CancellationToken::new());
    let clients: Vec<_> = (0..CLIENTS).map(|_| tasks.spawn(dawdle(server.addr(), is_over.clone()))).collect();
    server.until_subscribed(CLIENTS).await;

    let before = Usage::of(server.id()).resident;
    let events: Vec<_> = (1..=EVENTS).map(event).collect();
    let peak = PACE.publish(&server, &events).await;
    is_over.cancel();
    // What is on its way to the socket is not replaced any more: each key waits at most once, and is on its way once.
    let bound = CLIENTS * 2 * KEYS_BYTES;
    assert!(peak.queue_bytes <= bound, "{peak:?}, for keys of {bound} bytes");
    assert!(peak.queue_bytes >= bound / 4, "{peak:?}: nobody was slow");
    let grown = peak.resident.saturating_sub(before);
    assert!(grown <= 2 * (4 * 1024 * 1024 + bound), "{grown} bytes more in memory");

    let mut received = 0;
    for client in clients {
        let told = within("the last event", PATIENCE, client).await.expect("a client's task");
        assert_eq!(told.latest, latest(EVENTS));
        assert!(told.events < EVENTS / 2, "{} of {EVENTS} events: it was not slow", told.events);
        received += told.events;
    }
    let metrics = server.until_nobody_left(PATIENCE).await;
    assert_eq!(metrics.count("standpipe_ledger_conflated_total"), CLIENTS as u64 * EVENTS - received);
    assert_eq!(metrics.count("standpipe_ledger_skipped_total"), 0);
}

#[tokio::test]
async fn a_client_that_conflates_and_comes_back_with_the_cursor_of_a_heartbeat_misses_no_key() {
    let server = Server::start(&format!("{CLIENT}{PUSH}")).await;
    let events: Vec<_> = (1..=2_000).map(event).collect();
    let mut told = Told::default();
    let mut peer = Peer::open(server.addr(), "/ws?topics=t&conflate=1").await;
    while !matches!(peer.next().await, Frame::Text(text) if text.contains("subscribed")) {}
    for (batch, published) in events.chunks(PACE.batch).zip((1_u64..).map(|n| n * PACE.batch as u64)) {
        server.publish(batch).await;
        // Some are read, then the connection breaks; the place to go on from is the last that was told.
        let some = async {
            for _ in 0..published % 7 {
                if let Frame::Text(text) = peer.next().await {
                    told.take(text);
                }
            }
        };
        within("some frames", PATIENCE, some).await;
        if published.is_multiple_of(500) {
            peer.reset();
            let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();
            let path = format!("/ws?topics=t&conflate=1&after={epoch}:{}", told.through);
            peer = Peer::open(server.addr(), &path).await;
            // What came behind that place comes again.
            told.latest = latest(told.through);
        }
    }
    let rest = async {
        while told.through < 2_000 {
            if let Frame::Text(text) = peer.next().await {
                told.take(text);
            }
        }
    };
    within("the rest", PATIENCE, rest).await;
    assert_eq!(told.latest, latest(2_000));
}
