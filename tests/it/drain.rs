//! How a server goes away: everyone is told, nobody is waited for beyond the deadline, and the process ends well.

use std::time::{Duration, Instant};

use serde_json::json;
use standpipe_tests::{
    PATIENCE, Proxy, Server, Socket, eventually,
    foreign::{Ending, Language},
    language,
    process::Signal,
    proxy::Link,
};

use crate::{PUSH, cursor_seq, numbered, seq};

const DRAIN: &str = r#"
[drain]
window = "500ms"
deadline = "3s"
"#;

async fn until_not_ready(server: &Server) {
    eventually("not ready", PATIENCE, async || match server.get("/ready").await.status {
        503 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
}

#[tokio::test]
async fn on_sigterm_every_client_gets_goodbye_and_the_process_ends_with_zero() {
    let mut server = Server::start(&format!("{DRAIN}{PUSH}")).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Socket::open(server.addr(), "/ws?topics=%3E").await;
        client.until("subscribed").await;
        clients.push(client);
    }
    server.publish(&numbered(5, |i| format!("t.{i}"))).await;
    let start = Instant::now();
    server.signal(Signal::TERM);
    for client in &mut clients {
        for i in 0..5 {
            assert_eq!(client.until("event").await["data"], json!({"i": i}));
        }
        let goodbye = client.until("goodbye").await;
        assert_eq!((&goodbye["code"], &goodbye["reason"]), (&json!(4200), &json!("RESTART")));
        assert_eq!((&goodbye["verdict"], &goodbye["delivered"]), (&json!("now"), &json!(5)));
        assert_eq!(cursor_seq(&goodbye["cursor"]), 5);
        assert_eq!(client.closed().await, (4200, "RESTART".to_owned()));
    }
    assert!(server.exit_within(Duration::from_secs(4)).await.success());
    assert!(start.elapsed() < Duration::from_secs(3), "nobody was left to wait for: {:?}", start.elapsed());
}

#[tokio::test]
async fn foreign_clients_are_told_too() {
    let mut server = Server::start(&format!("{DRAIN}{PUSH}")).await;
    let mut clients = Vec::new();
    for language in [Language::Python, Language::Node] {
        let mut client = language!(language).collect(&server.url("/ws?topics=%3E"), &[]);
        client.message("subscribed").await;
        clients.push(client);
    }
    server.signal(Signal::TERM);
    for client in clients {
        let collected = client.finish(PATIENCE).await;
        assert_eq!(collected.ending, Ending::Closed { code: 4200, reason: "RESTART".to_owned() });
        assert_eq!(collected.messages.last().expect("messages")["op"], "goodbye");
    }
    assert!(server.exit_within(PATIENCE).await.success());
}

#[tokio::test]
async fn a_client_that_answers_nothing_is_not_waited_for_beyond_the_deadline() {
    let mut server = Server::start(&format!("{DRAIN}{PUSH}")).await;
    let proxy = Proxy::start(server.addr()).await;
    let mut vanished = Socket::open(proxy.addr(), "/ws?topics=%3E").await;
    vanished.until("subscribed").await;
    proxy.set_all(Link::Freeze);
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.exit_within(Duration::from_secs(5)).await.success());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// A server with eight clients that has begun to close them over `window`.
async fn draining(window: &str, deadline: &str) -> (Server, Vec<Socket>) {
    let drain = format!("[drain]\nwindow = \"{window}\"\ndeadline = \"{deadline}\"\n");
    let mut server = Server::start(&format!("{drain}{PUSH}")).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Socket::open(server.addr(), "/ws?topics=%3E").await;
        client.until("subscribed").await;
        clients.push(client);
    }
    server.signal(Signal::TERM);
    until_not_ready(&server).await;
    (server, clients)
}

#[tokio::test]
async fn a_second_signal_ends_the_spreading() {
    // Nobody would wait for the end of this window.
    let (mut server, mut clients) = draining("10m", "20m").await;
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.until("goodbye").await["code"], 4200);
        assert_eq!(client.closed().await.0, 4200);
    }
    assert!(server.exit_within(PATIENCE).await.success());
}

#[tokio::test]
async fn while_draining_the_server_says_so_and_takes_nobody() {
    let (mut server, mut clients) = draining("2s", "4s").await;
    let refused = Socket::try_open(server.addr(), "/ws", &[]).await.err().expect("no new client");
    assert_eq!(refused.status, 503);
    assert!(refused.body.to_string().contains("DRAINING"), "{refused:?}");
    let mut said = Vec::new();
    for client in &mut clients {
        said.push(client.closed().await.0);
    }
    assert_eq!(said, [4200; 8]);
    assert!(server.exit_within(PATIENCE).await.success());
}

#[tokio::test]
async fn an_operator_can_drain_it() {
    let mut server = Server::start(&format!("{DRAIN}{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    let subscribed = client.until("subscribed").await;
    assert_eq!(seq(&subscribed), 0);
    let drain = standpipe_tests::http::Request { method: "POST", path: "/drain", ..Default::default() };
    assert!((200..300).contains(&server.request(drain).await.status));
    assert_eq!(client.closed().await.0, 4200);
    assert!(server.exit_within(PATIENCE).await.success());
}
