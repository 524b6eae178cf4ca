//! How a client gets in, and what it is told first.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Server, Socket,
    foreign::{Ending, Language},
    http::Request,
    language,
    socket::Received,
    within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::PUSH;

#[tokio::test]
async fn readiness_is_told_on_any_path_to_who_asks_by_header() {
    let server = Server::start(PUSH).await;
    let headers = &[("x-apify-container-server-readiness-probe", "1")];
    for path in ["/", "/ws", "/nowhere/at/all?x=1"] {
        let response = server.request(Request { path, headers, ..Request::default() }).await;
        assert_eq!((response.status, response.body.trim()), (200, "ready"), "{path}");
    }
}

#[tokio::test]
async fn health_and_counts_are_public_and_operations_are_not_passed_on_by_a_proxy() {
    let server = Server::start(PUSH).await;
    let through_proxy = &[("X-Forwarded-For", "203.0.113.9")];
    for path in ["/live", "/ready", "/status"] {
        assert_eq!(server.request(Request { path, headers: through_proxy, ..Request::default() }).await.status, 200);
    }
    for path in ["/metrics", "/connections", "/sources"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
        let response = server.request(Request { path, headers: through_proxy, ..Request::default() }).await;
        assert_eq!(response.status, 403, "{path}");
        let other_host = &[("Host", "standpipe.example")];
        let response = server.request(Request { path, headers: other_host, ..Request::default() }).await;
        assert_eq!(response.status, 403, "{path}");
    }
}

#[tokio::test]
async fn welcome_comes_first_and_says_what_holds() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let mut welcome = client.message().await;
    for secret in ["connection", "resume", "epoch"] {
        assert!(welcome[secret].take().as_str().is_some_and(|value| value.len() >= 16), "{secret}");
    }
    let expected = json!({
        "op": "welcome", "protocol": 1, "connection": null, "resume": null, "epoch": null, "head": 0,
        "confirm": "pong", "overflow": "disconnect", "heartbeat_interval_ms": 15_000,
        "limits": {
            "max_subscriptions": 128, "max_frame_bytes": 65_536,
            "max_unconfirmed_bytes": 1_048_576, "max_unconfirmed_frames": 4_000,
        },
    });
    assert_eq!(welcome, expected);
}

#[tokio::test]
async fn the_subprotocol_is_echoed_and_a_client_that_offers_only_others_is_refused() {
    let server = Server::start(PUSH).await;
    let offered = |names: &'static str| [("sec-websocket-protocol", names)];
    let client = Socket::try_open(server.addr(), "/ws", &offered("other, standpipe.v1")).await.expect("accepted");
    assert_eq!(client.subprotocol(), Some("standpipe.v1"));
    let client = Socket::open(server.addr(), "/ws").await;
    assert_eq!(client.subprotocol(), None);
    let refused = Socket::try_open(server.addr(), "/ws", &offered("mqtt")).await.err().expect("refused");
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn python_and_node_are_told_welcome_like_everyone() {
    let server = Server::start(PUSH).await;
    for language in [Language::Python, Language::Node] {
        let language = language!(language);
        let options = ["--subprotocol", "standpipe.v1", "--op", "welcome"];
        let collected = language.collect(&server.url("/ws"), &options).finish(PATIENCE).await;
        assert_eq!(collected.ending, Ending::Left("op".to_owned()), "{language:?}");
        assert_eq!(collected.messages[0]["protocol"], 1, "{language:?}");
        let refused = language.collect(&server.url("/ws?topic=a"), &[]).finish(PATIENCE).await;
        assert_eq!(refused.ending, Ending::Refused { status: 400 }, "{language:?}");
    }
}

#[tokio::test]
async fn every_path_of_the_documentation_upgrades() {
    let server = Server::start(PUSH).await;
    for (path, topics) in [
        ("/ws?topics=a,b.*", json!(["a", "b.*"])),
        ("/?topics=a", json!(["a"])),
        ("/ws/trades.XBT%2FUSD", json!(["trades.XBT/USD"])),
        ("/ws/a.%3E?topics=b", json!(["a.>", "b"])),
        ("/ws?where.side=buy", json!([">"])),
        ("/ws?topics=a&token=of-the-platform", json!(["a"])),
    ] {
        let mut client = Socket::open(server.addr(), path).await;
        assert_eq!(client.message().await["op"], "welcome", "{path}");
        let subscribed = client.message().await;
        assert_eq!((&subscribed["op"], &subscribed["topics"]), (&json!("subscribed"), &topics), "{path}");
    }
}

/// Wrong requests: the URL, the code, and what the answer has to name.
const WRONG: &[(&str, &str, &str)] = &[
    ("/ws?topisc=a", "UNKNOWN_PARAMETER", "topics"),
    ("/ws?page_url=x", "UNKNOWN_PARAMETER", "page_url"),
    ("/ws?topics=a..b", "INVALID_TOPIC", "a..b"),
    ("/ws?topics=a.%3E.b", "INVALID_TOPIC", "a.>.b"),
    ("/ws?after=yesterday", "INVALID_CURSOR", "after"),
    ("/ws?topics=a&filter=%7B", "INVALID_FILTER", "filter"),
    ("/ws?topics=a&overflow=explode", "INVALID_FIELD", "overflow"),
    ("/ws?topics=a&resume=short", "INVALID_FIELD", "resume"),
];

#[tokio::test]
async fn a_wrong_request_is_refused_with_a_body_that_names_what_is_wrong() {
    let server = Server::start(PUSH).await;
    for (path, code, named) in WRONG {
        let refused = Socket::try_open(server.addr(), path, &[]).await.err().expect(path);
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        let told = refused.body.to_string();
        assert!(told.contains(code) && told.contains(named), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_url_is_understood_as_curl_and_python_send_it_and_what_is_no_request_is_told_so() {
    let server = Server::start(PUSH).await;
    for language in [Language::Python, Language::Node] {
        let language = language!(language);
        let url = server.url("/ws?topics=a.>&filter={\"name\":\"<ü>\"}");
        let collected = language.collect(&url, &["--op", "subscribed"]).finish(PATIENCE).await;
        let subscribed = collected.of("subscribed");
        assert_eq!(subscribed.first().map(|told| &told["topics"]), Some(&serde_json::json!(["a.>"])), "{language:?}");
    }
    let refused = server.get("/ws?topics=a b").await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("BAD_REQUEST")), "{refused:?}");
    assert!(refused.body.contains("%20"), "{refused:?}");
}

#[tokio::test]
async fn a_browser_is_told_through_the_socket_since_it_cannot_read_the_body() {
    let server = Server::start(PUSH).await;
    let origin = format!("http://{}", server.addr());
    for (path, code, named) in WRONG {
        let mut client = Socket::try_open(server.addr(), path, &[("origin", &origin)]).await.expect(path);
        let error = client.until("error").await;
        assert_eq!(error["code"], *code, "{path}");
        assert!(error.to_string().contains(named), "{path}: {error}");
        let goodbye = client.message().await;
        assert_eq!((&goodbye["code"], &goodbye["verdict"]), (&json!(4000), &json!("never")), "{path}");
        assert_eq!(client.closed().await, (4000, "BAD_REQUEST".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_upgrade_is_answered_as_http() {
    let server = Server::start(PUSH).await;
    assert_eq!(server.get("/ws").await.status, 426);
    assert_eq!(server.get("/nowhere").await.status, 404);
    let not_allowed = Request { method: "DELETE", path: "/live", ..Request::default() };
    assert_eq!(server.request(not_allowed).await.status, 405);
    let index = server.get("/").await;
    assert_eq!((index.status, index.json().is_object()), (200, true));
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let server = Server::start(PUSH).await;
    let mut slow = TcpStream::connect(server.addr()).await.expect("the server accepts");
    slow.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n").await.expect("an open connection");
    let mut answer = Vec::new();
    let ended = within("the end of a slow handshake", PATIENCE, slow.read_to_end(&mut answer)).await;
    assert!(ended.is_ok() || ended.is_err(), "ended in order or by a reset");
    assert!(!answer.starts_with(b"HTTP/1.1 101"));
}

#[tokio::test]
async fn past_the_limit_of_connections_a_client_is_told_when_to_come_back() {
    let server = Server::start(&format!("[limits]\nmax_connections = 2\n{PUSH}")).await;
    let mut first = Socket::open(server.addr(), "/ws").await;
    let _second = Socket::open(server.addr(), "/ws").await;
    let refused = Socket::try_open(server.addr(), "/ws", &[]).await.err().expect("a third is too many");
    assert_eq!(refused.status, 503);
    assert!(refused.retry_after.is_some() && refused.body.to_string().contains("OVER_CAPACITY"), "{refused:?}");
    first.message().await;
    first.close().await;
    standpipe_tests::eventually("room again", PATIENCE, async || {
        Socket::try_open(server.addr(), "/ws", &[]).await.map_err(|refused| format!("{refused:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_client_that_subscribes_nothing_is_sent_away_after_its_first_step() {
    let server = Server::start(&format!("[client]\nfirst_step = \"300ms\"\n{PUSH}")).await;
    let mut idle = Socket::open(server.addr(), "/ws").await;
    let mut active = Socket::open(server.addr(), "/ws?topics=a").await;
    assert_eq!(idle.closed().await, (4008, "FIRST_STEP_TIMEOUT".to_owned()));
    active.until("subscribed").await;
    let silence = active.receive_within(Duration::from_millis(300)).await;
    assert!(!matches!(silence, Some(Received::Closed { .. } | Received::Lost(_))), "{silence:?}");
    active.send(&json!({"op": "ping", "id": "still"})).await;
    assert_eq!(active.until("pong").await["id"], Value::from("still"));
}
