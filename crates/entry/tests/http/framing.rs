//! HTTP itself: what is put on the wire in odd ways, and what is no HTTP.

use crate::support::{Server, handshake};

const GET: &str = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_connection_answers_one_request_after_the_other() {
    let server = Server::start();
    let mut raw = server.connect().await;
    for _ in 0..3 {
        raw.send(GET).await;
        assert_eq!(raw.reply().await.status, 200);
    }
    raw.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(raw.reply().await.status, 404);
    raw.send("GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(raw.reply().await.status, 200);
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let server = Server::start();
    let mut raw = server.connect().await;
    let statuses = [("/live", 200), ("/nothing", 404), ("/status", 200), ("/ws", 426)];
    let requests = statuses.map(|(path, _)| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    raw.send(requests.concat().repeat(25)).await;
    for (path, status) in (0..25).flat_map(|_| statuses) {
        assert_eq!(raw.reply().await.status, status, "{path}");
    }
}

#[tokio::test]
async fn requests_before_an_upgrade_are_answered_before_it() {
    let mut server = Server::start();
    let mut raw = server.connect().await;
    raw.send(format!("{GET}{}early", handshake("/ws", ""))).await;
    assert_eq!(raw.reply().await.status, 200);
    assert_eq!(raw.reply().await.status, 101);
    assert_eq!(&server.socket().await.early[..], b"early");
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut raw = server.connect().await;
    for byte in GET.as_bytes() {
        raw.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.reply().await.status, 200);
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_is_still_answered() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(GET).await;
    raw.end().await;
    assert_eq!(raw.reply().await.status, 200);
    assert_eq!(raw.rest().await, "");
    let mut silent = server.connect().await;
    silent.end().await;
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send("GET /live HTTP/1.0\r\n\r\n").await;
    let reply = raw.reply().await;
    assert_eq!((reply.status, reply.head.starts_with("HTTP/1.0 200 OK\n")), (200, true));
    assert_eq!(raw.rest().await, "");
    let mut kept = server.connect().await;
    for _ in 0..2 {
        kept.send("GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(kept.reply().await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_400_and_closed() {
    let server = Server::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET /live\r\n\r\n",
        b"GET /live HTTP/3.0\r\n\r\n",
        b"GET /li ve HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut raw = server.connect().await;
        raw.send(garbage).await;
        assert_eq!(raw.head().await.status, 400, "{:?}", String::from_utf8_lossy(garbage));
        raw.rest().await;
    }
    let mut h2 = server.connect().await;
    h2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
    h2.rest().await;
    assert_eq!(server.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_head_over_the_limit_is_answered_431_and_what_to_do_instead() {
    let server = Server::start();
    let headers = |count| format!("GET /live HTTP/1.1\r\nHost: a\r\nX-Fill: {}\r\n\r\n", "x".repeat(count));
    let url = |count| format!("GET /ws?where.a={} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(count));
    assert_eq!(server.ask(headers(7 * 1024)).await.status, 200);
    let many = format!("GET /live HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: 1\r\n".repeat(200));
    let one_0 = headers(9 * 1024).replace("HTTP/1.1", "HTTP/1.0");
    // hyper gives up after the 8 KiB of a head, after the 16 KiB of its buffer, or by the number of headers.
    for head in [headers(9 << 10), headers(64 << 10), headers(1 << 20), url(9 << 10), url(20_000), many, one_0] {
        let mut raw = server.connect().await;
        raw.send(head.as_bytes()).await;
        let reply = raw.reply().await;
        assert_eq!((reply.status, reply.headers["connection"].as_str()), (431, "close"), "{} bytes", head.len());
        let error = &reply.json()["error"];
        assert_eq!(error["code"], "HEAD_TOO_LARGE");
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("subscribe")), "{error}");
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_does_not_cost_the_answers_before_it() {
    let server = Server::start();
    let long = format!("GET /live HTTP/1.1\r\nX-Fill: {}\r\n\r\n", "x".repeat(9 * 1024));
    let mut kept = server.connect().await;
    kept.send(GET).await;
    assert_eq!(kept.reply().await.status, 200);
    kept.send(&long).await;
    assert_eq!(kept.reply().await.json()["error"]["code"], "HEAD_TOO_LARGE");
    let mut at_once = server.connect().await;
    at_once.send(format!("{GET}{long}")).await;
    assert_eq!(at_once.reply().await.status, 200);
    assert_eq!(at_once.reply().await.status, 431);
    at_once.rest().await;
}

#[tokio::test]
async fn a_body_that_no_route_wants_does_no_harm() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send("GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(raw.reply().await.status, 200);
    raw.send(GET).await;
    assert_eq!(raw.reply().await.status, 200, "the body was skipped, not taken for a request");
    let mut large = server.connect().await;
    large.send("POST /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n").await;
    large.send(vec![b'x'; 1_000_000]).await;
    assert_eq!(large.reply().await.status, 405, "the answer arrives although the body was not read");
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_not_followed() {
    let server = Server::start();
    let mut raw = server.connect().await;
    for _ in 0..2 {
        raw.send(
            "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        )
        .await;
        assert_eq!(raw.reply().await.status, 200);
    }
}

#[tokio::test]
async fn when_there_is_no_room_answers_close_their_connection() {
    let server = Server::with(|config| config.limits.max_http = std::num::NonZeroUsize::MIN);
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    second.send(GET).await;
    first.send(GET).await;
    let reply = first.reply().await;
    assert_eq!(reply.headers["connection"], "close");
    first.rest().await;
    drop(first);
    assert_eq!(second.reply().await.status, 200, "the next is let in");
}
