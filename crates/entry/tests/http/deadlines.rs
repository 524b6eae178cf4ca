//! Peers that take their time.

use std::{num::NonZeroUsize, time::Duration};

use standpipe_entry::counts::CountBy;
use tokio::{io::AsyncWriteExt, time::Instant};

use crate::support::{Raw, Server, eventually, handshake, within};

const SHORT: Duration = Duration::from_millis(150);

/// Sends one byte at a time, for as long as it is taken, and returns how long that was and what was answered.
async fn drip(raw: &mut Raw, byte: &[u8]) -> (Duration, String) {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            answer = raw.rest() => return (begun.elapsed(), answer),
            _ = tick.tick() => {}
        }
        // Once the other side has closed, what is still sent may be refused.
        let _ = raw.stream.write_all(byte).await;
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_given_up_at_its_deadline() {
    let server = Server::with(|config| config.deadlines.head = SHORT);
    let mut raw = server.connect().await;
    raw.send("GET /live HTTP/1.1\r\nX-Slow: ").await;
    let (took, answer) = drip(&mut raw, b"x").await;
    assert!(took >= SHORT, "{took:?}");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.ends_with(
        r#"{"error":{"code":"REQUEST_TIMEOUT","message":"the head of the request did not arrive in time"}}"#
    ));
}

#[tokio::test]
async fn an_address_may_hold_so_many_connections_and_half_open_ones_count() {
    let server = Server::with(|config| config.guests.max_http = NonZeroUsize::new(2));
    let mut half = server.connect().await;
    half.send("GET /live HTTP/1.1\r\n").await;
    let silent = server.connect().await;
    let told = server.connect().await.rest().await;
    assert!(told.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{told}");
    assert!(told.contains("\r\nretry-after: 5\r\n") && told.contains(r#""code":"OVER_CAPACITY""#), "{told}");
    drop(silent);
    eventually(|| server.counts.http() == 1).await;
    let mut next = server.connect().await;
    next.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(next.reply().await.status, 200);
    assert!(server.counts.limits.all().any(|(limit, count)| limit == "max_http_per_ip" && count > 0));
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_the_deadline_without_a_word() {
    let server = Server::with(|config| config.deadlines.head = SHORT);
    let begun = Instant::now();
    let mut raw = server.connect().await;
    assert_eq!(raw.rest().await, "");
    assert!(begun.elapsed() >= SHORT);
    let mut kept = server.connect().await;
    kept.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(kept.reply().await.status, 200);
    let answered = Instant::now();
    assert_eq!(kept.rest().await, "", "also between requests");
    assert!(answered.elapsed() >= SHORT / 2);
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408_at_its_deadline() {
    let server = Server::with(|config| {
        config.deadlines.body = SHORT;
        config.deadlines.stream = SHORT;
    });
    for media_type in ["application/json", "application/x-ndjson"] {
        let mut raw = server.connect().await;
        raw.send(format!(
            "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: 1000\r\n\r\n",
            server.address
        ))
        .await;
        let (took, answer) = drip(&mut raw, b" ").await;
        assert!(took >= SHORT / 2, "{took:?}");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.contains("REQUEST_TIMEOUT"), "{answer}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_given_up() {
    let server = Server::with(|config| {
        config.deadlines.write = SHORT;
        config.socket.send_buffer_bytes = Some(4096);
    });
    let mut raw = server.connect().await;
    let request = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    // Sooner or later our side of the connection is full, then theirs, and then they stop.
    within(async { while raw.stream.write_all(request.as_bytes()).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_socket_outlives_all_deadlines_of_http() {
    let mut server = Server::with(|config| {
        config.deadlines.head = SHORT;
        config.deadlines.write = SHORT;
    });
    let mut raw = server.connect().await;
    raw.send(handshake("/ws", "")).await;
    assert_eq!(raw.head().await.status, 101);
    let mut upgrade = server.socket().await;
    let mut other = server.connect().await;
    assert_eq!(other.rest().await, "", "a deadline has passed");
    upgrade.stream.write_all(b"still here").await.unwrap();
    drop(upgrade);
    assert_eq!(raw.rest().await, "still here");
}

#[tokio::test]
async fn what_came_too_late_and_what_was_refused_is_counted() {
    let server = Server::with(|config| {
        config.deadlines.head = SHORT;
        config.deadlines.body = SHORT;
    });
    let mut slow = server.connect().await;
    slow.send("GET /live HTTP/1.1\r\n").await;
    slow.rest().await;
    let mut silent = server.connect().await;
    silent.rest().await;
    let promised = format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\n1", server.address);
    assert_eq!(server.ask(promised).await.status, 408);
    assert_eq!(server.get("/nowhere").await.status, 404);
    assert_eq!(server.ask(handshake("/ws?topisc=a", "")).await.status, 400);

    let counts = &server.counts;
    let of = |counted: &CountBy, word: &str| counted.all().find(|(known, _)| *known == word).unwrap().1;
    assert_eq!((of(&counts.deadlines, "head"), of(&counts.deadlines, "body")), (2, 1));
    assert_eq!((of(&counts.refused_requests, "REQUEST_TIMEOUT"), of(&counts.refused_requests, "NOT_FOUND")), (2, 1));
    assert_eq!(of(&counts.refused_handshakes, "UNKNOWN_PARAMETER"), 1);
    assert_eq!((of(&counts.answers, "4xx"), counts.accepted()), (4, 5));
    eventually(|| counts.http() == 0).await;
}
