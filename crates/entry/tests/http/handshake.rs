//! From a request to a socket, and all the ways in which it does not become one.

use std::sync::{Arc, atomic::Ordering};

use expect_test::expect;
use standpipe_entry::{
    Auth, AuthorizationHeader, MAX_EARLY_BYTES, Origins,
    auth::{Hash, Key, Keys},
};
use standpipe_protocol::{ErrorCode, Identity, Transport};
use standpipe_selection::{Grant, Pattern, Wider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, eventually, handshake, within};

#[tokio::test]
async fn the_101_is_exactly_what_rfc_6455_asks_for() {
    let server = Server::start();
    let mut raw = server.connect().await;
    raw.send(handshake("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    expect![[r"
        HTTP/1.1 101 Switching Protocols
        connection: Upgrade
        upgrade: websocket
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    "]]
    .assert_eq(&raw.head().await.head);
    let mut raw = server.connect().await;
    raw.send(handshake("/ws", "Sec-WebSocket-Protocol: standpipe.auth.hunter2, standpipe.v1\r\n")).await;
    expect![[r"
        HTTP/1.1 101 Switching Protocols
        connection: Upgrade
        upgrade: websocket
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
        sec-websocket-protocol: standpipe.v1
    "]]
    .assert_eq(&raw.head().await.head);
}

#[tokio::test]
async fn a_stream_is_handed_on_right_behind_its_head_and_its_dead_peer_is_found_by_tcp() {
    let mut server = Server::start();
    let mut raw = server.connect().await;
    raw.send("GET /events?topics=a&after=earliest HTTP/1.1\r\nHost: here\r\nUser-Agent: test/1\r\n\r\n").await;
    expect![[r"
        HTTP/1.1 200 OK
        content-type: text/event-stream
        cache-control: no-store, no-transform
        x-accel-buffering: no
        x-content-type-options: nosniff
        connection: close
    "]]
    .assert_eq(&raw.head().await.head);
    let mut upgrade = server.socket().await;
    assert_eq!(upgrade.admitted.transport, Transport::Sse);
    assert_eq!(upgrade.admitted.user_agent.as_deref(), Some("test/1"));
    #[cfg(target_os = "linux")]
    assert_eq!(
        socket2::SockRef::from(&upgrade.stream).tcp_user_timeout().unwrap(),
        Some(std::time::Duration::from_secs(15)),
        "heartbeats that nobody acknowledges tell that nobody is there"
    );
    upgrade.stream.write_all(b"data: 1\n\n").await.unwrap();
    drop(upgrade);
    assert_eq!(within(raw.rest()).await, "data: 1\n\n");
    eventually(|| server.house.admitted() == 0).await;
}

#[tokio::test]
async fn the_socket_is_handed_on_with_all_that_was_said() {
    let mut server = Server::start();
    let mut raw = server.connect().await;
    let target = "/ws/trades.%2A?topics=a,b&snapshot=1&token=platform&access_token=in-url";
    let headers = "User-Agent: test/1\r\nX-Actor-Request-ID: r17\r\nAuthorization: Bearer in-header\r\n";
    raw.send(handshake(target, headers)).await;
    assert_eq!(raw.head().await.status, 101);
    let mut upgrade = server.socket().await;
    let admitted = &upgrade.admitted;
    let query = admitted.query.as_ref().unwrap();
    let patterns = query.selection.as_ref().unwrap().patterns.iter().map(Pattern::as_str);
    assert_eq!(patterns.collect::<Vec<_>>(), ["trades.*", "a", "b"]);
    assert!(query.selection.as_ref().unwrap().options.snapshot);
    assert_eq!(admitted.peer, raw.stream.local_addr().unwrap());
    assert_eq!(admitted.user_agent.as_deref(), Some("test/1"));
    assert_eq!(admitted.request_id.as_deref(), Some("r17"));
    assert_eq!(admitted.origin, None);
    assert_eq!(*admitted.pass.identity, Identity::default(), "no credential is asked for");
    assert!(upgrade.early.is_empty());
    assert_eq!(server.house.admitted(), 1);
    upgrade.stream.write_all(b"from us").await.unwrap();
    raw.send("from them").await;
    let mut read = [0; 9];
    within(upgrade.stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"from them");
    drop(upgrade);
    assert_eq!(raw.rest().await, "from us");
    assert_eq!(server.house.admitted(), 0, "the place is given back");
}

#[tokio::test]
async fn what_comes_right_behind_the_request_is_not_lost() {
    let mut server = Server::start();
    for length in [1, 1000, MAX_EARLY_BYTES - 400, MAX_EARLY_BYTES, 100_000] {
        let mut raw = server.connect().await;
        let sent: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut bytes = handshake("/ws", "").into_bytes();
        bytes.extend_from_slice(&sent);
        raw.send(&bytes).await;
        raw.end().await;
        assert_eq!(raw.head().await.status, 101);
        let mut upgrade = server.socket().await;
        assert!(upgrade.early.len() <= MAX_EARLY_BYTES);
        let mut received = upgrade.early.to_vec();
        within(upgrade.stream.read_to_end(&mut received)).await.unwrap();
        assert!(received == sent, "{length}: {} bytes arrived", received.len());
    }
}

#[tokio::test]
async fn a_socket_opens_at_each_of_its_paths() {
    let mut server = Server::start();
    for (target, topic) in [
        ("/ws", None),
        ("/ws/", None),
        ("/", None),
        ("/ws/a", Some("a")),
        ("/ws/a.%3E", Some("a.>")),
        ("/ws/trades.XBT/USD", Some("trades.XBT/USD")),
        ("/ws/trades.XBT%2FUSD", Some("trades.XBT/USD")),
        ("/?topics=a", Some("a")),
        ("http://localhost/ws/a", Some("a")),
    ] {
        let reply = server.ask(handshake(target, "")).await;
        assert_eq!(reply.status, 101, "{target}");
        let query = server.socket().await.admitted.query.unwrap();
        let found = query.selection.map(|selection| selection.patterns[0].as_str().to_owned());
        assert_eq!(found.as_deref(), topic, "{target}");
    }
    for (target, status) in [("/live", 200), ("/nothing", 404), ("/metrics", 200), ("/publish", 405)] {
        assert_eq!(server.ask(handshake(target, "")).await.status, status, "{target}");
    }
    assert!(server.has_no_socket());
}

#[tokio::test]
async fn a_handshake_that_is_none_is_told_what_is_wrong() {
    let mut server = Server::start();
    let version = "Sec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut told = Vec::new();
    for (what, request) in [
        ("plain GET", "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("no version", format!("GET /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{key}\r\n")),
        ("version 8", format!("GET /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n")),
        ("no key", format!("GET /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{version}\r\n")),
        ("short key", format!("GET /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{version}Sec-WebSocket-Key: abc\r\n\r\n")),
        ("not upgraded", format!("GET /ws HTTP/1.1\r\nHost: a\r\n{version}{key}\r\n")),
        ("not connected", format!("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{version}{key}\r\n")),
        ("POST", format!("POST /ws HTTP/1.1\r\nHost: a\r\n{upgrade}{version}{key}\r\n")),
        ("HTTP/1.0", format!("GET /ws HTTP/1.0\r\nHost: a\r\n{upgrade}{version}{key}\r\n")),
        ("with a body", handshake("/ws", "Content-Length: 2\r\n") + "hi"),
        ("other protocol", handshake("/ws", "Sec-WebSocket-Protocol: graphql-ws, mqtt\r\n")),
        ("only a credential", handshake("/ws", "Sec-WebSocket-Protocol: standpipe.auth.hunter2\r\n")),
        ("no UTF-8", handshake("/ws/%ff", "")),
        ("typo", handshake("/ws?topcs=a", "")),
        ("bad topic", handshake("/ws/a..b", "")),
        ("refused by the service", handshake("/ws/a?after=00000000000000ff:7", "")),
    ] {
        let reply = server.ask(request).await;
        let error = &reply.json()["error"];
        told.push(format!("{what}: {} {} {}", reply.status, reply.code(), error["message"].as_str().unwrap()));
        if reply.status == 426 {
            assert_eq!(reply.headers["upgrade"], "websocket", "{what}");
            assert!(reply.headers["connection"].contains("Upgrade"), "{what}");
        }
        if what.contains("version") {
            assert_eq!(reply.headers["sec-websocket-version"], "13", "{what}");
        }
        assert!(!reply.body.contains("hunter2"));
    }
    expect![[r"
        plain GET: 426 UPGRADE_REQUIRED only a WebSocket handshake is answered here
        no version: 426 UPGRADE_REQUIRED only version 13 of WebSocket is spoken here, the request names none
        version 8: 426 UPGRADE_REQUIRED only version 13 of WebSocket is spoken here, the request names 8
        no key: 400 BAD_HANDSHAKE the handshake has no `Sec-WebSocket-Key`
        short key: 400 BAD_HANDSHAKE `Sec-WebSocket-Key` is not the base64 of 16 bytes (RFC 6455 §4.1)
        not upgraded: 426 UPGRADE_REQUIRED only a WebSocket handshake is answered here
        not connected: 426 UPGRADE_REQUIRED only a WebSocket handshake is answered here
        POST: 405 METHOD_NOT_ALLOWED this path does not take POST
        HTTP/1.0: 400 BAD_HANDSHAKE a WebSocket handshake needs HTTP/1.1
        with a body: 400 BAD_HANDSHAKE a WebSocket handshake has no body
        other protocol: 400 BAD_HANDSHAKE the client offers no known subprotocol, only `graphql-ws`
        only a credential: 400 BAD_HANDSHAKE the client offers no known subprotocol, only a credential
        no UTF-8: 400 INVALID_TOPIC the topic in the path is not UTF-8
        typo: 400 UNKNOWN_PARAMETER unknown parameter `topcs`
        bad topic: 400 INVALID_TOPIC the topic pattern `a..b` has an empty token
        refused by the service: 400 FUTURE_CURSOR there is no such place"]]
    .assert_eq(&told.join("\n"));
    assert!(server.has_no_socket());
    assert_eq!(server.house.admitted(), 0);
}

#[tokio::test]
async fn several_connection_lines_are_one_list() {
    let server = Server::start();
    let request =
        handshake("/ws", "").replacen("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade", 1);
    assert_eq!(server.ask(request).await.status, 101);
    let request = handshake("/ws", "").replacen("Connection: Upgrade", "Connection: keep-alive, upgrade", 1);
    assert_eq!(server.ask(request).await.status, 101);
}

/// Two keys, of which the second allows little.
fn keys() -> Auth {
    let key = |name: &str, grant: Grant| {
        let (name, subject): (Arc<str>, _) = (Arc::from(name), Arc::from(format!("{name}'s")));
        Key { hash: Hash::of(&name), name, subject, plan: None, grant: Arc::new(grant) }
    };
    let some = Grant::new(vec![Pattern::new("a").unwrap()], Vec::new(), None, Wider::Refuse);
    Auth::Keys(Keys::new([key("good", Grant::everything()), key("other", some)]))
}

#[tokio::test]
async fn a_credential_may_stand_in_three_places_and_two_that_differ_are_refused() {
    let mut server = Server::with_auth(keys(), |_| {});
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let protocol = |token: &str| format!("Sec-WebSocket-Protocol: standpipe.v1, standpipe.auth.{token}\r\n");
    for (target, headers, expected) in [
        ("/ws", bearer("good"), Ok("good's")),
        ("/ws", protocol("other"), Ok("other's")),
        ("/ws?access_token=good", String::new(), Ok("good's")),
        ("/ws?access_token=good&token=platform", bearer("good") + &protocol("good"), Ok("good's")),
        ("/ws?access_token=other", bearer("good"), Err("several credentials")),
        ("/ws", protocol("good") + &protocol("other"), Err("several credentials")),
        ("/ws?token=good", String::new(), Err("a credential is needed")),
        ("/ws", bearer("goo"), Err("not a key")),
        ("/ws", bearer("goodd"), Err("not a key")),
        ("/ws", protocol(""), Err("not a key")),
    ] {
        let reply = server.ask(handshake(target, &headers)).await;
        match expected {
            Ok(subject) => {
                assert_eq!(reply.status, 101, "{target} {headers}");
                let shown = reply.headers.get("sec-websocket-protocol").map_or("", |value| value.as_str());
                assert!(shown.is_empty() || shown == "standpipe.v1", "{shown}");
                let admitted = server.socket().await.admitted;
                assert_eq!(admitted.pass.identity.subject.as_deref(), Some(subject));
                assert_eq!(admitted.query.unwrap().access_token, None, "nobody needs it any more");
            }
            Err(words) => {
                assert_eq!((reply.status, reply.code().as_str()), (401, "UNAUTHORIZED"), "{target} {headers}");
                let is_shown = words != "a credential is needed";
                let error = if is_shown { ", error=\"invalid_token\"" } else { "" };
                assert_eq!(reply.headers["www-authenticate"], format!("Bearer realm=\"standpipe\"{error}"));
                assert!(reply.body.contains(words), "{target} {headers}: {}", reply.body);
            }
        }
    }
    let reply = server.ask(handshake("/ws", "Origin: http://localhost\r\n")).await;
    assert_eq!(reply.status, 101, "a page could not read the answer");
    let admitted = server.socket().await.admitted;
    assert_eq!(admitted.query.unwrap_err().code, ErrorCode::Unauthorized);
    assert_eq!(*admitted.pass.grant, Grant::nothing());
}

#[tokio::test]
async fn where_a_platform_in_front_has_the_header_it_is_ignored() {
    let mut server = Server::with_auth(keys(), |config| config.authorization = AuthorizationHeader::Foreign);
    let platform = "Authorization: Bearer platform\r\n";
    assert_eq!(server.ask(handshake("/ws?access_token=good", platform)).await.status, 101);
    assert_eq!(server.socket().await.admitted.pass.identity.subject.as_deref(), Some("good's"));
    assert_eq!(server.ask(handshake("/ws", "Authorization: Bearer good\r\n")).await.status, 401);
}

#[tokio::test]
async fn a_page_gets_a_socket_to_be_told_what_is_wrong() {
    let mut server = Server::start();
    let page = "Origin: http://localhost:3000\r\n";
    let reply = server.ask(handshake("/ws?topcs=a", page)).await;
    assert_eq!(reply.status, 101);
    let admitted = server.socket().await.admitted;
    assert_eq!(admitted.query.unwrap_err().code, ErrorCode::UnknownParameter);
    assert_eq!(admitted.origin.as_deref(), Some("http://localhost:3000"));
    assert_eq!(server.ask(handshake("/ws/%ff", page)).await.status, 101);
    assert_eq!(server.socket().await.admitted.query.unwrap_err().code, ErrorCode::InvalidTopic);
    assert_eq!(server.ask(handshake("/ws/a?after=00000000000000ff:7", page)).await.status, 101);
    assert_eq!(server.socket().await.admitted.query.unwrap_err().code, ErrorCode::FutureCursor);
    assert_eq!(server.ask(handshake("/ws?topics=a", page)).await.status, 101);
    assert!(server.socket().await.admitted.query.is_ok());
}

#[tokio::test]
async fn a_page_of_another_origin_gets_none() {
    let mut server = Server::start();
    for headers in ["Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let reply = server.ask(handshake("/ws", headers)).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "FORBIDDEN"), "{headers}");
    }
    let rebound = handshake("/ws", "Origin: http://rebound.example\r\n").replacen("localhost", "rebound.example", 1);
    assert_eq!(server.ask(rebound).await.status, 403);
    assert!(server.has_no_socket());

    let server = Server::with(|config| config.origins = Origins::Named(vec!["https://good.example".parse().unwrap()]));
    for (origin, status) in [("https://good.example", 101), ("https://evil.example", 403), ("http://localhost", 403)] {
        assert_eq!(server.ask(handshake("/ws", &format!("Origin: {origin}\r\n"))).await.status, status, "{origin}");
    }
    let server = Server::with(|config| config.origins = Origins::Any);
    assert_eq!(server.ask(handshake("/ws", "Origin: https://evil.example\r\n")).await.status, 101);
}

#[tokio::test]
async fn when_there_is_no_room_a_handshake_is_answered_503() {
    let mut server = Server::start();
    server.house.is_full.store(true, Ordering::Relaxed);
    for headers in ["", "Origin: http://localhost\r\n"] {
        let reply = server.ask(handshake("/ws", headers)).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "OVER_CAPACITY"), "{headers}");
        assert_eq!(reply.headers["retry-after"], "5");
    }
    server.house.draining.store(true, Ordering::Relaxed);
    let reply = server.ask(handshake("/ws", "")).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "DRAINING"));
    assert_eq!(reply.headers["retry-after"], "1");
    assert!(server.has_no_socket());
}

#[tokio::test]
async fn open_sockets_hold_no_place_among_those_who_speak_http() {
    let mut server = Server::with(|config| config.limits.max_http = 2.try_into().unwrap());
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut raw = server.connect().await;
        raw.send(handshake("/ws", "")).await;
        assert_eq!(raw.head().await.status, 101);
        open.push((raw, server.socket().await));
    }
    let house = server.house.clone();
    assert_eq!(house.admitted(), 8);
    drop(open);
    eventually(|| house.admitted() == 0).await;
}
