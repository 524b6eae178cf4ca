//! `POST /publish` with an `Idempotency-Key`: published once, however often it is sent.

use crate::support::{Reply, Server, eventually};

fn request(server: &Server, headers: &str, body: &str) -> String {
    let (address, length) = (server.address, body.len());
    format!("POST /publish HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

async fn publish(server: &Server, key: &str, body: &str) -> Reply {
    server.ask(request(server, &format!("Idempotency-Key: {key}\r\n"), body)).await
}

fn batches(server: &Server) -> usize {
    server.house.batches.lock().map_or(0, |batches| batches.len())
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_again_and_publishes_nothing() {
    let server = Server::start();
    let first = publish(&server, "\"a\"", "[1,2]").await;
    assert_eq!((first.status, first.headers.get("idempotency-replayed")), (200, None));
    for key in ["\"a\"", "a"] {
        let again = publish(&server, key, "[1,2]").await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.headers["idempotency-replayed"], "true");
    }
    assert_eq!(batches(&server), 1);
    let other = publish(&server, "b", "[1,2]").await;
    assert_eq!(other.json()["results"][0]["seq"], 3, "another key is another request");
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let server = Server::start();
    publish(&server, "a", "1").await;
    let reply = publish(&server, "a", "2").await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(batches(&server), 1);
}

#[tokio::test]
async fn a_try_while_the_first_is_under_way_is_told_when_to_ask() {
    let server = Server::start();
    let mut first = server.connect().await;
    first.send(request(&server, "Idempotency-Key: a\r\n", "\"wait\"")).await;
    eventually(|| batches(&server) == 1).await;
    let reply = publish(&server, "a", "\"wait\"").await;
    assert_eq!((reply.status, reply.code().as_str()), (409, "IDEMPOTENCY_KEY_UNDER_WAY"));
    assert_eq!(reply.headers["retry-after"], "1");
    server.house.gate.add_permits(1);
    assert_eq!(first.reply().await.json()["duplicate"], 1);
    assert_eq!((publish(&server, "a", "\"wait\"").await.status, batches(&server)), (200, 1));
}

#[tokio::test]
async fn a_publisher_that_goes_away_finds_its_answer_when_it_asks_again() {
    let server = Server::start();
    let mut first = server.connect().await;
    first.send(request(&server, "Idempotency-Key: a\r\n", "\"wait\"")).await;
    eventually(|| batches(&server) == 1).await;
    drop(first);
    server.house.gate.add_permits(1);
    let mut reply = publish(&server, "a", "\"wait\"").await;
    while reply.status == 409 {
        reply = publish(&server, "a", "\"wait\"").await;
    }
    assert_eq!((reply.status, reply.json()["duplicate"].as_u64(), batches(&server)), (200, Some(1), 1));
}

#[tokio::test]
async fn what_is_refused_as_a_whole_is_not_remembered() {
    let server = Server::start();
    assert_eq!(publish(&server, "a", "nonsense").await.status, 400);
    assert_eq!(publish(&server, "a", "1").await.status, 200);
}

#[tokio::test]
async fn what_is_no_key_and_what_takes_none_is_told() {
    let server = Server::start();
    for (headers, hint) in [
        ("Idempotency-Key: \r\n".to_owned(), "UUID"),
        ("Idempotency-Key: \"a\r\n".to_owned(), "UUID"),
        ("Idempotency-Key: a\r\nIdempotency-Key: b\r\n".to_owned(), "UUID"),
        (format!("Idempotency-Key: {}\r\n", "x".repeat(256)), "UUID"),
        ("Idempotency-Key: a\r\nContent-Type: application/x-ndjson\r\n".to_owned(), "give events ids"),
    ] {
        let reply = server.ask(request(&server, &headers, "1")).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "BAD_REQUEST"), "{headers}");
        assert!(reply.json()["error"]["hint"].as_str().unwrap().contains(hint), "{headers}: {}", reply.body);
    }
    assert_eq!(batches(&server), 0);
}
