//! What whoever comes in may use: of one address, behind proxies, in a flood, and when the process has no descriptors left.

mod descriptors;
mod flood;
mod proxied;

use serde_json::{Value, json};
use standpipe_tests::{PATIENCE, Server, Socket, Wild, eventually};

use crate::PUSH;

#[tokio::test]
async fn an_address_has_its_own_bounds_and_others_are_not_affected() {
    let limits = "[limits]\nmax_connections_per_ip = 2\nconnect_rate_per_ip = \"4/h\"\n";
    let server = Server::start(&format!("{limits}{PUSH}")).await;
    let knock = async |source| {
        let mut wild = Wild::connect(source, server.addr()).await.expect("a connection");
        wild.handshake("/ws", "").await;
        let answer = wild.answer().await.expect("an answer");
        (wild, answer.status, answer.header("retry-after").map(str::to_owned))
    };
    let (first, status, _) = knock([127, 0, 1, 1]).await;
    assert_eq!(status, 101);
    let (_second, status, _) = knock([127, 0, 1, 1]).await;
    assert_eq!(status, 101);
    let (_, status, retry_after) = knock([127, 0, 1, 1]).await;
    assert_eq!((status, retry_after.as_deref()), (503, Some("5")), "two are open");
    let (_other, status, _) = knock([127, 0, 1, 2]).await;
    assert_eq!(status, 101);
    drop(first);
    eventually(
        "room again",
        PATIENCE,
        async || {
            if server.active().await == 2 { Ok(()) } else { Err("it is still counted") }
        },
    )
    .await;
    let (_, status, _) = knock([127, 0, 1, 1]).await;
    assert_eq!(status, 101, "the fourth attempt");
    let (_, status, retry_after) = knock([127, 0, 1, 1]).await;
    let seconds: u64 = retry_after.expect("a time").parse().expect("seconds");
    assert_eq!((status, (800..=900).contains(&seconds)), (429, true), "a quarter of an hour: {seconds}");
    let metrics = server.metrics().await;
    for limit in ["max_connections_per_ip", "connect_rate_per_ip"] {
        assert_eq!(metrics.value("standpipe_entry_limits_total", &[("limit", limit)]), Some(1.0), "{limit}");
    }
}

#[tokio::test]
async fn connections_that_are_no_sockets_yet_are_counted_for_each_address() {
    let server = Server::start(&format!("[limits]\nmax_http_per_ip = 2\n{PUSH}")).await;
    let mut half_open = Vec::new();
    for _ in 0..2 {
        half_open.push(Wild::connect([127, 0, 1, 1], server.addr()).await.expect("a connection"));
    }
    let mut told = Wild::connect([127, 0, 1, 1], server.addr()).await.expect("a connection");
    let told = told.answer().await.expect("an answer");
    assert_eq!((told.status, told.header("retry-after")), (503, Some("5")));
    // One that has become a socket does not count any more.
    let mut other = Wild::connect([127, 0, 1, 2], server.addr()).await.expect("a connection");
    other.handshake("/ws", "").await;
    assert_eq!(other.answer().await.map(|answer| answer.status), Some(101));
    drop(half_open.pop());
    eventually("room again", PATIENCE, async || {
        let mut next = Wild::connect([127, 0, 1, 1], server.addr()).await.expect("a connection");
        next.handshake("/ws", "").await;
        let status = next.answer().await.map(|answer| answer.status);
        if status == Some(101) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let turned_away = server.metrics().await.value("standpipe_entry_limits_total", &[("limit", "max_http_per_ip")]);
    assert!(turned_away >= Some(1.0), "{turned_away:?}");
}

#[tokio::test]
async fn who_sends_too_many_commands_is_told_when_to_come_back() {
    let server = Server::start(&format!("[limits]\ncommand_rate = \"3/h\"\n{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    for _ in 0..3 {
        client.send(&json!({"op": "ping"})).await;
        client.until("pong").await;
    }
    client.send(&json!({"op": "ping"})).await;
    let error = client.until("error").await;
    assert_eq!(error["code"], "RATE_LIMITED");
    let goodbye = client.until("goodbye").await;
    assert_eq!((&goodbye["verdict"], goodbye["retry_after_ms"].as_u64() > Some(1_000_000)), (&json!("backoff"), true));
    assert_eq!(client.closed().await, (4102, "RATE_LIMITED".to_owned()));
    let told = server.metrics().await.value("standpipe_connections_errors_total", &[("code", "RATE_LIMITED")]);
    assert_eq!(told, Some(1.0));
}

#[tokio::test]
async fn who_unsubscribes_from_everything_and_stays_is_sent_away() {
    let server = Server::start(&format!("[client]\nidle = \"300ms\"\n{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.send(&json!({"op": "unsubscribe", "topics": ["a"]})).await;
    assert_eq!(client.until("unsubscribed").await["topics"], Value::Array(Vec::new()));
    assert_eq!(client.closed().await, (4104, "IDLE".to_owned()));
}

#[tokio::test]
async fn a_publisher_has_its_own_rate() {
    let server = Server::start(&format!("[limits]\npublish_rate_per_ip = \"2/h\"\n{PUSH}")).await;
    let body = r#"[{"topic":"a","data":1},{"topic":"a","data":2},{"topic":"a","data":3}]"#;
    let headers = &[("Content-Type", "application/json")];
    let publish = || server.request(standpipe_tests::http::Request { method: "POST", path: "/publish", headers, body });
    assert_eq!(publish().await.status, 200, "what comes together is taken together");
    let refused = publish().await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true), "and owed: {refused:?}");
}
