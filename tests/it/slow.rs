//! Clients that read at a tenth of the speed at which their events come, under each policy: what they cost is bounded, what
//! they are told is true, and what can be had is lost to nobody.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{PATIENCE, Pace, Peer, Server, Usage, load::Load, metrics::Metrics, peer::Frame, within};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{PUSH, story::Story};

/// So many clients of a policy at the same time: what each costs is then plain to see.
const CLIENTS: usize = 10;

const EVENTS: usize = 12_000;
/// 2,000 events a second.
const PACE: Pace = Pace { batch: 100, every: Duration::from_millis(50) };

/// Every second event is wanted: a megabyte a second.
const EVENT_BYTES: usize = 1_000;
const READ_BYTES_PER_SECOND: u32 = 100_000;

const QUEUE_BYTES: usize = 256 * 1024;
/// What answers and notices may take beyond that.
const RESERVE_BYTES: usize = QUEUE_BYTES / 4;

/// Three seconds of events.
const LOG_BYTES: usize = 6 * 1024 * 1024;

const CLIENT: &str = r#"
[client]
max_queue_bytes = "256KiB"
max_queue_age = "2s"
max_unconfirmed_bytes = "512KiB"
ping_interval = "3s"
pong_timeout = "3s"
heartbeat = "500ms"
write_timeout = "3s"
"#;

/// Interval and jitter of a ping, its timeout, and some time to look.
const GONE_WITHIN: Duration = Duration::from_secs(9);

/// What the clients of one test asked for.
#[derive(Clone, Copy)]
struct Policy {
    word: &'static str,
    log_bytes: usize,
}

/// What one client is to get, and how.
struct Wish {
    topic: String,
    wanted: Arc<[u64]>,
    overflow: &'static str,
    bytes_per_second: u32,
}

fn event(i: usize) -> Value {
    let topic = if i.is_multiple_of(2) { "wanted" } else { "other" };
    let pad = "x".repeat(EVENT_BYTES - 100);
    json!({"topic": topic, "key": format!("k{}", i % 7), "data": {"i": i, "pad": pad}})
}

/// The places of the wanted events: event `i` has the place `i + 1`.
fn wanted() -> Arc<[u64]> {
    (1..=EVENTS as u64).filter(|seq| !seq.is_multiple_of(2)).collect()
}

/// A client of one policy: slow until `is_over`, then as fast as it can. It resumes whenever it is cut. Its goodbyes.
async fn dawdle(addr: SocketAddr, epoch: String, wish: Wish, is_over: CancellationToken) -> (Story, Vec<Value>) {
    let Wish { topic, wanted, overflow, bytes_per_second } = wish;
    let mut story = Story::new(wanted);
    let mut goodbyes = Vec::new();
    loop {
        let path = format!("/ws?topics={topic}&after={epoch}:{}&overflow={overflow}", story.position());
        let mut peer = Peer::try_open(addr, &path, Some(16 * 1024)).await.expect("the server accepts");
        story.begin();
        let connection = story.sum.connections;
        // Each connection but the last ends with its goodbye.
        while (goodbyes.len() as u64) < connection {
            peer.pace((!is_over.is_cancelled()).then_some(bytes_per_second));
            match within("any frame", PATIENCE, peer.next()).await {
                Frame::Text(text) => {
                    if story.take(text) == "goodbye" {
                        assert_eq!(story.error.as_deref(), Some("BACKPRESSURE_LIMIT"), "before {text}");
                        goodbyes.push(serde_json::from_str(text).expect("it was just read"));
                    }
                }
                Frame::Ping => story.vouch(),
                other => panic!("{other:?} and no goodbye"),
            }
            if story.position() >= EVENTS as u64 {
                peer.close().await;
                return (story, goodbyes);
            }
        }
        assert_eq!(within("the Close frame", PATIENCE, peer.next()).await, Frame::Close(4100));
    }
}

/// Serves slow clients of one policy. What they were told, and what the server told of itself in the end.
async fn serve(policy: Policy) -> (Vec<(Story, Vec<Value>)>, Metrics) {
    let server = Server::start(&format!("[log]\nmax_bytes = \"{}B\"\n{CLIENT}{PUSH}", policy.log_bytes)).await;
    let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();
    let (tasks, is_over) = (TaskTracker::new(), CancellationToken::new());
    let wish = || Wish {
        topic: "wanted".to_owned(),
        wanted: wanted(),
        overflow: policy.word,
        bytes_per_second: READ_BYTES_PER_SECOND,
    };
    let clients = (0..CLIENTS).map(|_| dawdle(server.addr(), epoch.clone(), wish(), is_over.clone()));
    let clients: Vec<_> = clients.map(|client| tasks.spawn(client)).collect();
    server.until_subscribed(CLIENTS).await;

    let before = Usage::of(server.id()).resident;
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let peak = PACE.publish(&server, &events).await;
    let bound = CLIENTS * (QUEUE_BYTES + RESERVE_BYTES);
    assert!((QUEUE_BYTES..=bound).contains(&peak.queue_bytes), "queues of {bound} bytes: {peak:?}");
    let grown = peak.resident.saturating_sub(before);
    assert!(grown <= 2 * (policy.log_bytes.min(EVENTS * EVENT_BYTES) + bound), "{grown} bytes more: {peak:?}");
    is_over.cancel();

    let mut told = Vec::new();
    for client in clients {
        let (story, goodbyes) = within("the last event", PATIENCE, client).await.expect("a client's task");
        story.assert_complete(policy.word);
        told.push((story, goodbyes));
    }
    let metrics = server.until_nobody_left(PATIENCE).await;
    (told, metrics)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_that_skips_is_told_how_much_it_missed_and_costs_no_more_than_its_queue() {
    let (told, metrics) = serve(Policy { word: "skip", log_bytes: LOG_BYTES }).await;
    let mut skipped = 0;
    for (story, goodbyes) in told {
        assert!(goodbyes.is_empty() && story.sum.expired == 0 && story.sum.skipped > 1_000, "{:?}", story.sum);
        skipped += story.sum.skipped;
    }
    assert_eq!(metrics.count("standpipe_ledger_skipped_total"), skipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_that_catches_up_reads_the_log_at_its_pace_until_that_lets_go_which_it_is_told() {
    let (told, metrics) = serve(Policy { word: "catch_up", log_bytes: LOG_BYTES }).await;
    for (story, goodbyes) in told {
        assert!(goodbyes.is_empty() && story.sum.skipped == 0 && story.sum.expired > 0, "{:?}", story.sum);
    }
    assert_eq!(metrics.count("standpipe_ledger_skipped_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_that_is_disconnected_knows_where_it_was_and_loses_nothing() {
    let (told, metrics) = serve(Policy { word: "disconnect", log_bytes: 64 * 1024 * 1024 }).await;
    let mut ended = 0;
    for (story, goodbyes) in told {
        // That its numbers are true is checked where they come in.
        assert!(!goodbyes.is_empty() && goodbyes.iter().all(|goodbye| goodbye["code"] == 4100), "{goodbyes:?}");
        assert_eq!((story.sum.events, story.sum.skipped, story.sum.expired), (wanted().len() as u64, 0, 0));
        ended += goodbyes.len() as u64;
    }
    let closed = metrics.value("standpipe_connections_closed_total", &[("reason", "SLOW_CONSUMER")]);
    assert_eq!(closed.map(|closed| closed.to_string()), Some(ended.to_string()));
}

/// A third of what the queues may take one by one, and a log of half a second.
const SMALL: &str = r#"
[server]
listen = "127.0.0.1:0"
memory = "8MiB"
workers = 2

[log]
max_bytes = "1MiB"

[client]
max_queue_bytes_total = "2MiB"
max_queue_bytes = "256KiB"
max_queue_age = "10s"
max_unconfirmed_bytes = "128KiB"
heartbeat = "500ms"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_within_their_own_bounds_cost_no_more_than_all_may_and_others_notice_nothing() {
    const MANY: usize = 24;
    const BOUND: usize = 2 * 1024 * 1024;
    let server = Server::start(&format!("{SMALL}{PUSH}")).await;
    let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();
    let healthy = Load::connect([(server.addr(), "/ws?topics=%3E".to_owned())]).await;
    let (tasks, is_over) = (TaskTracker::new(), CancellationToken::new());
    // Each has a topic of its own, so that nobody waits for a frame that another waits for as well.
    let wishes = (0..MANY).map(|n| Wish {
        topic: format!("t{n}"),
        wanted: (1..=EVENTS as u64).skip(n).step_by(MANY).collect(),
        overflow: ["disconnect", "catch_up", "skip"][n % 3],
        bytes_per_second: READ_BYTES_PER_SECOND / 10,
    });
    let clients = wishes.map(|wish| dawdle(server.addr(), epoch.clone(), wish, is_over.clone()));
    let clients: Vec<_> = clients.map(|client| tasks.spawn(client)).collect();
    server.until_subscribed(MANY + 1).await;

    let before = Usage::of(server.id()).resident;
    let of_topic = |i: usize| {
        let mut event = event(i);
        event["topic"] = json!(format!("t{}", i % MANY));
        event
    };
    let events: Vec<_> = (0..EVENTS).map(of_topic).collect();
    let peak = PACE.publish(&server, &events).await;
    assert!(peak.queue_bytes > BOUND, "{peak:?}: nobody was slow");
    // What a writer has in hand when it is told is given up in its own time.
    assert!((BOUND / 2..=BOUND / 4 * 5).contains(&peak.queue_memory), "{peak:?}, at most {BOUND}");
    let grown = peak.resident.saturating_sub(before);
    assert!(grown <= 3 * (1024 * 1024 + BOUND), "{grown} bytes more: {peak:?}");
    is_over.cancel();

    let mut skipped = 0;
    for (n, client) in clients.into_iter().enumerate() {
        let (story, _) = within("the last event", PATIENCE, client).await.expect("a client's task");
        story.assert_complete(&format!("client {n}"));
        skipped += story.sum.skipped;
    }
    healthy.until("the last event", |_, seen| seen.events.len() == EVENTS).await;
    assert!(healthy.seen().iter().all(|seen| seen.complaints.is_empty() && seen.goodbye.is_none()));
    drop(healthy);
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_connections_queue_memory_max_bytes"), BOUND as u64);
    for followed in ["closed", "returned", "skipped"] {
        let count = metrics.value("standpipe_fanout_reliefs_total", &[("followed", followed)]);
        assert!(count.is_some_and(|count| count > 0.0), "{followed}: {count:?}");
    }
    assert!(metrics.count("standpipe_ledger_skipped_total") >= skipped, "who is cut while it skips is told less");
    assert_eq!(metrics.count("standpipe_ledger_difference"), 0);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_gone_within_its_deadlines_whatever_its_policy() {
    let server = Server::start(&format!("{CLIENT}{PUSH}")).await;
    let mut deaf = Vec::new();
    for policy in ["disconnect", "catch_up", "skip"] {
        let path = format!("/ws?topics=wanted&overflow={policy}");
        deaf.push(Peer::try_open(server.addr(), &path, Some(4 * 1024)).await.expect("the server accepts"));
    }
    server.until_subscribed(3).await;
    for batch in (0..4_000).map(event).collect::<Vec<_>>().chunks(PACE.batch) {
        server.publish(batch).await;
    }
    server.until_nobody_left(GONE_WITHIN).await;
}

#[tokio::test]
async fn a_client_that_reads_very_slowly_still_comes_to_read_why_it_was_disconnected() {
    let server = Server::start(PUSH).await;
    let mut client = Peer::try_open(server.addr(), "/ws?topics=%3E", Some(8 * 1024)).await.expect("the server accepts");
    let mut story = Story::new((1..=EVENTS as u64).collect());
    story.begin();
    client.pace(Some(20_000));
    while !matches!(client.next().await, Frame::Text(text) if story.take(text) == "subscribed") {}
    // More than the queue and the kernel hold together.
    for batch in (0..2_500).map(event).collect::<Vec<_>>().chunks(PACE.batch) {
        server.publish(batch).await;
    }
    let reading = async {
        loop {
            match client.next().await {
                Frame::Text(text) => {
                    story.take(text);
                }
                Frame::Ping => story.vouch(),
                other => break other == Frame::Close(4100),
            }
        }
    };
    assert!(within("the end", PATIENCE, reading).await, "it ends with its Close frame");
    assert_eq!(story.error.as_deref(), Some("BACKPRESSURE_LIMIT"));
}
