//! `deploy/nginx/standpipe.conf` in front of a server.

use std::{fs, net::SocketAddr};

use serde_json::json;
use standpipe_tests::{
    PATIENCE, Peer, Server, Socket, Wild,
    http::{self, Request},
    nginx::{self, Nginx},
    paths,
    peer::Frame,
    skip,
    skip::is_ci,
    within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::PUSH;

/// The file as it is, but for the addresses, and for how long nginx waits for a word of the server: two seconds, and not a
/// minute.
async fn in_front_of(server: SocketAddr) -> Nginx {
    let text = fs::read_to_string(paths::root().join("deploy/nginx/standpipe.conf")).expect("the file");
    Nginx::start(|addr| {
        let changes = [
            ("listen 80;", format!("listen {addr};")),
            ("127.0.0.1:8080;", format!("{server};")),
            ("proxy_read_timeout 60s;", "proxy_read_timeout 2s;".to_owned()),
        ];
        changes.iter().fold(text, |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text.replace(from, to)
        })
    })
    .await
}

/// Whether nginx is here; else the test is skipped.
macro_rules! nginx {
    () => {
        if !nginx::is_installed() {
            assert!(!is_ci(), "nginx is not installed");
            skip!("needs nginx");
        }
    };
}

fn pinging(interval: &str) -> String {
    format!("[client]\nping_interval = \"{interval}\"\npong_timeout = \"{interval}\"\nheartbeat = \"1h\"\n{PUSH}")
}

#[tokio::test]
async fn quiet_clients_stay_connected_because_they_are_pinged() {
    nginx!();
    let server = Server::start(&pinging("500ms")).await;
    let nginx = in_front_of(server.addr()).await;
    let mut client = Socket::open(nginx.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    // Three times as long as nginx waits.
    let pinged = server.until_counted("standpipe_connections_receipt_seconds_count", |receipts| receipts >= 13);
    client.reading(pinged).await;
    server.publish(&[json!({"topic": "a", "data": 1})]).await;
    assert_eq!(client.until("event").await["data"], 1);

    // One that is pinged more rarely than nginx waits for does not.
    let server = Server::start(&pinging("1h")).await;
    let nginx = in_front_of(server.addr()).await;
    let mut client = Peer::open(nginx.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    let lost = within("the end of patience", PATIENCE, client.next()).await;
    assert!(matches!(lost, Frame::Lost), "{lost:?}");
}

#[tokio::test]
async fn event_streams_come_event_by_event() {
    nginx!();
    let server = Server::start(PUSH).await;
    let nginx = in_front_of(server.addr()).await;
    let mut stream = TcpStream::connect(nginx.addr()).await.expect("nginx accepts");
    let request = b"GET /events?topics=a HTTP/1.1\r\nHost: here\r\n\r\n";
    stream.write_all(request).await.expect("nginx reads");
    let mut got = Vec::new();
    for text in ["\"op\":\"subscribed\"", "first", "second", "third"] {
        if !text.contains("op") {
            server.publish(&[json!({"topic": "a", "data": text})]).await;
        }
        // What comes is in chunks, of which nothing else is looked at.
        while !String::from_utf8_lossy(&got).contains(text) {
            let read = within(text, PATIENCE, stream.read_buf(&mut got)).await.expect("a stream");
            assert!(read > 0, "{text}: it has ended: {}", String::from_utf8_lossy(&got));
        }
    }
}

#[tokio::test]
async fn operations_cannot_be_asked_for_through_it() {
    nginx!();
    let server = Server::start(&format!("[admin]\ntoken = \"open-sesame-1234\"\n{PUSH}")).await;
    let nginx = in_front_of(server.addr()).await;
    let ask = async |addr, method, path| {
        let headers = &[("Authorization", "Bearer open-sesame-1234")];
        http::send(addr, Request { method, path, headers, ..Request::default() }).await.status
    };
    for path in ["/", "/live", "/ready", "/status", "/openapi.json", "/asyncapi.json"] {
        assert_eq!(ask(nginx.addr(), "GET", path).await, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/metrics/"),
        ("GET", "//metrics"),
        ("GET", "/live/../metrics"),
        ("GET", "/ws/../metrics"),
        ("GET", "/ws/..%2fmetrics"),
        ("GET", "/%6detrics"),
        ("GET", "/connections"),
        ("GET", "/sources"),
        ("POST", "/publish"),
        ("POST", "/drain"),
    ] {
        assert_eq!(ask(nginx.addr(), method, path).await, 404, "{method} {path}");
    }
    assert_eq!(ask(server.addr(), "GET", "/metrics").await, 200, "who is on the machine itself can");
}

#[tokio::test]
async fn whose_connection_it_is_is_believed_of_a_proxy_that_is_trusted() {
    nginx!();
    for (trusted, peer) in [("[]", "127.0.0.1"), ("[\"127.0.0.1/32\"]", "127.0.3.1")] {
        let config = format!("[limits]\ntrusted_proxies = {trusted}\n[admin]\ntoken = \"open-sesame-1234\"\n{PUSH}");
        let server = Server::start(&config).await;
        let nginx = in_front_of(server.addr()).await;
        let mut client = Wild::connect([127, 0, 3, 1], nginx.addr()).await.expect("a connection");
        // What the client says of itself counts for nothing.
        client.handshake("/ws", "X-Forwarded-For: 203.0.113.9\r\n").await;
        assert_eq!(client.answer().await.map(|answer| answer.status), Some(101));
        let headers = &[("Authorization", "Bearer open-sesame-1234")];
        let request = Request { path: "/connections", headers, ..Request::default() };
        let listed = server.request(request).await.json();
        let shown = listed["connections"][0]["peer"].as_str().unwrap_or_default();
        assert_eq!(shown.split(':').next(), Some(peer), "{trusted}: {listed}");
    }
}
