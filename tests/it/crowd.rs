//! A thousand clients: what each of them gets, who is found to have vanished, and that the rest are told goodbye.

use std::time::{Duration, Instant};

use standpipe_tests::{
    Proxy, Server, eventually,
    load::{Load, Seen},
    process::Signal,
    proxy::Link,
};

use crate::{PUSH, cursor_seq, numbered};

const CLIENTS: usize = 1_000;
const VANISHING: usize = 300;
const TOPICS: usize = 10;
const EVENTS: usize = 2_000;

const CONFIG: &str = r#"
[client]
ping_interval = "3s"
pong_timeout = "2s"

[drain]
window = "2s"
deadline = "6s"
"#;

/// Ping interval and its jitter of a tenth, pong timeout: 5.3 s, and some time to look.
const FOUND_WITHIN: Duration = Duration::from_secs(6);

fn topic(i: usize) -> String {
    format!("crowd.{}", i % TOPICS)
}

/// The numbers that the clients of one topic have to get of `0..events`, as the payloads of [`numbered`].
fn expected(client: usize, events: std::ops::Range<usize>) -> Vec<String> {
    events.filter(|i| i % TOPICS == client % TOPICS).map(|i| format!(r#"{{"i":{i}}}"#)).collect()
}

fn payloads(seen: &Seen) -> Vec<&str> {
    seen.events.iter().map(|event| event.data.as_str()).collect()
}

/// After the last receipt: what those who are left have, is confirmed; of the others, no more than they have.
async fn agree_on_what_was_received(server: &Server, load: &Load) {
    let each = (EVENTS + 100) / TOPICS;
    let metrics = eventually("the last receipt", FOUND_WITHIN, async || {
        let metrics = server.metrics().await;
        match metrics.count("standpipe_ledger_in_flight") {
            0 => Ok(metrics),
            n => Err(format!("{n} events without one")),
        }
    })
    .await;
    let left = server.connections().await;
    assert!(left.iter().all(|connection| connection["ledger"]["confirmed"] == each), "{left:?}");
    let of_the_vanished = metrics.count("standpipe_ledger_confirmed_total") - (each * left.len()) as u64;
    let seen: usize = load.seen().iter().skip(left.len()).map(|seen| seen.events.len()).sum();
    assert!(of_the_vanished <= seen as u64, "{of_the_vanished} confirmed, {seen} seen");
    assert_eq!(metrics.count("standpipe_connections_consuming"), left.len() as u64);
    server.audited().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_clients_each_gets_its_topic_the_vanished_are_found_and_the_rest_told_goodbye() {
    let mut server = Server::start(&format!("{CONFIG}{PUSH}")).await;
    let proxy = Proxy::start(server.addr()).await;
    let address = |i| if i < CLIENTS - VANISHING { server.addr() } else { proxy.addr() };
    let load = Load::connect((0..CLIENTS).map(|i| (address(i), format!("/ws?topics={}", topic(i))))).await;
    assert_eq!(server.active().await, CLIENTS);

    let events = numbered(EVENTS, topic);
    for batch in events.chunks(100) {
        server.publish(batch).await;
    }
    load.until("every event of its topic", |_, seen| seen.events.len() >= EVENTS / TOPICS).await;
    for (i, seen) in load.seen().iter().enumerate() {
        assert_eq!(payloads(seen), expected(i, 0..EVENTS), "client {i}");
        assert!(seen.events.iter().all(|event| event.topic == topic(i)), "client {i}");
        assert!(seen.events.is_sorted_by(|a, b| a.seq < b.seq), "client {i}");
        assert!(seen.complaints.is_empty() && seen.closed.is_none(), "client {i}: {seen:?}");
    }

    // Three hundred fall silent, without FIN. Events go on meanwhile.
    assert_eq!(proxy.links(), VANISHING);
    proxy.set_all(Link::Freeze);
    let silent_since = Instant::now();
    let more = numbered(EVENTS + 100, topic).split_off(EVENTS);
    server.publish(&more).await;
    let left = CLIENTS - VANISHING;
    eventually("only those who answer are left", FOUND_WITHIN, async || {
        let (active, listed) = (server.active().await, server.connections().await.len());
        if (active, listed) == (left, left) { Ok(()) } else { Err(format!("{active} active, {listed} listed")) }
    })
    .await;
    assert!(silent_since.elapsed() > Duration::from_secs(2), "not before the pong timeout");
    agree_on_what_was_received(&server, &load).await;

    server.signal(Signal::TERM);
    assert!(server.exit_within(Duration::from_secs(7)).await.success());
    load.until("the end", |i, seen| i >= left || seen.closed.is_some()).await;
    for (i, seen) in load.seen().iter().enumerate().take(left) {
        assert_eq!(payloads(seen), expected(i, 0..EVENTS + 100), "client {i}");
        let goodbye = seen.goodbye.as_ref().unwrap_or_else(|| panic!("client {i} has no goodbye"));
        assert_eq!((&goodbye["code"], &goodbye["reason"]), (&4200.into(), &"RESTART".into()), "client {i}");
        assert_eq!(goodbye["delivered"], seen.events.len(), "client {i}");
        let last = seen.events.last().map_or(0, |event| event.seq);
        let cursor = cursor_seq(&goodbye["cursor"]);
        assert!((last..=(EVENTS + 100) as u64).contains(&cursor), "client {i}: behind its last event, {goodbye}");
        assert_eq!(seen.closed, Some(4200), "client {i}");
    }
}
