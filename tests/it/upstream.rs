//! The other end: a source that is cut, falls silent, writes nonsense, or is not who it says it is.

use std::time::Duration;

use serde_json::Value;
use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, Socket, eventually,
    fake_upstream::{Cut, Speed},
    feeds::Capture,
};

use crate::until_source;

/// A source that takes each frame's number as its payload.
fn numbers(upstream: &FakeUpstream, more: &str) -> String {
    format!(
        "[[source]]\nname = \"numbers\"\nkind = \"websocket\"\nurl = \"{}\"\nmap = '{{topic: \"n\", data: .n}}'\n{more}\n",
        upstream.url()
    )
}

fn frames(count: usize) -> Vec<String> {
    (0..count).map(|i| format!(r#"{{"n":{i}}}"#)).collect()
}

async fn next_number(client: &mut Socket) -> i64 {
    client.until("event").await["data"].as_i64().expect("a number")
}

#[tokio::test]
async fn a_source_that_was_cut_is_connected_again_and_goes_on() {
    for how in [Cut::Close, Cut::Reset] {
        let upstream = FakeUpstream::start(Capture::of(frames(6)), Speed::Max).await;
        let server = Server::start(&numbers(&upstream, "")).await;
        let mut client = Socket::open(server.addr(), "/ws?topics=n").await;
        client.until("subscribed").await;
        upstream.release();
        for i in 0..6 {
            assert_eq!(next_number(&mut client).await, i);
        }
        upstream.cut(how);
        eventually("a second connection", PATIENCE, async || {
            if upstream.accepted() == 2 { Ok(()) } else { Err(upstream.accepted().to_string()) }
        })
        .await;
        let source = until_source(&server, "numbers", "counted", |source| source["reconnects"] == 1).await;
        assert_eq!(source["events"], 6, "{source}");
    }
}

#[tokio::test]
async fn clients_are_told_when_a_source_that_answers_pings_falls_silent_and_when_it_is_back() {
    let upstream = FakeUpstream::start(Capture::of(frames(200)), Speed::Times(0.02)).await;
    let pings = "ping_interval = \"100ms\"\npong_timeout = \"2s\"";
    let server = Server::start(&numbers(&upstream, &format!("stale_after = \"400ms\"\n{pings}"))).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=other").await;
    client.until("subscribed").await;
    upstream.release();
    until_source(&server, "numbers", "live", |source| source["state"] == "live").await;
    upstream.hold();
    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "stale") {
        let message = client.until("source").await;
        assert_eq!(message["source"], "numbers");
        states.push(message["state"].as_str().expect("a state").to_owned());
    }
    // That it answers proves a connection, and no data.
    let answered = upstream.pings();
    eventually("more pings", PATIENCE, async || match upstream.pings() - answered {
        0..3 => Err(upstream.pings()),
        _ => Ok(()),
    })
    .await;
    let source = until_source(&server, "numbers", "stale", |source| source["state"] == "stale").await;
    assert_eq!((&source["reconnects"], upstream.accepted()), (&0.into(), 1), "stale is not cut: {source}");
    upstream.release();
    assert_eq!(client.until("source").await["state"], "live");
}

#[tokio::test]
async fn frames_that_cannot_be_mapped_are_counted_and_the_source_goes_on() {
    let frames = [
        r#"{"n":1}"#,
        "this is not JSON",
        r#"{"n":"a text has no tonumber"}"#,
        r#"{"other":"ignored by the mapping"}"#,
        r#"{"n":2}"#,
    ];
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::Max).await;
    let config = numbers(&upstream, "")
        .replace("'{topic: \"n\", data: .n}'", "'select(.n) | {topic: \"n\", data: (.n | tonumber)}'");
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=n").await;
    client.until("subscribed").await;
    upstream.release();
    assert_eq!(next_number(&mut client).await, 1);
    assert_eq!(next_number(&mut client).await, 2);
    let source = until_source(&server, "numbers", "all frames counted", |source| source["frames"] == 5).await;
    assert_eq!((&source["events"], &source["unmapped"]), (&2.into(), &2.into()), "{source}");
    let errors: i64 = source["errors"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_i64()).sum();
    assert_eq!(errors, 2, "{source}");
    assert_eq!(upstream.accepted(), 1, "the connection was kept");
}

#[tokio::test]
async fn a_flood_of_nonsense_is_sampled_in_the_log() {
    let upstream = FakeUpstream::start(Capture::of(vec!["nonsense".to_owned(); 5_000]), Speed::Max).await;
    let server = Server::start(&numbers(&upstream, "")).await;
    upstream.release();
    until_source(&server, "numbers", "all frames counted", |source| source["frames"] == 5_000).await;
    let lines = server.log().iter().filter(|line| line.contains("nonsense") || line.contains("decode")).count();
    assert!((1..100).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn pings_of_the_feeds_own_are_answered_by_the_reply_program() {
    let upstream = FakeUpstream::start(Capture::of([r#"{"event":"ping","id":7}"#]), Speed::Max).await;
    let reply = "reply = 'select(.event? == \"ping\") | {event: \"pong\", id: .id}'";
    let _server = Server::start(&numbers(&upstream, reply)).await;
    upstream.release();
    eventually("the pong", PATIENCE, async || {
        let received = upstream.received();
        let pong = serde_json::json!({"event": "pong", "id": 7});
        let is_there = received.iter().any(|text| serde_json::from_str::<Value>(text).is_ok_and(|value| value == pong));
        if is_there { Ok(()) } else { Err(format!("{received:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_accepted_only_if_it_is_vouched_for() {
    let upstream = FakeUpstream::start_tls(Capture::of(frames(1)), Speed::Max).await;
    upstream.release();
    let trusting = format!("ca_file = \"{}\"", upstream.ca_file().display());
    let server = Server::start(&numbers(&upstream, &trusting)).await;
    until_source(&server, "numbers", "one event", |source| source["events"] == 1).await;

    let server = Server::start(&numbers(&upstream, "")).await;
    let source = until_source(&server, "numbers", "a refusal", |source| source["state"] == "down").await;
    assert_eq!(source["events"], 0, "{source}");
    assert!(source["last_error"].to_string().to_lowercase().contains("certificate"), "{source}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_keeps_nobody_from_connecting() {
    let config = "[[source]]\nname = \"gone\"\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:9\"\n";
    let server = Server::start(config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    until_source(&server, "gone", "down", |source| source["state"] == "down").await;
    let silence = client.receive_within(Duration::from_millis(50)).await;
    assert!(!matches!(silence, Some(standpipe_tests::socket::Received::Closed { .. })), "{silence:?}");
}
