//! Clients that publish over their socket, with a credential that grants it.

use serde_json::{Value, json};
use standpipe_tests::{Server, Socket};

use crate::PUSH;

/// SHA-256 of `sp_writer` and of `sp_reader`.
pub(crate) const KEYS: &str = r#"
[auth]
mode = "keys"
[[auth.key]]
name = "writer"
hash = "sha256:a8a8d320d933c64a6562ad1f18849dcc5c6d1f280253d7cd09a5085b8f8aa031"
subscribe = ["chat.>"]
publish = ["chat.*"]
[[auth.key]]
name = "reader"
hash = "sha256:6559d1cef72889352a1da846b42755143296dac7f9b524189d3a06f1755105d4"
subscribe = ["chat.>"]
"#;

async fn open(server: &Server, path: &str, key: &str) -> Socket {
    let header = format!("Bearer {key}");
    Socket::try_open(server.addr(), path, &[("authorization", &header)]).await.expect("it is let in")
}

fn publish(id: &str, topic: &str, data: &Value) -> Value {
    json!({"op": "publish", "id": id, "topic": topic, "data": data})
}

#[tokio::test]
async fn what_a_client_publishes_comes_to_others_and_its_answer_carries_the_place() {
    let server = Server::start(&format!("{KEYS}{PUSH}")).await;
    let mut reader = open(&server, "/ws?topics=chat.%3E", "sp_reader").await;
    reader.until("subscribed").await;
    let mut writer = open(&server, "/ws", "sp_writer").await;
    writer
        .send_text(r#"{"op":"publish","id":"4","topic":"chat.a","data":{"price":0.1000,"n":12345678901234567890}}"#)
        .await;
    assert_eq!(writer.until("published").await, json!({"op": "published", "id": "4", "seq": 1}));
    writer.send(&json!({"op": "publish", "topic": "chat.b", "data": null})).await;
    assert_eq!(writer.until("published").await, json!({"op": "published", "seq": 2}));
    let event = reader.until("event").await;
    assert_eq!((&event["seq"], &event["topic"], &event["source"]), (&1.into(), &"chat.a".into(), &"in".into()));
    assert_eq!(
        event["data"].to_string(),
        r#"{"n":12345678901234567890,"price":0.1}"#,
        "numbers as this test reads them"
    );
    assert_eq!(reader.until("event").await["seq"], 2);
    // It selects what it writes, and gets that like anybody else, before its answer or behind it.
    writer.subscribe(&["chat.*"]).await;
    writer.send(&publish("5", "chat.c", &json!(3))).await;
    let mut told = vec![writer.message().await, writer.message().await];
    told.sort_by_key(|message| message["op"].to_string());
    assert_eq!((&told[0]["op"], &told[0]["seq"]), (&"event".into(), &3.into()), "{told:?}");
    assert_eq!((&told[1]["op"], &told[1]["seq"]), (&"published".into(), &3.into()), "{told:?}");
    server.audited().await;
}

#[tokio::test]
async fn what_is_not_granted_is_refused_by_name_and_the_connection_lives_on() {
    let server = Server::start(&format!("{KEYS}{PUSH}")).await;
    let mut writer = open(&server, "/ws", "sp_writer").await;
    let mut reader = open(&server, "/ws", "sp_reader").await;
    for (id, topic, code) in
        [("1", "other.a", "FORBIDDEN"), ("2", "chat.*", "INVALID_TOPIC"), ("3", "", "INVALID_TOPIC")]
    {
        writer.send(&publish(id, topic, &json!(1))).await;
        let refusal = writer.until("error").await;
        assert_eq!((&refusal["id"], &refusal["code"]), (&id.into(), &code.into()), "{refusal}");
    }
    reader.send(&publish("1", "chat.a", &json!(1))).await;
    assert_eq!(reader.until("error").await["code"], "FORBIDDEN");
    writer.send(&json!({"op": "publish", "id": "5", "topic": "chat.a", "data": 1, "source": "out"})).await;
    assert_eq!(writer.until("error").await["code"], "NOT_FOUND");
    writer.send(&publish("6", "chat.a", &json!(1))).await;
    assert_eq!(writer.until("published").await["seq"], 1, "nothing else was published");

    let open_to_all = Server::start(PUSH).await;
    let mut anybody = Socket::open(open_to_all.addr(), "/ws").await;
    anybody.send(&publish("1", "chat.a", &json!(1))).await;
    let refusal = anybody.until("error").await;
    assert_eq!(refusal["code"], "FORBIDDEN");
    assert!(refusal["hint"].as_str().is_some_and(|hint| hint.contains("POST to /publish")), "{refusal}");
}

#[tokio::test]
async fn who_only_publishes_is_not_closed_for_selecting_nothing() {
    let patience = "[client]\nfirst_step = \"600ms\"\nidle = \"2s\"\n";
    let server = Server::start(&format!("{patience}{KEYS}{PUSH}")).await;
    let mut idle = open(&server, "/ws", "sp_writer").await;
    let mut writer = open(&server, "/ws", "sp_writer").await;
    writer.send(&publish("1", "chat.a", &json!(1))).await;
    assert_eq!(idle.closed().await.0, 4008);
    writer.send(&publish("2", "chat.a", &json!(2))).await;
    assert_eq!(writer.until("published").await["seq"], 1);
    assert_eq!(writer.until("published").await["seq"], 2);
    assert_eq!(writer.closed().await.0, 4104, "in the end it is idle");
}

#[tokio::test]
async fn a_client_publishes_no_more_often_than_its_plan_allows() {
    let plan = "[plan.slow]\npublish_rate = \"2/h\"\n";
    let keys = KEYS.replace("publish = [\"chat.*\"]", "publish = [\"chat.*\"]\nplan = \"slow\"");
    let server = Server::start(&format!("{plan}{keys}{PUSH}")).await;
    let mut writer = open(&server, "/ws", "sp_writer").await;
    for n in 0..3 {
        writer.send(&publish(&n.to_string(), "chat.a", &json!(n))).await;
    }
    let mut told = Vec::new();
    while told.len() < 3 {
        let message = writer.message().await;
        if matches!(message["op"].as_str(), Some("published" | "error")) {
            told.push(message);
        }
    }
    let answers: Vec<_> = told.iter().map(|message| (&message["op"], &message["id"])).collect();
    let expected = [("published", "0"), ("published", "1"), ("error", "2")].map(|(op, id)| (json!(op), json!(id)));
    assert_eq!(answers, expected.each_ref().map(|(op, id)| (op, id)), "in the order of the commands");
    assert_eq!(told[2]["code"], "RATE_LIMITED", "{told:?}");
}
