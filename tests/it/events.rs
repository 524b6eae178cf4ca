//! Event streams (`GET /events`): the same selection, places and limits as on a socket, for who only listens. What they cannot
//! have is proof, and nothing claims it.

mod following;
mod refused;

use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::{
    Dice, EventStream, PATIENCE, Server, Socket,
    dice::seed,
    event_stream::Block,
    http::{Request, Response},
    process::Signal,
};

use crate::{PUSH, cursor_seq, numbered, seq};

const OFTEN: &str = "[client]\nheartbeat = \"200ms\"\n";

/// Where a block says that one can resume.
fn place(block: &Block) -> Option<u64> {
    block.id.as_ref().map(|id| cursor_seq(&json!(id)))
}

fn op(block: &Block) -> &str {
    block.message.as_ref().and_then(|message| message["op"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn what_the_url_selects_comes_as_messages_that_say_their_places() {
    let server = Server::start(PUSH).await;
    let mut stream = EventStream::open(server.addr(), "/events?topics=n.*&where.even=true").await;
    let header = |head: &Response, name: &str| head.header(name).map(str::to_owned);
    for (name, value) in
        [("cache-control", "no-store, no-transform"), ("x-accel-buffering", "no"), ("connection", "close")]
    {
        assert_eq!(header(&stream.head, name).as_deref(), Some(value), "{name}");
    }
    let first = stream.block().await.expect("when to come back");
    assert!(first.retry.is_some_and(|wait| (500..4000).contains(&wait)), "{first:?}");
    let mut welcome = stream.message().await;
    for name in ["connection", "epoch"] {
        assert!(welcome[name].take().is_string(), "{name}");
    }
    let expected = json!({
        "op": "welcome", "protocol": 1, "connection": null, "epoch": null, "head": 0,
        "overflow": "disconnect", "heartbeat_interval_ms": 15_000,
        "limits": {
            "max_subscriptions": 128, "max_frame_bytes": 65_536,
            "max_unconfirmed_bytes": 1_048_576, "max_unconfirmed_frames": 4_000,
        },
    });
    assert_eq!(welcome, expected, "nothing is to be proven, and so nothing to be proven by");
    let subscribed = stream.block().await.expect("a block");
    assert_eq!((op(&subscribed), place(&subscribed)), ("subscribed", Some(0)));

    let events =
        (0..6).map(|i| json!({"topic": format!("n.{i}"), "id": format!("t:{i}"), "data": {"even": i % 2 == 0}}));
    server.publish(&events.collect::<Vec<_>>()).await;
    server.publish(&[json!({"topic": "other", "data": {"even": true}})]).await;
    for i in [0, 2, 4] {
        let block = stream.block().await.expect("an event");
        let message = block.message.clone().expect("an event");
        assert_eq!((&message["seq"], &message["topic"]), (&json!(i + 1), &json!(format!("n.{i}"))));
        let id = block.id.expect("a place");
        assert!(id.ends_with(&format!(":{}:t:{i}", i + 1)), "by the event's own id another log finds it: {id}");
    }
    let listed = &server.connections().await[0];
    assert_eq!((&listed["transport"], listed.get("confirm")), (&json!("sse"), None), "{listed}");
    assert_eq!(
        (&listed["ledger"]["matched"], &listed["ledger"]["confirmed"], &listed["ledger"]["in_flight"]),
        (&json!(3), &json!(0), &json!(3)),
        "{listed}"
    );
    drop(stream);
    let metrics = server.until_nobody_left(PATIENCE).await;
    assert_eq!(metrics.count("standpipe_ledger_confirmed_total"), 0, "nothing is ever confirmed");
    assert_eq!(metrics.count("standpipe_ledger_unconfirmed_total"), 3);
}

#[tokio::test]
async fn a_payload_of_many_lines_stands_on_one() {
    let server = Server::start(PUSH).await;
    let mut stream = EventStream::open(server.addr(), "/events?topics=a").await;
    stream.until("subscribed").await;
    let body = "{\r\n \"topic\": \"a\",\n \"data\": {\n  \"text\": \"one\\ntwo\",\r\n  \"price\": 0.1000\n }\n}";
    let answer = server.request(Request { method: "POST", path: "/publish", body, ..Request::default() }).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = stream.until("event").await;
    assert_eq!(event["data"]["text"], "one\ntwo");
}

#[tokio::test]
async fn a_heartbeat_is_a_comment_that_moves_the_place_of_who_gets_nothing() {
    let server = Server::start(&format!("{OFTEN}{PUSH}")).await;
    let mut stream = EventStream::open(server.addr(), "/events?topics=wanted").await;
    stream.until("subscribed").await;
    server.publish(&numbered(50, |_| "other".to_owned())).await;
    loop {
        let block = stream.block().await.expect("a heartbeat");
        assert_eq!((block.comment.as_deref(), &block.message), (Some("heartbeat"), &None));
        if place(&block) == Some(50) {
            return;
        }
    }
}

/// Reads, leaves at random and comes back with the last `id`, until it has all through `last`. What it got.
async fn wander(server: &Server, query: &str, last: u64, mut dice: Dice) -> Vec<u64> {
    let (mut got, mut last_id) = (Vec::new(), "earliest".to_owned());
    while last_id == "earliest" || cursor_seq(&json!(last_id)) < last {
        let headers = [("last-event-id", last_id.as_str())];
        // What a browser does: the URL is the one of the beginning.
        let path = format!("/events?{query}&after=earliest");
        let mut stream = EventStream::try_open(server.addr(), &path, &headers).await.expect("a stream");
        for _ in 0..=dice.throw(300) {
            let block = stream.block().await.expect("it goes on");
            match op(&block) {
                "event" => got.push(seq(block.message.as_ref().expect("an event"))),
                "gap" => panic!("nothing is missing: {block:?}"),
                _ => {}
            }
            if stream.last_id.as_ref().is_some_and(|id| cursor_seq(&json!(id)) >= last) {
                break;
            }
        }
        last_id = stream.last_id.take().unwrap_or(last_id);
    }
    got
}

#[tokio::test]
async fn who_leaves_anywhere_and_comes_back_with_the_last_id_gets_everything_once() {
    const EVENTS: u64 = 3000;
    let server = Server::start(&format!("{OFTEN}{PUSH}")).await;
    let events = numbered(3000, |i| format!("n.{}", i % 3));
    let publishing = async {
        for some in events.chunks(100) {
            server.publish(some).await;
        }
    };
    let query = |i: usize| ["topics=%3E", "topics=n.1", "where.i.gte=1500"][i % 3];
    let clients = (0..6).map(|i| wander(&server, query(i), EVENTS, Dice::new(seed(), i as u64)));
    let (got, ()) = tokio::join!(futures_util::future::join_all(clients), publishing);
    for (i, got) in got.into_iter().enumerate() {
        let wanted = |seq: &u64| match i % 3 {
            0 => true,
            1 => seq % 3 == 2,
            _ => *seq > 1500,
        };
        assert_eq!(got, (1..=EVENTS).filter(wanted).collect::<Vec<_>>(), "{}", query(i));
    }
    server.until_nobody_left(PATIENCE).await;
}

#[tokio::test]
async fn within_a_snapshot_no_place_is_told_so_who_is_cut_there_gets_it_anew() {
    let server = Server::start(&format!("{OFTEN}{PUSH}")).await;
    let keys: Vec<_> =
        (0..500).map(|i| json!({"topic": "a", "key": format!("k{i}"), "id": format!("e{i}"), "data": i})).collect();
    server.publish(&keys).await;
    let path = "/events?topics=a&snapshot=1";
    let mut stream = EventStream::open(server.addr(), path).await;
    let mut shown = 0;
    let end = loop {
        let block = stream.block().await.expect("a block");
        match op(&block) {
            "snapshot_end" => break block,
            "snapshot" => shown += 1,
            _ => {}
        }
        assert_eq!(block.id, None, "{block:?}");
    };
    assert_eq!((shown, place(&end)), (500, Some(500)));
    server.publish(&[json!({"topic": "a", "key": "k0", "data": "new"})]).await;
    assert_eq!(seq(&stream.until("event").await), 501);

    let id = stream.last_id.take().expect("a place");
    let mut again = EventStream::try_open(server.addr(), path, &[("last-event-id", &id)]).await.expect("a stream");
    server.publish(&[json!({"topic": "a", "key": "k1", "data": "newer"})]).await;
    again.until("subscribed").await;
    assert_eq!(seq(&again.message().await), 502, "who can resume needs no snapshot");
}

#[tokio::test]
async fn a_slow_reader_is_told_where_it_stands_and_goes_on_from_there() {
    const EVENTS: u64 = 4000;
    let config = "[client]\nmax_queue_bytes = \"64KiB\"\nmax_queue_age = \"60s\"\nwrite_timeout = \"60s\"\n";
    let server = Server::start(&format!("{config}{PUSH}")).await;
    let mut slow = EventStream::open(server.addr(), "/events?topics=a").await;
    slow.until("subscribed").await;
    let mut quick = Socket::open(server.addr(), "/ws?topics=b").await;
    quick.until("subscribed").await;
    let pad = "x".repeat(4000);
    for start in (0..EVENTS).step_by(200) {
        let events: Vec<_> =
            (start..start + 200).map(|i| json!({"topic": "a", "data": {"i": i, "pad": pad}})).collect();
        server.publish(&events).await;
        server.publish(&[json!({"topic": "b", "data": 0})]).await;
        quick.until("event").await;
    }
    let blocks = slow.rest().await;
    let got = blocks.iter().filter(|block| op(block) == "event").count() as u64;
    assert!(got < EVENTS, "more than waits for it");
    let goodbye = blocks.iter().find(|block| op(block) == "goodbye").and_then(|block| block.message.clone());
    let goodbye = goodbye.expect("a goodbye");
    assert_eq!((&goodbye["reason"], &goodbye["confirmed"]), (&json!("SLOW_CONSUMER"), &json!(0)), "{goodbye}");
    assert_eq!(goodbye["cursor"].as_str(), slow.last_id.as_deref(), "it can be resumed from where it was cut");
    let id = slow.last_id.take().expect("a place");
    let (path, headers) = ("/events?topics=a&overflow=catch_up", [("last-event-id", id.as_str())]);
    let mut again = EventStream::try_open(server.addr(), path, &headers).await.expect("a stream");
    for _ in got..EVENTS {
        let event = again.until("event").await;
        assert_eq!(event["data"]["i"], (seq(&event) - 1) / 201 * 200 + (seq(&event) - 1) % 201, "{}", event["seq"]);
    }
}

#[tokio::test]
async fn who_chose_to_skip_is_told_the_gap() {
    let server = Server::start(&format!("[client]\nmax_queue_bytes = \"64KiB\"\n{PUSH}")).await;
    let mut slow = EventStream::open(server.addr(), "/events?topics=a&overflow=skip").await;
    slow.until("subscribed").await;
    let events: Vec<_> = (0..3000).map(|i| json!({"topic": "a", "data": {"i": i, "pad": "x".repeat(4000)}})).collect();
    for some in events.chunks(200) {
        server.publish(some).await;
    }
    let (mut got, mut missed) = (0, 0);
    while got + missed < 3000 {
        let message = slow.message().await;
        match message["op"].as_str() {
            Some("event") => got += 1,
            Some("gap") => missed += message["matched"].as_u64().expect("a number"),
            _ => {}
        }
    }
    assert_eq!(got + missed, 3000);
    assert!(missed > 0);
}

#[tokio::test]
async fn a_drain_says_goodbye_and_when_to_come_back() {
    let mut server = Server::start(&format!("[drain]\nwindow = \"300ms\"\ndeadline = \"3s\"\n{PUSH}")).await;
    let mut stream = EventStream::open(server.addr(), "/events?topics=a").await;
    stream.until("subscribed").await;
    server.publish(&numbered(3, |_| "a".to_owned())).await;
    server.signal(Signal::TERM);
    let blocks = stream.rest().await;
    let [.., goodbye, retry] = blocks.as_slice() else { panic!("{blocks:?}") };
    let message = goodbye.message.as_ref().expect("a goodbye");
    assert_eq!((&message["code"], cursor_seq(&message["cursor"])), (&json!(4200), 3), "{message}");
    assert_eq!(retry.retry.map(Value::from).as_ref(), Some(&message["retry_after_ms"]));
    assert!(server.exit_within(Duration::from_secs(4)).await.success());
}

#[tokio::test]
async fn an_operator_sees_streams_and_closes_them_and_the_audit_agrees() {
    let server = Server::start(PUSH).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = EventStream::open(server.addr(), "/events?topics=a").await;
        stream.until("subscribed").await;
        streams.push(stream);
    }
    let listed = server.connections().await;
    assert_eq!(listed.len(), 20);
    let path = format!("/connections/{}", listed[0]["id"].as_str().expect("a name"));
    assert_eq!(server.request(Request { method: "DELETE", path: &path, ..Request::default() }).await.status, 200);
    server.until_active(19, PATIENCE).await;
    server.audited().await;
    server.publish(&numbered(1, |_| "a".to_owned())).await;
    let mut kicked = 0;
    for stream in &mut streams {
        let message = stream.message().await;
        match message["op"].as_str() {
            Some("event") => {}
            Some("goodbye") => {
                assert_eq!(message["reason"], "KICKED", "{message}");
                kicked += 1;
            }
            _ => panic!("{message}"),
        }
    }
    assert_eq!(kicked, 1);
    drop(streams);
    server.until_nobody_left(PATIENCE).await;
}
