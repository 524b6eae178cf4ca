//! What a client asks for is what it gets, and a mistake costs it an answer, not its connection.

use serde_json::{Value, json};
use standpipe_tests::{Server, Socket, socket::Received};

use crate::{PUSH, seq};

#[tokio::test]
async fn each_subscribe_adds_and_each_unsubscribe_removes_at_an_exact_place() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let event = |topic: &str, i: u32| json!({"topic": topic, "data": i});

    let subscribed = client.subscribe(&["a.*"]).await;
    assert_eq!(subscribed["topics"], json!(["a.*"]));
    server.publish(&[event("a.x", 1), event("b.x", 2)]).await;
    let subscribed = client.subscribe(&["b.>"]).await;
    assert_eq!(subscribed["topics"], json!(["a.*", "b.>"]));
    let both = seq(&subscribed);
    server.publish(&[event("b.x.y", 3), event("a.x", 4)]).await;
    let events = [client.until("event").await, client.until("event").await];
    assert_eq!(events.each_ref().map(|event| &event["data"]), [3, 4]);
    assert!(events.iter().all(|event| seq(event) > both));

    client.send(&json!({"op": "unsubscribe", "id": "u", "topics": ["a.*"]})).await;
    let unsubscribed = client.until("unsubscribed").await;
    assert_eq!((&unsubscribed["id"], &unsubscribed["topics"]), (&json!("u"), &json!(["b.>"])));
    server.publish(&[event("a.x", 5), event("b.x", 6)]).await;
    assert_eq!(client.until("event").await["data"], 6);
}

#[tokio::test]
async fn a_url_selects_without_any_message() {
    let server = Server::start(PUSH).await;
    let mut by_topic = Socket::open(server.addr(), "/ws?topics=trades.*").await;
    let mut by_field = Socket::open(server.addr(), "/ws?where.side=buy&where.venue=x,y").await;
    let mut by_key = Socket::open(server.addr(), "/ws?where.$key=k2").await;
    let mut by_filter = Socket::open(server.addr(), "/ws?filter=%7B%22size%22:%7B%22eq%22:1.0%7D%7D").await;
    for client in [&mut by_topic, &mut by_field, &mut by_key, &mut by_filter] {
        client.until("subscribed").await;
    }
    let event = |topic: &str, key: &str, data: Value| json!({"topic": topic, "key": key, "data": data});
    server
        .publish(&[
            event("trades.a", "k1", json!({"i": 1, "side": "sell", "venue": "x"})),
            event("books.a", "k2", json!({"i": 2, "side": "buy", "venue": "z"})),
            event("trades.a", "k3", json!({"i": 3, "side": "buy", "venue": "y", "size": 1})),
            event("trades.a.b", "k2", json!({"i": 4, "side": "sell"})),
        ])
        .await;
    for (client, expected) in
        [(&mut by_topic, vec![1, 3]), (&mut by_field, vec![3]), (&mut by_key, vec![2, 4]), (&mut by_filter, vec![3])]
    {
        let mut got = Vec::new();
        for _ in &expected {
            got.push(client.until("event").await["data"]["i"].as_i64().expect("a number"));
        }
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn an_event_that_matches_two_subscriptions_comes_once() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a.*,a.b").await;
    client.subscribe(&[">"]).await;
    server.publish(&[json!({"topic": "a.b", "data": 1}), json!({"topic": "end", "data": 2})]).await;
    assert_eq!(client.until("event").await["data"], 1);
    assert_eq!(client.until("event").await["data"], 2);
}

#[tokio::test]
async fn an_event_arrives_as_it_was_published() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=%3E").await;
    client.until("subscribed").await;
    let event =
        json!({"topic": "t", "key": "k", "id": "x:17", "ts": 1_732_212_345_678_i64, "data": {"a": [1, null, "é"]}});
    server.publish(std::slice::from_ref(&event)).await;
    let mut expected = event;
    expected["op"] = json!("event");
    expected["seq"] = json!(1);
    expected["source"] = json!("in");
    assert_eq!(client.until("event").await, expected);
}

#[tokio::test]
async fn a_mistake_is_answered_by_name_and_the_connection_lives() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    for (text, code, named) in [
        ("nonsense", "INVALID_JSON", ""),
        ("[]", "INVALID_JSON", "object"),
        (r#"{"op":"subscirbe","id":"x"}"#, "UNKNOWN_OP", "subscribe"),
        (r#"{"op":"subscribe","id":"x","topcs":["a"]}"#, "UNKNOWN_FIELD", "topics"),
        (r#"{"op":"subscribe","id":"x"}"#, "MISSING_FIELD", "topics"),
        (r#"{"op":"subscribe","id":"x","topics":"a"}"#, "INVALID_FIELD", "topics"),
        (r#"{"op":"subscribe","id":"x","topics":["a b"]}"#, "INVALID_TOPIC", "a b"),
        (r#"{"op":"subscribe","id":"x","topics":["a"],"filter":{"a":{"equals":1}}}"#, "INVALID_FILTER", "equals"),
        (r#"{"op":"subscribe","id":"x","topics":["a"],"after":"never"}"#, "INVALID_CURSOR", "after"),
        (r#"{"op":"unsubscribe","id":"x","topics":["other"]}"#, "NOT_SUBSCRIBED", "other"),
        (r#"{"op":"subscribe","id":"x","topics":["a"],"params":{"page_url":"y"}}"#, "UNKNOWN_PARAMETER", "page_url"),
    ] {
        client.send_text(text).await;
        let error = client.until("error").await;
        assert_eq!(error["code"], code, "{text}: {error}");
        assert!(error.to_string().contains(named), "{text}: {error}");
        assert_eq!(error["id"], if text.contains(r#""id""#) { json!("x") } else { Value::Null }, "{text}");
    }
    client.send_binary(b"\x00\x01").await;
    assert_eq!(client.until("error").await["code"], "INVALID_JSON");
    server.publish(&[json!({"topic": "a", "data": "still here"})]).await;
    assert_eq!(client.until("event").await["data"], "still here");
}

#[tokio::test]
async fn past_the_limit_of_subscriptions_the_old_ones_stay() {
    let server = Server::start(&format!("[limits]\nmax_subscriptions = 2\n{PUSH}")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a,b").await;
    client.until("subscribed").await;
    client.send(&json!({"op": "subscribe", "id": "3", "topics": ["c"]})).await;
    let error = client.until("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("LIMIT_EXCEEDED"), &json!("3")));
    server.publish(&[json!({"topic": "c", "data": 1}), json!({"topic": "a", "data": 2})]).await;
    assert_eq!(client.until("event").await["data"], 2);
}

#[tokio::test]
async fn frames_that_break_the_protocol_close_with_their_own_codes() {
    let server = Server::start(PUSH).await;
    // FIN and opcode, the mask bit and the length, a mask of zeros, the payload (RFC 6455 §5.2).
    let masked = |opcode: u8, payload: &[u8]| {
        let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).expect("a short payload"), 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    let unmasked = vec![0x81, 2, b'{', b'}'];
    for (frame, code, reason) in [
        (masked(1, b"\xff\xfe"), 1007, "INVALID_UTF8"),
        (unmasked, 1002, "PROTOCOL_ERROR"),
        (masked(3, b"reserved opcode"), 1002, "PROTOCOL_ERROR"),
        (masked(9, &[b'x'; 126]), 1002, "PROTOCOL_ERROR"),
    ] {
        let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
        client.until("subscribed").await;
        client.send_raw(&frame).await;
        assert_eq!(client.closed().await, (code, reason.to_owned()), "{frame:?}");
    }
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.send_text(&format!("\"{}\"", "x".repeat(65_536))).await;
    assert_eq!(client.closed().await, (1009, "MESSAGE_TOO_BIG".to_owned()));
}

#[tokio::test]
async fn a_close_is_answered_and_the_connection_is_gone_from_the_list() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a,b").await;
    let connection = client.message().await["connection"].clone();
    let listed = server.connections().await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].to_string().contains(connection.as_str().expect("a name")), "{listed:?}");
    client.close().await;
    standpipe_tests::eventually("an empty list", standpipe_tests::PATIENCE, async || {
        let listed = server.connections().await;
        if listed.is_empty() { Ok(()) } else { Err(format!("{listed:?}")) }
    })
    .await;
    assert_eq!(server.active().await, 0);
}

#[tokio::test]
async fn an_operator_can_close_one_connection() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    let mut other = Socket::open(server.addr(), "/ws?topics=a").await;
    let connection = client.message().await["connection"].clone();
    let path = format!("/connections/{}", connection.as_str().expect("a name"));
    let one = server.get(&path).await;
    assert_eq!(one.status, 200, "{one:?}");
    let delete = standpipe_tests::http::Request { method: "DELETE", path: &path, ..Default::default() };
    assert!((200..300).contains(&server.request(delete).await.status));
    assert_eq!(client.closed().await, (4013, "KICKED".to_owned()));
    assert!(matches!(other.receive().await, Received::Message(_)));
}
