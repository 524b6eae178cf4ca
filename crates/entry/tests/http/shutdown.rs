//! What happens to whom when the entry is stopped.

use std::time::Duration;

use standpipe_entry::{Error, Listener};
use tokio::net::TcpStream;

use crate::support::{Server, config, eventually, handshake, within};

#[tokio::test]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(format!("POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Length: 3\r\n\r\n[", server.address)).await;
    let mut idle = server.connect().await;
    idle.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    server.stop.cancel();
    assert_eq!(idle.rest().await, "", "nothing is in flight here");
    raw.send("1]").await;
    let reply = raw.reply().await;
    assert_eq!(reply.json()["accepted"], 1);
    assert_eq!(reply.headers["connection"], "close");
    assert_eq!(raw.rest().await, "");
    server.stopped().await;
}

#[tokio::test]
async fn a_handshake_in_flight_is_answered_503() {
    let mut server = Server::start();
    let mut raw = server.connect().await;
    let request = handshake("/ws", "");
    let (begin, end) = request.split_at(40);
    raw.send(begin).await;
    // Whoever is answered came later, so the beginning has been read.
    assert_eq!(server.get("/live").await.status, 200);
    server.stop.cancel();
    raw.send(end).await;
    let reply = raw.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "DRAINING"));
    assert_eq!(reply.headers["retry-after"], "1");
    assert!(server.has_no_socket());
    server.stopped().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_at_the_deadline() {
    let server = Server::with(|config| config.deadlines.drain = Duration::from_millis(100));
    let mut raw = server.connect().await;
    raw.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 300\r\n\r\n1\n",
        server.address
    ))
    .await;
    eventually(|| server.house.batches.lock().unwrap().len() == 1).await;
    server.stopped().await;
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn the_port_is_closed_and_open_sockets_are_left_alone() {
    let mut server = Server::start();
    let mut raw = server.connect().await;
    raw.send(handshake("/ws", "")).await;
    assert_eq!(raw.head().await.status, 101);
    let upgrade = server.socket().await;
    server.stopped().await;
    assert!(within(TcpStream::connect(server.address)).await.is_err());
    upgrade.stream.writable().await.unwrap();
    upgrade.stream.try_write(b"still here").unwrap();
    drop(upgrade);
    assert_eq!(raw.rest().await, "still here");
}

#[tokio::test]
async fn a_port_that_cannot_be_had_is_told_with_what_to_do() {
    let server = Server::start();
    let mut taken = config();
    taken.listen = server.address;
    let error = Listener::bind(taken).unwrap_err();
    assert!(matches!(error, Error::Bind { .. }));
    let text = error.to_string();
    assert!(text.contains(&server.address.to_string()) && text.contains("in use by another program"), "{text}");
    let mut elsewhere = config();
    elsewhere.listen = "203.0.113.9:0".parse().unwrap();
    let text = Listener::bind(elsewhere).unwrap_err().to_string();
    assert!(text.contains("no such address"), "{text}");
}
