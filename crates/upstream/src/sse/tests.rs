use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use standpipe_protocol::SourceState;

use super::*;
use crate::{
    Decoding, ErrorKind, HttpConfig, Kind, Mapping, SourceConfig, Upstream,
    contract::{self, LIMIT, Rig, Running, numbers},
    http::tests::{Reply, Server, Then, at, header, serve},
};

fn streamed(http: HttpConfig) -> Kind {
    Kind::Sse(SseConfig { http, decode: Decoding::json(), max_frame: 64 * 1024, silence: LIMIT })
}

fn stream(events: &str, then: Then) -> Reply {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";
    Reply { bytes: format!("{head}{events}").into_bytes(), then }
}

/// A stream that gives its events to whoever asks, and then stays.
struct Stream(#[expect(dead_code, reason = "it serves as long as it is there")] Server);

impl Rig for Stream {
    async fn new(frames: Vec<String>) -> (Self, Kind) {
        let events: Vec<_> = frames.iter().map(|frame| format!(": a comment\ndata: {frame}\n\n")).collect();
        let events = events.concat();
        let server = serve(move |_| stream(&events, Then::Silence)).await;
        let kind = streamed(at(server.address));
        (Self(server), kind)
    }

    async fn feed(&self, _: &Upstream) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_upholds_what_every_source_upholds() {
    contract::upheld_by::<Stream>().await;
}

#[tokio::test]
async fn the_next_stream_begins_behind_the_last_event_and_not_before_it_may() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = serve(move |head| {
        let mut asked = seen.lock().unwrap();
        assert_eq!(header(head, "accept"), Some("text/event-stream"));
        asked.push((Instant::now(), header(head, "last-event-id").map(str::to_owned)));
        match asked.len() {
            1 => stream("retry: 1500\nid: 7\ndata: 1\n\nid: 8\ndata: 2\n", Then::End),
            2 => stream("data: 2\n\nretry: 0\n\n", Then::End),
            _ => stream("data: 3\n\n", Then::Silence),
        }
    });
    let server = server.await;
    let mut running = Running::start(numbers(streamed(at(server.address))), 10);
    for n in ["1", "2", "3"] {
        assert_eq!(running.event().await, n);
    }
    running.stop().await;
    let asked = asked.lock().unwrap();
    let ids: Vec<_> = asked.iter().map(|(_, id)| id.as_deref()).collect();
    assert_eq!(
        ids,
        [None, Some("7"), Some("7")],
        "the one behind it was not complete, and what has no id changes nothing"
    );
    assert!(asked[1].0 - asked[0].0 >= Duration::from_millis(1500));
}

#[tokio::test]
async fn a_mapping_sees_the_type_of_an_event() {
    let server = serve(|_| stream("event: delete\ndata: 5\n\ndata: 6\n\n", Then::Silence)).await;
    let mapping = Mapping::compile(r#"{topic: ($event // "none"), data: [$conn, .]}"#).unwrap();
    let config = SourceConfig { mapping: Some(mapping), ..numbers(streamed(at(server.address))) };
    let mut running = Running::start(config, 10);
    assert_eq!(running.events.recv().await.unwrap().event.topic.as_str(), "delete");
    assert_eq!(running.event().await, "[1,6]");
    running.stop().await;
}

#[tokio::test]
async fn comments_keep_a_stream_and_do_not_make_it_live_and_silence_ends_it() {
    let server = serve(|_| stream(": here\n\n: still\n\n", Then::Silence)).await;
    let Kind::Sse(config) = streamed(at(server.address)) else { unreachable!() };
    let brief = Kind::Sse(SseConfig { silence: Duration::from_millis(200), ..config });
    let mut running = Running::start(numbers(brief), 10);
    assert_eq!(running.state().await, SourceState::Connecting);
    assert_eq!(running.state().await, SourceState::Down);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Timeout && message.contains("not even a comment"), "{message}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_stream_is_told_and_an_endless_line_is_given_up() {
    let server = serve(|_| Reply::whole("200 OK", "Content-Type: text/html\r\n", "<html>")).await;
    let running = Running::start(numbers(streamed(at(server.address))), 10);
    let (kind, message) = running.fault().await;
    assert!(kind == ErrorKind::Handshake && message.contains("`text/html`"), "{message}");
    running.stop().await;

    let server = serve(|_| stream(&format!("data: 1\n\ndata: {}", "x".repeat(100_000)), Then::Silence)).await;
    let mut running = Running::start(numbers(streamed(at(server.address))), 10);
    assert_eq!(running.event().await, "1");
    assert_eq!(running.fault().await.0, ErrorKind::Oversized);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_wants_nobody_to_come_again_is_not_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = serve(move |_| {
        count.fetch_add(1, SeqCst);
        Reply::whole("204 No Content", "", "")
    });
    let server = server.await;
    let running = Running::start(numbers(streamed(at(server.address))), 10);
    running.eventually(|status| status.finished).await;
    running.stop().await;
    assert_eq!(asked.load(SeqCst), 1);
}
