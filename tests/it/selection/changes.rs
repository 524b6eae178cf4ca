//! A client that keeps changing its mind: between two answers it gets what it had chosen then, exactly.

use std::fs;

use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, Server, Socket,
    fake_upstream::Speed,
    feed,
    feeds::Capture,
    foreign::{self, Language},
    language,
};

use super::HEARTBEAT;
use crate::{cursor_seq, seq};

const CHANGES: usize = 1_000;

/// So many events pass between two bursts of changes, which spreads them over the recording.
const EVENTS_BETWEEN: usize = 20;
const MAX_BURST: usize = 4;

const COINBASE: &str = r#"
[[source]]
name = "coinbase"
kind = "websocket"
url = "URL"
send = SENDS
map = 'select(.product_id) | {topic: "\(.type).\(.product_id | token)", key: .product_id, data: .}'
"#;

const TOPICS: [&str; 7] = ["l2update.*", "*.DASH-BTC", ">", "match.>", "ticker.*", "l2update.YFI-BTC", "*.SKL-USD"];

/// Changes without end. All are of the client's own subscriptions: an `unsubscribe` names what it has.
#[derive(Default)]
struct Mind {
    made: usize,
    held: Vec<&'static str>,
}

impl Mind {
    fn change(&mut self) -> Value {
        let i = self.made;
        self.made += 1;
        let topic = TOPICS[(i * i + i / 7) % TOPICS.len()];
        let id = i.to_string();
        let known = self.held.iter().position(|held| *held == topic);
        if let Some(known) = known.filter(|_| !i.is_multiple_of(3)) {
            self.held.remove(known);
            return json!({"op": "unsubscribe", "id": id, "topics": [topic]});
        }
        if known.is_none() {
            self.held.push(topic);
        }
        let mut command = json!({"op": "subscribe", "id": id, "topics": [topic]});
        match (i * 5 + i / 11) % 6 {
            0 => command["filter"] = json!({"product_id": "DASH-BTC"}),
            1 => command["filter"] = json!({"product_id": {"in": ["YFI-BTC", "CRV-EUR", "NMR-EUR"]}}),
            2 => command["filter"] = json!({"changes": "buy"}),
            3 => command["filter"] = json!({"price": {"gte": "0.5"}, "side": "sell"}),
            4 => command["filter"] = json!({"changes": {"gte": "100"}}),
            _ => {}
        }
        command
    }
}

/// Reads up to the message that `is_last`; the events on the way are kept.
async fn read(client: &mut Socket, events: &mut Vec<Value>, is_last: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = client.message().await;
        assert_ne!(message["op"], "error", "{message}");
        if is_last(&message) {
            return message;
        }
        if message["op"] == "event" {
            events.push(message);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_changes_of_a_thousand_a_client_gets_exactly_what_it_had_chosen() {
    let (recording, _) = (feed!("cex_coinbase_2021"), language!(Language::Python));
    let capture = Capture::read(&recording);
    let sends: Vec<_> = capture.connections[0].sends.iter().map(Value::to_string).collect();
    let upstream = FakeUpstream::start(capture, Speed::Times(6.0)).await;
    let config = COINBASE.replace("URL", &upstream.url()).replace("SENDS", &format!("{sends:?}"));
    let server = Server::start(&format!("{HEARTBEAT}{config}")).await;
    let mut pace = Socket::open(server.addr(), "/ws?topics=%3E").await;
    pace.until("subscribed").await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    upstream.release();

    let (mut mind, mut events, mut changes) = (Mind::default(), Vec::new(), Vec::new());
    let mut burst = 0;
    while changes.len() < CHANGES {
        for _ in 0..EVENTS_BETWEEN {
            pace.until("event").await;
        }
        burst = (burst % MAX_BURST + 1).min(CHANGES - changes.len());
        let commands: Vec<_> = (0..burst).map(|_| mind.change()).collect();
        for command in &commands {
            client.send(command).await;
        }
        for mut command in commands {
            let answer = read(&mut client, &mut events, |message| message["id"] == command["id"]).await;
            command["seq"] = answer["seq"].clone();
            changes.push(command);
        }
    }
    let file = server.folder().join("changes.jsonl");
    let lines: Vec<_> = changes.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n")).expect("a temporary file can be written");
    let mut expected = foreign::values(foreign::script("count_changes.py").arg(&recording).arg(&file)).await;
    let all = expected.pop().and_then(|last| last["all"].as_u64()).expect("the number of all events");
    let inside = changes.iter().filter(|change| seq(change) < all).count();
    assert!(inside > CHANGES / 2, "most changes are made while events flow: {inside}");
    let end = |message: &Value| message["op"] == "heartbeat" && cursor_seq(&message["cursor"]) >= all;
    read(&mut client, &mut events, end).await;
    assert_eq!(events.iter().map(|event| event["seq"].clone()).collect::<Vec<_>>(), expected);
}
