//! Who is alive is known, not guessed: by what a client's stack answers, and by nothing else.

use std::time::{Duration, Instant};

use standpipe_tests::{PATIENCE, Proxy, Server, Socket, eventually, proxy::Link, socket::Received};

use crate::{PUSH, cursor_seq, numbered, seq};

const QUICK: &str = r#"
[client]
ping_interval = "1s"
pong_timeout = "500ms"
heartbeat = "200ms"
"#;

#[tokio::test]
async fn a_client_behind_a_black_hole_is_gone_within_interval_and_timeout() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let proxy = Proxy::start(server.addr()).await;
    let mut vanished = Socket::open(proxy.addr(), "/ws?topics=a").await;
    let mut alive = Socket::open(server.addr(), "/ws?topics=a").await;
    vanished.until("subscribed").await;
    alive.until("subscribed").await;
    server.until_active(2, PATIENCE).await;
    proxy.set_all(Link::Freeze);
    let start = Instant::now();
    let reading = async {
        loop {
            alive.message().await;
        }
    };
    // Interval and jitter, timeout: 1.6 s, and some time to look.
    tokio::select! {
        biased;
        never = reading => never,
        () = server.until_active(1, Duration::from_secs(2)) => {}
    }
    assert!(start.elapsed() >= Duration::from_millis(400), "not before its patience: {:?}", start.elapsed());
    assert_eq!(server.connections().await.len(), 1);
    // What it can still be told waits for it behind the black hole.
    proxy.set_all(Link::Forward);
    while let Received::Message(_) = vanished.receive().await {}
}

#[tokio::test]
async fn a_client_that_answers_is_kept_though_it_says_nothing() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        // Reading is what answers pings.
        assert_eq!(client.message().await["op"], "heartbeat");
    }
    assert_eq!(server.active().await, 1);
}

#[tokio::test]
async fn open_is_not_subscribed_and_subscribed_is_not_consuming() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let _open = Socket::open(server.addr(), "/ws").await;
    let mut subscribed = Socket::open(server.addr(), "/ws?topics=other").await;
    let mut consuming = Socket::open(server.addr(), "/ws?topics=mine").await;
    subscribed.until("subscribed").await;
    consuming.until("subscribed").await;
    server.publish(&numbered(1, |_| "mine".into())).await;
    consuming.until("event").await;
    eventually("one has proven to have received something", PATIENCE, async || {
        // Reading is what answers pings.
        consuming.receive_within(Duration::from_millis(50)).await;
        let metrics = server.metrics().await;
        let [active, subscribed, consuming] =
            ["active", "subscribed", "consuming"].map(|of| metrics.count(&format!("standpipe_connections_{of}")));
        if (active, subscribed, consuming) == (3, 2, 1) {
            Ok(())
        } else {
            Err(format!("{active} {subscribed} {consuming}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_though_its_connection_stands() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let mut deaf = Socket::open(server.addr(), "/ws?topics=%3E").await;
    deaf.until("subscribed").await;
    server.until_active(0, Duration::from_secs(4)).await;
    let mut last = None;
    while let Received::Message(message) = deaf.receive().await {
        last = Some(message);
    }
    let last = last.expect("messages");
    assert_eq!((&last["op"], &last["code"]), (&"goodbye".into(), &4201.into()), "{last}");
}

#[tokio::test]
async fn a_heartbeat_says_how_far_everything_was_sent() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=mine").await;
    let welcome = client.message().await;
    client.until("subscribed").await;
    let places = server.publish(&numbered(10, |i| if i == 3 { "mine".into() } else { "other".into() })).await;
    let event = client.until("event").await;
    assert_eq!(seq(&event), places[3]);
    let heartbeat = loop {
        let heartbeat = client.until("heartbeat").await;
        if cursor_seq(&heartbeat["cursor"]) >= places[9] {
            break heartbeat;
        }
    };
    let epoch = welcome["epoch"].as_str().expect("an epoch");
    assert!(heartbeat["cursor"].as_str().is_some_and(|cursor| cursor.starts_with(epoch)), "{heartbeat}");
    assert!(heartbeat["ts"].as_u64().is_some_and(|ts| ts > 1_600_000_000_000), "milliseconds: {heartbeat}");
}

#[tokio::test]
async fn a_client_that_goes_without_a_word_is_gone_at_once() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    server.until_active(1, PATIENCE).await;
    client.abort();
    server.until_active(0, Duration::from_secs(2)).await;
}
